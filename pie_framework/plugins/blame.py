"""Whose fault an exception is, in one line; and which package a stored run would need."""

from __future__ import annotations

import importlib.metadata
import itertools
import os
import sys
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from pie_framework.errors import ComponentError, in_one_line
from pie_framework.hookspecs import PROJECT
from pie_framework.plugins.discovery import ENVIRONMENT_VARIABLE, left_out
from pie_framework.plugins.records import Provenance, canonical
from pie_framework.plugins.registry import Registry, UnknownComponent


def blame(error: BaseException, registry: Registry) -> str:
    """One line for an exception that nobody expected: the plugin it comes from, or that it is one of the core."""
    return message_of(error, culprit(error, registry))


def message_of(error: BaseException, origin: Provenance | None) -> str:
    """One line for an exception that nobody expected, and the plugin that it comes from, if any."""
    if origin is None:
        return f"internal error of pie-framework: {in_one_line(error)}. --debug shows where."
    return f"{origin.label} failed: {in_one_line(error)}. This is a fault of the plugin; --debug shows where."


def culprit(error: BaseException, registry: Registry) -> Provenance | None:
    """The plugin of others whose code the exception, or one that led to it, came through last; None when none did."""
    modules = _modules(registry)
    seen: set[int] = set()
    cause: BaseException | None = error
    while cause is not None and id(cause) not in seen:
        seen.add(id(cause))
        frames = [frame for frame, _ in traceback.walk_tb(cause.__traceback__)]
        for frame in reversed(frames):
            origin = _owner(modules, str(frame.f_globals.get("__name__", "")))
            if origin is not None and not origin.shipped:
                return origin
        cause = cause.__cause__ or cause.__context__
    return None


def _owner(modules: Mapping[str, Provenance], name: str) -> Provenance | None:
    """The plugin with the module that shares most of a name's beginning; None where several share as much."""
    shared = {module: _shared(module, name) for module in modules}
    longest = max(shared.values(), default=0)
    nearest = {modules[module].distribution: modules[module] for module, n in shared.items() if n == longest}
    return next(iter(nearest.values())) if longest and len(nearest) == 1 else None


def _shared(one: str, other: str) -> int:
    """How many parts two dotted names have in common from their beginning."""
    pairs = zip(one.split("."), other.split("."), strict=False)
    return sum(1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], pairs))


def _modules(registry: Registry) -> dict[str, Provenance]:
    """Modules of plugins: those of their entry points, components and commands, as far as they are their own."""
    targets = [(component.target, registry.provenance(component)) for _, component in registry.named()]
    targets += [(command.target, provenance) for _, command, provenance in registry.commands()]
    owners_of = dict(registry.modules)
    holders: dict[str, set[str]] = {}
    for module, origin in owners_of.items():
        holders.setdefault(_top(module), set()).add(canonical(origin.distribution))
    named = {target.partition(":")[0]: origin for target, origin in targets}
    others = {module: origin for module, origin in named.items() if module not in owners_of}
    owners = importlib.metadata.packages_distributions() if {*map(_top, others)} - {*holders} else {}
    for module, origin in others.items():
        top = _top(module)
        known = holders.get(top) or {canonical(owner) for owner in owners.get(top, ())}
        if not known or canonical(origin.distribution) in known:
            owners_of[module] = origin
    return {m: p for m, p in owners_of.items() if _top(m) not in (PROJECT, *sys.stdlib_module_names)}


def _top(name: str) -> str:
    return name.partition(".")[0]


@contextmanager
def naming_missing_packages(plugins: Sequence[Mapping[str, str]]) -> Iterator[None]:
    """Around what opens a stored run: a component that no plugin offers any more is told with its package.

    Args:
        plugins: `plugins` of the run's run.json.
    """
    try:
        yield
    except ComponentError as error:
        raise missing_package(error, plugins) from error


def missing_package(error: ComponentError, plugins: Sequence[Mapping[str, str]]) -> ComponentError:
    """The error with the package that a stored run had the component from; the same error where that is not known."""
    if not isinstance(error, UnknownComponent):
        return error
    plain = error.name.rpartition(":")[2]
    for entry in plugins:
        if (entry.get("kind"), entry.get("name")) == (error.kind.value, plain):
            package, version = entry.get("package", ""), entry.get("version", "")
            hint = f"Install it: pip install '{package}=={version}'."
            if left_out(package):
                hint = f"{ENVIRONMENT_VARIABLE}={os.environ[ENVIRONMENT_VARIABLE]} leaves it out."
            return ComponentError(
                f"the run was made with the {error.kind} '{plain}' of {package} {version}, "
                "and no installed plugin offers it",
                hint,
            )
    return error
