"""Sub-commands that plugins add, and whose fault an error is that nobody expected."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from pie_framework.errors import ComponentError, PieError, PluginError, in_one_line

if TYPE_CHECKING:
    from pie_framework.plugins import Provenance


def offered() -> dict[str, tuple[str, bool]]:
    """The commands of plugins with their summaries, and whether they ship."""
    from pie_framework.plugins import discover

    try:
        registry = discover()
    except PieError:  # PIE_PLUGINS is wrong; every other command says so
        return {}
    return {name: (" ".join(c.summary.split()), origin.shipped) for name, c, origin in registry.commands()}


def run_offered(name: str, words: Sequence[str], own: Iterable[str]) -> int:
    """Run a plugin's command; returns its exit status.

    Args:
        name: of the command, plain or `distribution:name`.
        words: what stood behind it.
        own: names of pie's own commands, for a hint.

    Raises:
        PieError: there is no such command, several plugins claim it, or it says itself that its input is bad.
        PluginError: a command of others cannot be imported, failed, or gave no exit status.
    """
    from pie_framework.plugins import discover

    registry = discover()
    found = registry.command(name)
    if found is None:
        known = [*own, *(other for other, _, _ in registry.commands())]
        raise PieError(f"there is no command '{name}'", registry.near(name, known))
    command, origin = found
    if origin.shipped:
        return command.load()(list(words))
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
