"""`pie plugins check NAME`: a declared component against the contract, as a table."""

from __future__ import annotations

import logging
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from pie_framework.arguments import settings, split
from pie_framework.errors import ConfigError, PieError
from pie_framework.plugins import discover

if TYPE_CHECKING:
    from pie_framework.cli.plugins.authoring.subjects import Subject

USAGE = """usage: pie plugins check NAME [--kind KIND] [--strict] [KEY=VALUE ...]

Runs the conformance suite of a component that a plugin declares, and checks its declaration. Needs no pytest.

  NAME         of a component, a plugin or a distribution, or DISTRIBUTION:COMPONENT
  --kind KIND  only this kind
  --strict     warnings count as failures
  KEY=VALUE    settings of the component other than its defaults

Exit status: 0 all pass, 1 a check fails, 2 there is nothing of that name, or the arguments are wrong."""


def main(arguments: Sequence[str]) -> int:
    """Returns 0 when all checks pass, 1 when one fails; raises PieError for a name or arguments that mean nothing."""
    words = list(arguments)
    if not words or any(word in ("-h", "--help") for word in words):
        print(USAGE)
        return 0
    if not __debug__:
        raise PieError("checks need assertions, which python -O leaves out", "Run without -O.")
    given = [word for word in words if "=" in word and not word.startswith("-")]
    rest = [word for word in words if word not in given]
    names, options = split(rest, ("--kind",), "pie plugins check", ("--strict",))
    if len(names) != 1:
        raise ConfigError(f"'pie plugins check' takes one name, not {len(names)}", USAGE.splitlines()[0])
    chosen = settings(given)
    from pie_framework.cli.plugins.authoring.subjects import find

    registry = discover()
    subjects = find(names[0], options.get("--kind"), registry)
    if given and len(subjects) > 1:
        raise ConfigError(
            f"settings are given, but '{names[0]}' is several: "
            + ", ".join(sorted({f"{subject.kind} {subject.name}" for subject in subjects})),
            _which(subjects),
        )
    return max(_check(subject, registry, chosen, "--strict" in options) for subject in subjects)


def _which(subjects: Sequence[Subject]) -> str:
    """How to mean one of several."""
    if len({subject.kind for subject in subjects}) == len(subjects):
        return f"Add --kind {subjects[0].kind}."
    full = sorted({f"{subject.origin.distribution}:{subject.name}" for subject in subjects})
    return "Name one: " + " or ".join(f"'{name}'" for name in full) + "."


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the warnings that a component gives where it is checked for them."""
    log = logging.getLogger("pie_framework")
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        log.setLevel(level)


def _check(subject: Subject, registry: Any, given: dict[str, Any], strict: bool) -> int:
    """Check one subject and print its table; the exit status."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from pie_framework.cli.plugins.authoring.check import check
    from pie_framework.cli.plugins.authoring.outcomes import Status

    console = Console()
    table = Table(title=f"{subject.kind} {subject.name} of {subject.origin}", title_justify="left", box=None)
    table.add_column("check", no_wrap=True)
    table.add_column("result", no_wrap=True)
    table.add_column("", overflow="fold")
    colours = {Status.PASS: "green", Status.FAIL: "bold red", Status.WARN: "yellow", Status.SKIP: "dim"}
    counted: Counter[str] = Counter()
    with _quiet():
        for outcome in check(subject, registry, given):
            status = Status.FAIL if strict and outcome.status is Status.WARN else outcome.status
            counted[status.value] += 1
            table.add_row(outcome.check, Text(status.value, colours[status]), Text(outcome.reason))
    console.print(table)
    totals = ", ".join(
        f"{counted[status.value]} {status.value}" for status in Status if counted[status.value]
    )
    console.print(f"{subject.name}: {totals}\n", highlight=False, markup=False)
    return 1 if counted[Status.FAIL.value] else 0
