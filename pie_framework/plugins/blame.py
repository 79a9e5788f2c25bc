"""Whose fault an exception is, in one line; and which package a stored run would need."""

from __future__ import annotations

import importlib.metadata
import os
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from pie_framework.errors import ComponentError, in_one_line
from pie_framework.plugins.discovery import ENVIRONMENT_VARIABLE
from pie_framework.plugins.records import Provenance, canonical
from pie_framework.plugins.registry import Registry, UnknownComponent


def blame(error: BaseException, registry: Registry) -> str:
    """One line for an exception that nobody expected: the plugin it comes from, or that it is one of the core."""
    origin = culprit(error, registry)
    if origin is None:
        return f"internal error of pie-framework: {in_one_line(error)}. --debug shows where."
    return f"{origin.label} failed: {in_one_line(error)}. This is a fault of the plugin; --debug shows where."


def culprit(error: BaseException, registry: Registry) -> Provenance | None:
    """The plugin of others whose code the exception, or one that led to it, came through last; None when none did."""
    packages = _packages(registry)
    seen: set[int] = set()
    cause: BaseException | None = error
    while cause is not None and id(cause) not in seen:
        seen.add(id(cause))
        frames = [frame for frame, _ in traceback.walk_tb(cause.__traceback__)]
        for frame in reversed(frames):
            origin = packages.get(_top(str(frame.f_globals.get("__name__", ""))))
            if origin is not None:
                return origin
        cause = cause.__cause__ or cause.__context__
    return None


def _packages(registry: Registry) -> dict[str, Provenance]:
    """Import packages of the plugins of others: those of their entry points, components and commands."""
    found = dict(registry.packages)
    targets = [(component.target, registry.provenance(component)) for _, component in registry.named()]
    targets += [(command.target, provenance) for _, command, provenance in registry.commands()]
    others = {_top(target): origin for target, origin in targets if _top(target) not in found}
    owners = importlib.metadata.packages_distributions() if others else {}
    for package, origin in others.items():
        known = [canonical(owner) for owner in owners.get(package, ())]
        if not known or canonical(origin.distribution) in known:
            found[package] = origin
    return {p: origin for p, origin in found.items() if not origin.shipped and p != "pie_framework"}


def _top(name: str) -> str:
    return name.partition(":")[0].partition(".")[0]


@contextmanager
def naming_the_gone(plugins: Sequence[Mapping[str, str]]) -> Iterator[None]:
    """Around what opens a stored run: a component that no plugin offers any more is told with its package.

    Args:
        plugins: `plugins` of the run's run.json.
    """
    try:
        yield
    except ComponentError as error:
        raise gone(error, plugins) from error


def gone(error: ComponentError, plugins: Sequence[Mapping[str, str]]) -> ComponentError:
    """The error with the package that a stored run had the component from; the same error where that is not known."""
    if not isinstance(error, UnknownComponent):
        return error
    plain = error.name.rpartition(":")[2]
    for entry in plugins:
        if (entry.get("kind"), entry.get("name")) == (error.kind.value, plain):
            package, version = entry.get("package", ""), entry.get("version", "")
            hint = f"Install it: pip install '{package}=={version}'."
            if os.environ.get(ENVIRONMENT_VARIABLE):
                hint += f" Or {ENVIRONMENT_VARIABLE}={os.environ[ENVIRONMENT_VARIABLE]} leaves it out."
            return ComponentError(
                f"the run was made with the {error.kind} '{plain}' of {package} {version}, "
                "and no installed plugin offers it",
                hint,
            )
    return error
