"""`pie plugins list | show NAME`: what is installed, where it comes from, and what is wrong with it."""

from __future__ import annotations

import dataclasses
import importlib
import sys
import typing
from collections.abc import Sequence

from pie_framework.api.component import Component
from pie_framework.errors import ComponentError, PieError, did_you_mean
from pie_framework.plugins import Registry, discover

USAGE = """usage: pie plugins list [KIND]
       pie plugins show [KIND] NAME
       pie plugins new NAME --kind KIND [--folder DIR]
       pie plugins check NAME [--kind KIND] [--strict] [KEY=VALUE ...]

Lists the components that plugins offer, shows one with its settings, assets and licences, writes a new plugin, or
checks one against the contract.
PIE_PLUGINS=a,b takes only those plugins, PIE_PLUGINS=-a,-b all but those, PIE_PLUGINS=none none."""

#: Sub-commands for authors of plugins, with their modules.
AUTHORING = {"new": "pie_framework.cli.plugins_new", "check": "pie_framework.cli.plugins_check"}


def main(arguments: Sequence[str]) -> int:
    """Returns 0, or 2 when two plugins declare the same name."""
    words = list(arguments)
    if not words or words[0] in ("-h", "--help"):
        print(USAGE)
        return 0
    command, rest = words[0], words[1:]
    if command in AUTHORING:
        status: int = importlib.import_module(AUTHORING[command]).main(rest)
        return status
    if command == "list" and len(rest) <= 1:
        return _list(discover(), *rest)
    if command == "show" and 1 <= len(rest) <= 2:
        return _show(discover(), rest)
    if command in ("list", "show"):
        raise PieError(
            f"'pie plugins {command}' does not take these arguments: {' '.join(rest)}", USAGE.splitlines()[0]
        )
    raise PieError(
        f"'pie plugins' has no command '{command}'", did_you_mean(command, ["list", "show", *AUTHORING])
    )


def _list(registry: Registry, kind: str | None = None) -> int:
    components = registry.components(kind)
    rows = [(str(c.kind), c.name, str(registry.provenance(c)), c.summary) for c in components]
    _print_table(("kind", "name", "package", "summary"), rows)
    for problem in registry.problems:
        print(f"pie: {'error' if problem.fatal else 'warning'}: {problem}", file=sys.stderr)
    return 2 if any(problem.fatal for problem in registry.problems) else 0


def _print_table(header: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> None:
    widths = [max(len(row[i]) for row in [header, *rows]) for i in range(len(header) - 1)]
    for row in [header, *rows]:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=False)]
        print("  ".join([*cells, row[-1]]).rstrip())


def _show(registry: Registry, words: Sequence[str]) -> int:
    if len(words) == 2:
        matches = [registry.get(words[0], words[1])]
    else:
        matches = [c for c in registry.components() if c.name == words[0]]
    if not matches:
        for problem in registry.problems:
            if words[0] in (problem.provenance.plugin, problem.provenance.distribution):
                raise ComponentError(str(problem))
        known = {c.name for c in registry.components()}
        raise ComponentError(
            f"no plugin offers a component named '{words[0]}'", did_you_mean(words[0], known)
        )
    print("\n\n".join(_describe(component, registry) for component in matches))
    return 0


def _describe(component: Component, registry: Registry) -> str:
    """The whole declaration as text."""
    origin = registry.provenance(component)
    lines = [
        f"{component.kind} {component.name}",
        f"  summary   {component.summary}",
        f"  package   {origin} (plugin '{origin.plugin}')",
        f"  target    {component.target}",
        f"  contract  version {component.api_version}",
    ]
    if component.requires:
        lines.append(f"  requires  {', '.join(sorted(component.requires))}")
    fields = settings_of(component)
    lines.append("  settings" if fields else "  settings  none")
    lines += [f"    {name}: {kind} = {default}" for name, kind, default in fields]
    lines.append("  assets" if component.assets else "  assets    none")
    for asset in component.assets:
        lines.append(f"    {asset.name}: {asset.uri}")
        lines.append(
            f"      sha256 {asset.sha256 or 'not recorded'}; licence {asset.licence or 'not stated'}"
        )
    return "\n".join(lines)


def settings_of(component: Component) -> list[tuple[str, str, str]]:
    """Name, type and default of each field of a component's configuration, nested ones as `group.name`."""
    return _fields(component.config, "")


def _fields(schema: type, prefix: str, instance: object = None) -> list[tuple[str, str, str]]:
    found: list[tuple[str, str, str]] = []
    hints = typing.get_type_hints(schema)
    for field in dataclasses.fields(schema):
        name, hint = prefix + field.name, hints.get(field.name, field.type)
        if instance is not None:
            value = getattr(instance, field.name)
        elif field.default_factory is not dataclasses.MISSING:
            value = field.default_factory()
        else:
            value = field.default
        if dataclasses.is_dataclass(value) and not isinstance(value, type):
            found += _fields(type(value), f"{name}.", value)
            continue
        default = "(must be given)" if value is dataclasses.MISSING else repr(value)
        found.append((name, hint.__name__ if isinstance(hint, type) else str(hint), default))
    return found
