"""What a name means to `pie plugins check`: components, and observers and commands of a plugin. Imports no torch."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from pie_framework.api import Kind
from pie_framework.errors import ComponentError, ConfigError, did_you_mean
from pie_framework.plugins import ENTRY_POINT_GROUP, Provenance, Registry
from pie_framework.plugins.records import canonical

OBSERVER, COMMAND = "observer", "command"
KINDS = (*(kind.value for kind in Kind), OBSERVER, COMMAND)


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
        ConfigError: there is no such kind.
        ComponentError: there is nothing of that name, or the plugin that would offer it is broken.
    """
    if kind is not None and kind not in KINDS:
        raise ConfigError(f"there is no --kind {kind}", did_you_mean(kind, KINDS))
    points = list(importlib.metadata.entry_points(group=ENTRY_POINT_GROUP))
    distribution, _, wanted = name.rpartition(":")
    everything = [
        subject
        for subject in _everything(points, registry)
        if canonical(distribution) in ("", canonical(subject.origin.distribution))
    ]
    named = [subject for subject in everything if subject.name == wanted]
    offered = [subject for subject in everything if not distribution and _offers(subject.origin, wanted)]
    # What is called so comes before what a plugin or distribution that is called so offers.
    for subjects in (named, offered):
        if matching := [subject for subject in subjects if kind in (None, subject.kind)]:
            return matching
    if named:
        raise ComponentError(f"'{name}' is no {kind}", f"It is: {_kinds(named)}.")
    if offered:
        raise ComponentError(f"'{name}' offers no {kind}", f"It offers: {_kinds(offered)}.")
    raise _unknown(name, registry, points)


def _offers(origin: Provenance, name: str) -> bool:
    """Whether the plugin is called so, or its distribution, however that is written."""
    return name == origin.plugin or canonical(name) == canonical(origin.distribution)


def _kinds(subjects: Iterable[Subject]) -> str:
    return ", ".join(sorted({subject.kind for subject in subjects}))


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
    for origin in registry.observing():
        point = modules.get((origin.plugin, origin.distribution))
        if point is not None and not origin.shipped:
            yield Subject(OBSERVER, origin.plugin, point.module, origin, point.load())


def _unknown(
    name: str, registry: Registry, points: Iterable[importlib.metadata.EntryPoint]
) -> ComponentError:
    """Why nothing is found: a broken plugin, two that claim the name, or no such name."""
    wanted = name.rpartition(":")[2]
    for problem in registry.problems:
        if _offers(problem.provenance, wanted) or f"'{wanted}'" in problem.message:
            return ComponentError(str(problem))
    known = {component.name for _, component in registry.named()} | {point.name for point in points}
    return ComponentError(f"no plugin offers '{name}'", did_you_mean(wanted, known))
