"""`pie plugins`: `new` and `check` are handed on; `list` and `show` say what is installed and what is wrong with it."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Mapping, Sequence

from pie_framework.api.component import Component
from pie_framework.errors import ComponentError, PieError, did_you_mean
from pie_framework.plugins import Registry, discover

#: Sub-commands: what calls each, with the words behind it, for the exit status; and its line of the usage.
SUBCOMMANDS: Mapping[str, tuple[str, str]] = {
    "list": ("pie_framework.cli.plugins.listing:list_", "list [KIND]"),
    "show": ("pie_framework.cli.plugins.listing:show", "show [KIND] NAME"),
    "new": ("pie_framework.cli.plugins.new_command:main", "new NAME --kind KIND [--folder DIR]"),
    "check": (
        "pie_framework.cli.plugins.check_command:main",
        "check NAME [--kind KIND] [--strict] [KEY=VALUE ...]",
    ),
}

USAGE = "\n".join(
    [
        *(
            f"{'usage:' if number == 0 else '      '} pie plugins {line}"
            for number, (_, line) in enumerate(SUBCOMMANDS.values())
        ),
        "",
        "Lists the components and commands that plugins offer, shows one with its settings, assets and licences,",
        "writes a new plugin, or checks one against the contract.",
        "PIE_PLUGINS=a,b takes only those plugins, PIE_PLUGINS=-a,-b all but those, PIE_PLUGINS=none none.",
    ]
)


def main(arguments: Sequence[str]) -> int:
    """Returns the exit status of the sub-command."""
    words = list(arguments)
    if not words or words[0] in ("-h", "--help"):
        print(USAGE)
        return 0
    if words[0] not in SUBCOMMANDS:
        raise PieError(f"'pie plugins' has no command '{words[0]}'", did_you_mean(words[0], SUBCOMMANDS))
    module, _, function = SUBCOMMANDS[words[0]][0].partition(":")
    status: int = getattr(importlib.import_module(module), function)(words[1:])
    return status


def _refuse(command: str, words: Sequence[str]) -> PieError:
    return PieError(
        f"'pie plugins {command}' does not take these arguments: {' '.join(words)}",
        f"usage: pie plugins {SUBCOMMANDS[command][1]}",
    )


def list_(words: Sequence[str]) -> int:
    """`pie plugins list [KIND]`; returns 0, or 2 when two plugins of others claim a name."""
    if len(words) > 1:
        raise _refuse("list", words)
    registry = discover()
    rows = [(str(c.kind), name, str(registry.provenance(c)), c.summary) for name, c in registry.named(*words)]
    if not words:
        rows += [("command", name, str(origin), c.summary) for name, c, origin in registry.commands()]
    _print_table(("kind", "name", "package", "summary"), rows)
    for problem in registry.problems:
        print(f"pie: {'error' if problem.fatal else 'warning'}: {problem}", file=sys.stderr)
    return 2 if any(problem.fatal for problem in registry.problems) else 0


def _print_table(header: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> None:
    widths = [max(len(row[i]) for row in [header, *rows]) for i in range(len(header) - 1)]
    for row in [header, *rows]:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=False)]
        print("  ".join([*cells, row[-1]]).rstrip())


def show(words: Sequence[str]) -> int:
    """`pie plugins show [KIND] NAME`; returns 0."""
    if len(words) not in (1, 2):
        raise _refuse("show", words)
    registry = discover()
    if len(words) == 2:
        matches = [registry.get(words[0], words[1])]
    else:
        matches = [c for name, c in registry.named() if words[0] in (name, c.name)]
    if not matches:
        for problem in registry.problems:
            if words[0] in (problem.provenance.plugin, problem.provenance.distribution):
                raise ComponentError(str(problem))
        known = {name for name, _ in registry.named()}
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
        f"  contract  version {'.'.join(map(str, component.api_version or ()))}",
    ]
    if component.requires:
        lines.append(f"  requires  {', '.join(sorted(component.requires))}")
    from pie_framework.settings import described

    fields = described(component.config)
    lines.append("  settings" if fields else "  settings  none")
    lines += [f"    {name}: {kind} = {default}" for name, kind, default in fields]
    lines.append("  assets" if component.assets else "  assets    none")
    for asset in component.assets:
        lines.append(f"    {asset.name}: {asset.uri}")
        lines.append(
            f"      sha256 {asset.sha256 or 'not recorded'}; licence {asset.licence or 'not stated'}"
        )
    return "\n".join(lines)
