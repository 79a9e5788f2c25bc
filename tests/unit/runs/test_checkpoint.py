from __future__ import annotations

import json

import pytest
import torch

from pie_framework.errors import RunError
from pie_framework.optimisation.history import History, HistoryRow
from pie_framework.optimisation.state import PortraitStatus, SolverState, Termination
from pie_framework.runs.checkpoint import pack, unpack

CPU = torch.device("cpu")


@pytest.fixture
def state() -> SolverState:
    rng = torch.Generator().manual_seed(0)
    return SolverState(
        torch.randn(2, 1, 5, generator=rng),
        (torch.randn(2, 1, 5, generator=rng), torch.arange(2)),
        fault=torch.tensor([0, 2]),
        undone=torch.tensor([0, 3]),
        moved=torch.tensor([True, False]),
        stage=1,
        step=7,
        total_steps=17,
        portraits=(
            PortraitStatus(settled=True, limited=True),
            PortraitStatus(Termination.NON_FINITE, "it broke"),
        ),
    )


@pytest.fixture
def history() -> History:
    rows = [
        HistoryRow(
            "w",
            i + 1,
            (0, 1),
            [1.0 / (i + 1), 2.0],
            {"a": [0.1, 0.2], "b.c": [0.3, 0.4]},
            {"a": 1.0, "b.c": 2.0},
        )
        for i in range(3)
    ]
    rows += [HistoryRow("w_plus", i + 1, (1,), [0.5], {"a": [0.5]}, {"a": 1.0}) for i in range(2)]
    return History(rows)


def test_round_trip_is_exact(state: SolverState, history: History) -> None:
    back, energies = unpack(*pack(state, history), CPU, "x")
    assert torch.equal(back.variable, state.variable)
    assert all(torch.equal(a, b) for a, b in zip(back.optimizer, state.optimizer, strict=True))
    assert (back.stage, back.step, back.total_steps) == (1, 7, 17)
    assert back.portraits == state.portraits
    for name in ("fault", "undone", "moved"):
        kept, read = getattr(state, name), getattr(back, name)
        assert torch.equal(read, kept) and read.dtype == kept.dtype
    assert energies.rows == history.rows


def test_damage_and_newer_versions_are_told(state: SolverState, history: History) -> None:
    tensors, metadata = pack(state, history)
    with pytest.raises(RunError, match="not a checkpoint"):
        unpack(tensors, {}, CPU, "x")
    with pytest.raises(RunError, match="newer"):
        unpack(tensors, {**metadata, "version": "99"}, CPU, "x")
    for broken in (
        {"step": "x"},
        {"history": "{"},
        {"history": '[{"stage": "w"}]'},
        {"optimizer_tensors": "9"},
        {"portraits": '[{"ending": "gone"}]'},
        {"portraits": '[{"colour": 1}]'},
    ):
        with pytest.raises(RunError, match="damaged"):
            unpack(tensors, {**metadata, **broken}, CPU, "x")


def test_a_checkpoint_of_the_first_version_is_read(state: SolverState, history: History) -> None:
    tensors, metadata = pack(state, History(history.rows[:3]))
    runs = [{k: v for k, v in run.items() if k != "portraits"} for run in json.loads(metadata["history"])]
    old = {**metadata, "version": "1", "history": json.dumps(runs)}
    del old["portraits"]
    kept = {name: value for name, value in tensors.items() if name not in ("fault", "undone", "moved")}
    back, energies = unpack(kept, old, CPU, "x")
    assert back.running == (0, 1)
    assert back.fault.tolist() == [0, 0] and back.moved.tolist() == [True, True]
    assert energies.rows == history.rows[:3]
