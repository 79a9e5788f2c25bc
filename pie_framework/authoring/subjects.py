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
from pie_framework.plugins.records import canonical

OBSERVER, COMMAND = "observer", "command"


@dataclass(frozen=True)
class Subject:
    """One thing to check.

    Attributes:
        kind: a kind of component, "observer" or "command".
        name: of the component or command; of the plugin where it observes.
        module: of the plugin.
        origin: the plugin and the installed package.
        item: the `Component`, the `Command`, or the plugin itself where it observes.
    """

    kind: str
    name: str
    module: str
    origin: Provenance
    item: Any


def find(name: str, kind: str | None, registry: Registry) -> list[Subject]:
    """All that a name means: components of that name, or what the plugin or distribution of that name offers.

    Args:
        name: of a component, a plugin or a distribution, or `distribution:component`.
        kind: only this one.
        registry: the installed plugins.

    Raises:
        ComponentError: there is nothing of that name, or the plugin that would offer it is broken.
    """
    points = list(importlib.metadata.entry_points(group=ENTRY_POINT_GROUP))
    distribution, _, wanted = name.rpartition(":")
    offered = [
        subject
        for subject in _everything(points, registry)
        if canonical(distribution) in ("", canonical(subject.origin.distribution))
        and kind in (None, subject.kind)
    ]
    # What is called so comes before what a plugin or distribution that is called so offers.
    subjects = [subject for subject in offered if subject.name == wanted] or [
        subject
        for subject in offered
        if not distribution and wanted in (subject.origin.plugin, subject.origin.distribution)
    ]
    if not subjects:
        raise _unknown(name, kind, registry, points)
    return subjects


def _everything(points: Iterable[importlib.metadata.EntryPoint], registry: Registry) -> Iterator[Subject]:
    """All components, commands and observers of the plugins that could be loaded."""
    modules = {(point.name, "" if point.dist is None else point.dist.name): point for point in points}
    declared: list[tuple[str, Any, Provenance]] = [
        (component.kind.value, component, registry.provenance(component)) for _, component in registry.named()
    ]
    declared += [(COMMAND, command, origin) for _, command, origin in registry.commands()]
    for kind, item, origin in declared:
        point = modules.get((origin.plugin, origin.distribution))
        yield Subject(kind, item.name, "" if point is None else point.module, origin, item)
    for origin in registry.plugins:
        point = modules.get((origin.plugin, origin.distribution))
        if point is not None and not origin.shipped and _observes(plugin := point.load()):
            yield Subject(OBSERVER, origin.plugin, point.module, origin, plugin)


def _observes(plugin: Any) -> bool:
    """Whether a plugin implements the hook of an event."""
    manager = pluggy.PluginManager(ENTRY_POINT_GROUP)
    manager.add_hookspecs(hookspecs)
    manager.register(plugin)
    return any(getattr(manager.hook, hook).get_hookimpls() for hook in EVENT_HOOKS.values())


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
