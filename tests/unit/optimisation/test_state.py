"""The state of the solver is a value: it cannot be changed, and is taken apart and put together by portraits."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import torch

from pie_framework.api import Networks, PriorDraw
from pie_framework.optimisation.history import HistoryRow
from pie_framework.optimisation.objective import Breakdown, Part, WeightedTerm
from pie_framework.optimisation.problem import Problem
from pie_framework.optimisation.schedule import PriorSettings, Stage
from pie_framework.optimisation.solver import Solution
from pie_framework.optimisation.state import (
    Fault,
    PortraitStatus,
    SolverState,
    StepRecord,
    Termination,
    summary,
)

VALUES = (
    *(SolverState, PortraitStatus, StepRecord, Stage, Problem, Solution, HistoryRow),
    *(WeightedTerm, Part, Breakdown, PriorSettings, PriorDraw, Networks),
)


@pytest.mark.parametrize("kind", VALUES)
def test_values_of_the_engine_are_frozen(kind: Any) -> None:
    assert kind.__dataclass_params__.frozen


def test_a_state_begins_at_the_first_step_and_its_faults_keep_their_numbers() -> None:
    rows = torch.zeros(1, dtype=torch.int64)
    begun = SolverState(torch.zeros(1, 1, 3), (), rows, rows, rows.bool())
    assert (begun.stage, begun.step, begun.total_steps, begun.portraits) == (0, 0, 0, ())
    assert {fault.name: int(fault) for fault in Fault} == {"ENERGY": 1, "GRADIENT": 2, "CHANGE": 3}


def state(portraits: int, layers: int = 1) -> SolverState:
    rows = torch.arange(float(portraits))
    return SolverState(
        variable=rows[:, None, None].expand(-1, layers, 3).clone(),
        optimizer=(rows.clone(), rows[:, None] + torch.tensor([0.0, 10.0])),
        fault=rows.long(),
        undone=rows.long() + 1,
        moved=rows > 1,
        stage=1,
        step=4,
        total_steps=7,
        portraits=tuple(PortraitStatus(message=str(i)) for i in range(portraits)),
    )


@pytest.mark.parametrize("index", [None, torch.tensor([2, 0])])
def test_some_portraits_are_taken_out_with_all_that_is_theirs(index: torch.Tensor | None) -> None:
    part = state(4).take([2, 0], index)
    assert part.variable[:, 0, 0].tolist() == [2.0, 0.0]
    assert [value.tolist() for value in part.optimizer] == [[2.0, 0.0], [[2.0, 12.0], [0.0, 10.0]]]
    assert (part.fault.tolist(), part.undone.tolist(), part.moved.tolist()) == ([2, 0], [3, 1], [True, False])
    assert [portrait.message for portrait in part.portraits] == ["2", "0"]
    assert (part.stage, part.step, part.total_steps) == (1, 4, 7)


@pytest.mark.parametrize("index", [None, torch.tensor([3, 1])])
def test_what_became_of_them_is_put_back_into_their_rows(index: torch.Tensor | None) -> None:
    whole = state(4)
    part = whole.take([3, 1])
    after = SolverState(
        variable=part.variable + 100,
        optimizer=tuple(value + 100 for value in part.optimizer),
        fault=part.fault + 100,
        undone=part.undone + 100,
        moved=~part.moved,
        stage=1,
        step=5,
        total_steps=8,
        portraits=(PortraitStatus(message="not of the whole"),) * 2,
    )
    merged = whole.put([3, 1], after, index)
    assert merged.variable[:, 0, 0].tolist() == [0.0, 101.0, 2.0, 103.0]
    assert merged.optimizer[0].tolist() == [0.0, 101.0, 2.0, 103.0]
    assert merged.optimizer[1][3].tolist() == [103.0, 113.0]
    assert merged.fault.tolist() == [0, 101, 2, 103]
    assert merged.undone.tolist() == [1, 102, 3, 104]
    assert merged.moved.tolist() == [False, True, True, False]
    assert (merged.step, merged.total_steps) == (5, 8)
    assert [portrait.message for portrait in merged.portraits] == ["0", "1", "2", "3"]
    assert whole.variable[:, 0, 0].tolist() == [0.0, 1.0, 2.0, 3.0], "the state before stays"


def test_an_optimizer_that_had_no_state_gets_rows_for_everyone() -> None:
    whole = state(3)
    empty = SolverState(whole.variable, (), whole.fault, whole.undone, whole.moved, portraits=whole.portraits)
    part = empty.take([1])
    grown = SolverState(part.variable, (torch.ones(1, 2),), part.fault, part.undone, part.moved)
    assert empty.put([1], grown).optimizer[0].tolist() == [[0.0, 0.0], [1.0, 1.0], [0.0, 0.0]]


def test_who_takes_part_in_the_next_step() -> None:
    found = state(4).ended(1, Termination.FAILED, "broken")
    found = found.noted(3, PortraitStatus(settled=True))
    assert found.running == (0, 2)
    assert found.portraits[1] == PortraitStatus(Termination.FAILED, "broken")
    assert found.portraits[0].message == "0"


def test_the_latent_has_a_row_for_every_layer() -> None:
    assert state(2).latent(5).shape == (2, 5, 3)
    assert state(2, layers=5).latent(5).shape == (2, 5, 3)


def test_several_portraits_in_a_sentence() -> None:
    done = PortraitStatus(Termination.FINISHED, "all 3 steps were taken")
    assert summary([done, done]) == (Termination.FINISHED, "all 3 steps were taken")
    nan = PortraitStatus(Termination.NON_FINITE, "it is not finite")
    settled = PortraitStatus(Termination.CONVERGED, "it settled")
    assert summary([settled, nan, done, nan]) == (
        Termination.NON_FINITE,
        "of 4 portraits 2 non-finite, 1 finished, 1 converged; portrait 1: it is not finite",
    )
    assert summary([done, PortraitStatus()])[0] is Termination.INTERRUPTED, (
        "who is still solved was interrupted"
    )
    grave = list(Termination)
    for worse, better in itertools.pairwise(grave):
        assert summary([PortraitStatus(better, "b"), PortraitStatus(worse, "w")])[0] is worse
    assert [str(ending) for ending in Termination] == [ending.value for ending in Termination]
