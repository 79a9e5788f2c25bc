"""What a name means to `pie plugins check`: components, and observers and commands of a plugin. Imports no torch."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import pluggy

from pie_framework import hookspecs
from pie_framework.api.events import EVENT_HOOKS
from pie_framework.errors import ComponentError, did_you_mean
from pie_framework.plugins import ENTRY_POINT_GROUP, Provenance, Registry

OBSERVER, COMMAND = "observer", "command"


@dataclass(frozen=True)
class Subject:
    """One thing to check.

    Attributes:
        kind: a kind of component, "observer" or "command".
        name: of the component or command; of the plugin where it observes.
        module: of the plugin.
        plugin: its name.
        distribution, version: of the installed package.
        item: the `Component`, the `Command`, or the plugin itself where it observes.
    """

    kind: str
    name: str
    module: str
    plugin: str
    distribution: str
    version: str
    item: Any

    @property
    def package(self) -> str:
        """ "distribution version"."""
        return f"{self.distribution} {self.version}"


def find(name: str, kind: str | None, registry: Registry) -> list[Subject]:
    """All that a name means: components of that name, or what the plugin or distribution of that name offers.

    Args:
        name: of a component, a plugin or a distribution, or `distribution:component`.
        kind: only this one.
        registry: the installed plugins.

    Raises:
        ComponentError: there is nothing of that name, or the plugin that would offer it is broken.
    """
    points = _entry_points()
    distribution, _, wanted = name.rpartition(":")
    offered = [
        subject
        for subject in _everything(points, registry)
        if distribution in ("", subject.distribution) and kind in (None, subject.kind)
    ]
    # What is called so comes before what a plugin or distribution that is called so offers.
    subjects = [subject for subject in offered if subject.name == wanted] or [
        subject
        for subject in offered
        if not distribution and wanted in (subject.plugin, subject.distribution)
    ]
    if not subjects:
        raise _unknown(name, kind, registry, points)
    return subjects


def _everything(points: Iterable[importlib.metadata.EntryPoint], registry: Registry) -> Iterator[Subject]:
    for component in registry.components():
        origin = registry.provenance(component)
        module = _module(points, origin.plugin, origin.distribution)
        yield Subject(component.kind.value, component.name, module, *_origin(origin), component)
    for point in points:
        yield from _others(point)


def _origin(provenance: Provenance) -> tuple[str, str, str]:
    return provenance.plugin, provenance.distribution, provenance.version


def _entry_points() -> list[importlib.metadata.EntryPoint]:
    return list(importlib.metadata.entry_points(group=ENTRY_POINT_GROUP))


def _module(points: Iterable[importlib.metadata.EntryPoint], plugin: str, distribution: str) -> str:
    for point in points:
        if point.name == plugin and (point.dist is None or point.dist.name == distribution):
            return point.module
    return ""


def _others(point: importlib.metadata.EntryPoint) -> list[Subject]:
    """The commands of a plugin, and the plugin itself where it observes; nothing where it cannot be loaded."""
    owner, version = ("unknown", "") if point.dist is None else (point.dist.name, point.dist.version)
    origin = (point.name, owner, version)
    try:
        plugin = point.load()
        manager = pluggy.PluginManager(ENTRY_POINT_GROUP)
        manager.add_hookspecs(hookspecs)
        manager.register(plugin)
        declared = [item for offered in manager.hook.pie_commands() for item in offered or ()]
        observes = any(getattr(manager.hook, hook).get_hookimpls() for hook in EVENT_HOOKS.values())
    except (Exception, SystemExit):
        return []  # the registry reports it
    commands = [
        Subject(COMMAND, str(getattr(item, "name", item)), point.module, *origin, item) for item in declared
    ]
    return [*commands, *([Subject(OBSERVER, point.name, point.module, *origin, plugin)] if observes else [])]


def _unknown(
    name: str,
    kind: str | None,
    registry: Registry,
    points: Iterable[importlib.metadata.EntryPoint],
) -> ComponentError:
    """Why nothing is found: another kind, a broken plugin, two that claim the name, or no such name."""
    wanted = name.rpartition(":")[2]
    if kind is not None and (
        others := sorted({s.kind for s in _everything(points, registry) if s.name == wanted})
    ):
        return ComponentError(f"'{name}' is no {kind}", f"It is: {', '.join(others)}.")
    for problem in registry.problems:
        origin = problem.provenance
        if wanted in (origin.plugin, origin.distribution) or f"'{wanted}'" in problem.message:
            return ComponentError(str(problem))
    known = {component.name for component in registry.components()} | {point.name for point in points}
    return ComponentError(f"no plugin offers '{name}'", did_you_mean(wanted, known))
