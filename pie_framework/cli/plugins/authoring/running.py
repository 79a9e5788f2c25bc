"""Runs a conformance suite without pytest: every check to its end, and what became of each."""

from __future__ import annotations

import traceback
import warnings
from collections.abc import Iterator
from unittest import SkipTest

from pie_framework.cli.plugins.authoring.outcomes import Outcome, Status
from pie_framework.errors import PieError
from pie_framework.testing.suites._watching import globals_kept
from pie_framework.testing.suites.base import ConformanceWarning, Suite


def run(suite: type[Suite]) -> Iterator[Outcome]:
    """The outcome of every check of a suite, in the order in which they are written."""
    for name in names(suite):
        yield one(suite, name)


def names(suite: type[Suite]) -> list[str]:
    """The checks of a suite: its methods `test_*`, those of the base classes first."""
    tests = dict.fromkeys(
        name for kind in reversed(suite.__mro__) for name in vars(kind) if name.startswith("test_")
    )
    return [name for name in tests if callable(getattr(suite, name, None))]


def words(name: str) -> str:
    """The name of a check as words."""
    return name.removeprefix("test_").replace("_", " ")


def one(suite: type[Suite], name: str) -> Outcome:
    """The outcome of one check, by the name of its method; what it raises is caught."""
    check = words(name)
    instance = suite()
    with globals_kept(), warnings.catch_warnings(record=True) as given:
        warnings.simplefilter("always")
        try:
            getattr(instance, name)()
        except SkipTest as reason:
            return Outcome(check, Status.SKIP, str(reason))
        except (Exception, SystemExit) as error:
            return Outcome(check, Status.FAIL, explain(error), error)
    advice = [str(w.message) for w in given if issubclass(w.category, ConformanceWarning)]
    if advice:
        return Outcome(check, Status.WARN, "; ".join(advice))
    return Outcome(check, Status.PASS, "; ".join(instance.notes))


def explain(error: BaseException) -> str:
    """Why a check failed, in one line: the message, or the assertion itself where it has none."""
    text = " ".join(str(error).split())
    if isinstance(error, AssertionError):
        line = traceback.extract_tb(error.__traceback__)[-1].line or "AssertionError"
        return text or (f"not: {line.removeprefix('assert ')}" if line.startswith("assert ") else line)
    return text if isinstance(error, PieError) else f"{type(error).__name__}: {text}".rstrip(": ")
