"""Every faulty energy term is found by the check that should find it; the good ones pass them all."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from pie_framework.cli.plugins.authoring.outcomes import Outcome, Status
from pie_framework.cli.plugins.authoring.running import names, one, words
from pie_framework.testing.conformance import EnergyTermTests

sys.path.insert(0, str(Path(__file__).parent))
from faulty_terms import FAULTY, GOOD, Case


def outcomes(case: Case) -> list[Outcome]:
    """What the suite says of a term, by the check that is to find its fault or by all of them."""

    class Checks(EnergyTermTests):
        requires = case.requires

        def build(self) -> object:
            return case.make()

    return [one(Checks, name) for name in names(Checks) if case.found_by in words(name)]


@pytest.mark.parametrize("name", list(FAULTY))
def test_a_faulty_term_is_found_by_the_right_check(name: str) -> None:
    case = FAULTY[name]
    bad = [o for o in outcomes(case) if o.status in (Status.FAIL, Status.WARN)]
    assert bad
    assert all(outcome.reason and "\n" not in outcome.reason for outcome in bad)


@pytest.mark.parametrize("name", list(GOOD))
def test_a_good_term_passes(name: str) -> None:
    found = outcomes(GOOD[name])
    assert len(found) > 15
    assert not {o.check: o.reason for o in found if o.status in (Status.FAIL, Status.WARN)}


def test_there_are_enough_faults() -> None:
    assert len(FAULTY) >= 27
