"""Sub-commands that plugins add, and whose fault an error is that nobody expected."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from pie_framework.errors import ComponentError, PieError, PluginError, in_one_line

if TYPE_CHECKING:
    from importlib.metadata import Distribution, EntryPoint

    from pie_framework.api import Command
    from pie_framework.plugins import Provenance


def shipped(points: Sequence[EntryPoint]) -> dict[str, Command]:
    """The commands of pie-framework's own plugins among these, of which only those in their group are imported."""
    from pie_framework.plugins import COMMANDS_GROUP, discover

    own = _shipped_by(points)
    ours = [point for point in points if point.group == COMMANDS_GROUP and id(point.dist) in own]
    return {name: command for name, command, _ in discover({}, ours).commands()}


def foreign(points: Sequence[EntryPoint]) -> dict[str, Command]:
    """The commands of other plugins, if there are any among these."""
    from pie_framework.plugins import discover

    own = _shipped_by(points)
    if all(id(point.dist) in own for point in points):
        return {}
    try:
        return {name: command for name, command, _ in discover(shipped=False).commands()}
    except PieError:  # PIE_PLUGINS is wrong; every other command says so
        return {}


def _shipped_by(points: Sequence[EntryPoint]) -> set[int]:
    """Which distributions are pie-framework; a name is looked up once, as that reads the metadata."""
    from pie_framework.plugins.records import SHIPPED

    return {number for number, dist in {id(p.dist): p.dist for p in points}.items() if _name(dist) == SHIPPED}


def _name(distribution: Distribution | None) -> str:
    try:
        return "" if distribution is None else distribution.name
    except Exception:  # its metadata may be damaged
        return ""


def run_plugin(name: str, words: Sequence[str], own: Iterable[str]) -> int:
    """Run a command that a plugin brings; returns its exit status.

    Args:
        name: of the command, plain or `distribution:name`.
        words: what stood behind it.
        own: names of pie's own commands, for a hint.

    Raises:
        PieError: there is no such command, several plugins claim it, or it says itself that its input is bad.
        PluginError: a command of others cannot be imported, failed, or gave no exit status.
    """
    from pie_framework.plugins import discover, installed_plugins

    ours = shipped(installed_plugins())
    if name in ours:
        return ours[name].load()(list(words))
    registry = discover(shipped=False)
    offer = registry.command(name)
    if offer is None:
        known = [*own, *ours, *(other for other, _, _ in registry.commands())]
        raise PieError(f"there is no command '{name}'", registry.near(name, known))
    command, origin = offer
    what = f"the command '{command.name}' of {origin.label}"
    try:
        target = command.load()
    except ComponentError as error:
        raise PluginError(f"{what} failed: {error}") from error
    status: object
    try:
        status = target(list(words))
    except SystemExit as leaving:  # the way of argparse
        status = 0 if leaving.code is None else leaving.code
        if isinstance(status, str):
            raise PluginError(f"{what} failed: {status}") from leaving
    except (PieError, BrokenPipeError):
        raise
    except Exception as error:
        raise PluginError(f"{what} failed: {in_one_line(error)}") from error
    if not isinstance(status, int) or isinstance(status, bool):
        raise PluginError(f"{what} gave {status!r}, not an exit status such as 0")
    return status


def unexpected(error: BaseException) -> tuple[Provenance | None, str]:
    """The plugin of others that an exception came from, if any, and the line that says so."""
    from pie_framework.plugins import culprit, discover, message_of

    try:
        origin = culprit(error, discover())
    except Exception:  # PIE_PLUGINS is wrong, or what is installed cannot even be looked at
        origin = None
    return origin, message_of(error, origin)
