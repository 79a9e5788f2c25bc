"""`pie doctor`: whether the run that the overrides compose can go here, with which files and licences."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence

from pie_doctor.report import SECTIONS, Report, Status
from pie_framework.arguments import Parser

DESCRIPTION = """\
Looks over this installation and the run that the same overrides of 'pie run' compose: Python, torch, devices,
memory, plugins, the files that would be loaded (here, or how to get them), their licences, and whether it can run.
Exit status 0 when it can, 1 when it cannot.

  pie doctor
  pie doctor generator=stylegan2 generator.weights=asset://stylegan2-ffhq-1024 face_model=ict
  pie doctor backbone=FOLDER --build"""

#: Columns where the output is no terminal, so that paths stay in one piece.
FILE_WIDTH = 300
_STYLES = {Status.OK: "green", Status.NOTE: "cyan", Status.WARNING: "yellow", Status.ERROR: "red"}


def main(arguments: Sequence[str]) -> int:
    """Returns 0 when the composed run can go, else 1."""
    usage = "pie doctor [KEY=VALUE ...] [--build] [--measure] [--json]"
    parser = Parser("pie doctor", description=DESCRIPTION, usage=usage)
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE", help="as for 'pie run'")
    parser.add_argument(
        "--build", action="store_true", help="also build every component, which loads its weights"
    )
    parser.add_argument(
        "--measure", action="store_true", help="also take a step, and tell the memory that it took"
    )
    parser.add_argument("--json", action="store_true", help="for programs")
    if {"-h", "--help"} & set(arguments):
        print(parser.format_help())
        return 0
    given = parser.parse(arguments)
    from pie_doctor.examine import examine

    report = examine(given.overrides, build=given.build, measure=given.measure)
    if given.json:
        print(json.dumps(report.as_dict(), indent=2))
    else:
        _print(report)
    return 0 if report.can_run else 1


def _print(report: Report) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    console = Console()
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console.width = FILE_WIDTH
    for section, heading in SECTIONS.items():
        findings = list(report.of(section))
        if not findings:
            continue
        console.print(f"\n[bold]{heading}[/bold]")
        table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
        table.add_column(no_wrap=True)
        table.add_column(overflow="fold", max_width=34)
        table.add_column(overflow="fold")
        for finding in findings:
            style = _STYLES[finding.status]
            text = escape(finding.text) + (f"\n[dim]{escape(finding.hint)}[/dim]" if finding.hint else "")
            table.add_row(f"  [{style}]{finding.status.value:<7}[/{style}]", escape(finding.name), text)
        console.print(table)
    errors = [finding for finding in report.findings if finding.status is Status.ERROR]
    warnings = sum(finding.status is Status.WARNING for finding in report.findings)
    warned = f" {warnings} warning{'s' if warnings != 1 else ''}." if warnings else ""
    if report.can_run:
        console.print(f"\n[green]It can run.[/green]{warned}", highlight=False)
    else:
        what = "one thing stops" if len(errors) == 1 else f"{len(errors)} things stop"
        console.print(f"\n[red]It cannot run:[/red] {what} it.{warned}", highlight=False)
        for finding in errors:
            text = f"  {finding.name}: {finding.text}" + (f". {finding.hint}" if finding.hint else "")
            console.print(escape(text), highlight=False, soft_wrap=True)
