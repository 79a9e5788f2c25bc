"""The energies of a run, step by step and portrait by portrait."""

from __future__ import annotations

import math

import pytest

from pie_framework.optimisation.history import History, HistoryRow


@pytest.fixture
def history() -> History:
    """Three portraits: 1 stops in the first stage, 0 in the second; "b" is of the second alone, "c" of the last."""
    weights = {"a": 2.0}
    return History(
        [
            HistoryRow("w", 1, (0, 1, 2), [1.0, 2.0, 3.0], {"a": [0.5, 1.0, 1.5]}, weights),
            HistoryRow("w", 2, (0, 2), [1.5, 2.5], {"a": [0.75, 1.25]}, weights),
            HistoryRow("v", 1, (0, 2), [0.25, 0.5], {"a": [0.1, 0.2], "b": [7.0, 8.0]}, {"a": 1.0, "b": 3.0}),
            HistoryRow("x", 1, (2,), [0.125], {"a": [0.0625], "c": [9.0]}, {"a": 1.0, "c": 4.0}),
        ]
    )


def test_the_energies_of_a_portrait_in_a_stage(history: History) -> None:
    assert history.totals("w", 0) == [1.0, 1.5]
    assert history.totals("w", 1) == [2.0]
    assert history.totals("w", 2) == [3.0, 2.5]
    assert history.totals("v", 1) == []
    assert history.totals("v", 2) == [0.5]
    assert history.totals("x", 2) == [0.125]


def test_the_last_step_of_each_portrait(history: History) -> None:
    assert [history.last(i) for i in range(3)] == [history.rows[2], history.rows[0], history.rows[3]]
    assert history.last(3) is None and History().last(0) is None


def test_the_energies_where_each_portrait_stopped(history: History) -> None:
    assert history.last_energies(4) == {
        "total": [0.25, 2.0, 0.125, None],
        "raw": {"a": [0.1, 1.0, 0.0625, None], "c": [None, None, 9.0, None]},
        "weights": {"a": 1.0, "c": 4.0},
    }
    assert History().last_energies(2) == {}


def test_the_part_that_is_not_finite() -> None:
    raw = {"a": [1.0, math.nan, 1.0], "b": [1.0, math.inf, -math.inf]}
    row = HistoryRow("w", 1, (4, 5, 7), [math.inf, math.nan, math.nan], raw, {})
    assert [row.non_finite_part(portrait) for portrait in (4, 5, 7)] == ["total", "a", "b"]
    assert HistoryRow("w", 1, (0,), [1.0], {"a": [1.0]}, {}).non_finite_part(0) is None
