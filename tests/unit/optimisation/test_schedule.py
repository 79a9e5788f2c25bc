"""The step size of a stage: how it decays, and from where."""

from __future__ import annotations

import math

import pytest

from pie_framework.errors import ConfigError
from pie_framework.optimisation.schedule import Stage
from pie_framework.settings import merge


def test_the_decay_is_smooth_by_default() -> None:
    stage = Stage("w", "w", 3000, 50.0, decay=0.1)
    assert [stage.lr_at(step) for step in (0, 1000, 2000, 3000)] == pytest.approx(
        [50.0, 50.0 * math.sqrt(0.1), 5.0, 5.0 * math.sqrt(0.1)]
    )


def test_in_a_staircase_it_jumps_after_every_so_many_steps() -> None:
    stage = Stage("w", "w", 3000, 8.0, decay=0.5, decay_every=10, staircase=True)
    assert [stage.lr_at(step) for step in (0, 9, 10, 19, 20, 35)] == pytest.approx([8, 8, 4, 4, 2, 1])


@pytest.mark.parametrize("staircase", [False, True])
def test_steps_of_earlier_stages_count_only_where_it_does_not_start_anew(staircase: bool) -> None:
    anew = Stage("w_plus", "w_plus", 1000, 10.0, decay=0.1, staircase=staircase)
    goes_on = Stage("w_plus", "w_plus", 1000, 10.0, decay=0.1, staircase=staircase, decay_from_start=True)
    assert anew.lr_at(0, 2000) == anew.lr_at(0) == goes_on.lr_at(0) == 10.0
    assert anew.lr_at(700, 2000) == anew.lr_at(700)
    assert goes_on.lr_at(0, 2000) == pytest.approx(1.0)
    assert goes_on.lr_at(700, 1300) == pytest.approx(1.0)
    assert goes_on.lr_at(699, 1300) == pytest.approx(10.0 if staircase else 10.0 ** (1 - 1999 / 2000))


def test_a_half_cosine_is_over_the_stage_alone() -> None:
    stage = Stage("w_plus", "w_plus", 100, 2.0, cosine=True, decay_from_start=True)
    assert [stage.lr_at(step, 5000) for step in (0, 25, 50, 100)] == pytest.approx(
        [2.0, 1 + math.sqrt(0.5), 1.0, 0.0]
    )
    both = Stage("w", "w", 100, 2.0, decay=0.5, decay_every=50, staircase=True, cosine=True)
    assert both.lr_at(50) == pytest.approx(0.5)


@pytest.mark.parametrize("name", ["lr", "decay", "decay_every", "window"])
@pytest.mark.parametrize("value", [0, -1, math.inf, math.nan])
def test_what_would_never_move_or_jump_to_infinity_is_refused(name: str, value: float) -> None:
    with pytest.raises(ConfigError, match=rf"stages\.0\.{name}: .* is (too small|not a)"):
        merge(Stage, {"name": "w", "space": "w", "steps": 3, "lr": 1.0, name: value}, "stages.0")


def test_the_other_limits_of_a_stage() -> None:
    assert Stage("w", "w", 0, 1.0).lr_at(0) == 1.0
    assert Stage("w", "w", 0, 1.0, cosine=True).lr_at(0) == 1.0
    assert Stage("w", "w", 1, 1.0, cosine=True).lr_at(1) == pytest.approx(0.0)
    assert Stage("w", "w", 1, 1.0, tolerance=-1.0, decay=0.1, decay_every=1, window=1).lr_at(
        1
    ) == pytest.approx(0.1)
    for wrong in ({"steps": -1}, {"tolerance": math.nan}, {"tolerance": math.inf}, {"space": "z"}):
        with pytest.raises(ConfigError, match=rf"stages\.0\.{next(iter(wrong))}: "):
            merge(Stage, {"name": "w", "space": "w", "steps": 3, "lr": 1.0, **wrong}, "stages.0")


def test_a_stage_that_says_no_more_has_no_decay() -> None:
    given = {"name": "w", "space": "w", "steps": 3, "lr": 1.0}
    assert merge(Stage, given) == Stage(**given)
    assert Stage(**given).lr_at(2000) == 1.0
