"""The solver's state and its energies as tensors and text, and back, bit for bit."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from itertools import groupby
from typing import Any

import torch
from torch import Tensor

from pie_framework.errors import RunError
from pie_framework.optimisation.history import History, HistoryRow
from pie_framework.optimisation.state import PortraitStatus, SolverState, Termination

#: What a state has of each portrait, beside the optimizer's tensors.
ROWS = ("variable", "fault", "undone", "moved")
FORMAT = "pie.checkpoint"
#: 2: portraits that stopped by themselves.
VERSION = 2


def pack(state: SolverState, history: History) -> tuple[dict[str, Tensor], dict[str, str]]:
    """A state and the energies so far as named tensors and text for a safetensors file."""
    tensors = {name: getattr(state, name) for name in ROWS}
    tensors |= {f"optimizer.{i}": value for i, value in enumerate(state.optimizer)}
    runs: list[dict[str, Any]] = []
    for (stage, portraits, weights), rows in groupby(history.rows, key=_kind):
        chunk, weight_of = list(rows), json.loads(weights)
        energies = [[row.total, *(row.raw[name] for name in weight_of)] for row in chunk]
        tensors[f"history.{len(runs)}"] = torch.tensor(energies, dtype=torch.float64)
        first = {"stage": stage, "first_step": chunk[0].step, "portraits": portraits, "weights": weight_of}
        runs.append(first)
    metadata = {
        "format": FORMAT,
        "version": str(VERSION),
        "stage": str(state.stage),
        "step": str(state.step),
        "total_steps": str(state.total_steps),
        "optimizer_tensors": str(len(state.optimizer)),
        "portraits": json.dumps([dataclasses.asdict(portrait) for portrait in state.portraits]),
        "history": json.dumps(runs),
    }
    return tensors, metadata


def _kind(row: HistoryRow) -> tuple[str, tuple[int, ...], str]:
    """Rows that lie in one tensor agree in this."""
    return row.stage, row.portraits, json.dumps(row.weights)


def unpack(
    tensors: Mapping[str, Tensor], metadata: Mapping[str, str], device: torch.device, where: str
) -> tuple[SolverState, History]:
    """The inverse of `pack`.

    Args:
        tensors, metadata: what the file held.
        device: where the state is wanted.
        where: the file, for messages.

    Raises:
        RunError: it is not a checkpoint, is damaged, or is of a newer version.
    """
    if metadata.get("format") != FORMAT:
        raise RunError(f"'{where}' is not a checkpoint of a run")
    if not metadata.get("version", "").isdigit() or int(metadata["version"]) > VERSION:
        raise RunError(f"'{where}' was written by a newer pie-framework", "Upgrade pie-framework.")
    try:
        count = int(metadata["optimizer_tensors"])
        rows = _rows(tensors, int(metadata["version"]), int(metadata["total_steps"]))
        batch = len(rows["variable"])
        portraits = json.loads(metadata["portraits"]) if "portraits" in metadata else [{}] * batch
        state = SolverState(
            **{name: rows[name].to(device) for name in ROWS},
            optimizer=tuple(tensors[f"optimizer.{i}"].to(device) for i in range(count)),
            stage=int(metadata["stage"]),
            step=int(metadata["step"]),
            total_steps=int(metadata["total_steps"]),
            portraits=tuple(_portrait(values) for values in portraits),
        )
        history = History()
        for index, run in enumerate(json.loads(metadata["history"])):
            weights = {str(name): float(weight) for name, weight in run["weights"].items()}
            taking = tuple(run.get("portraits", range(batch)))
            for step, (total, *raw) in enumerate(tensors[f"history.{index}"].tolist(), run["first_step"]):
                parts = dict(zip(weights, raw, strict=True))
                history.rows.append(HistoryRow(run["stage"], step, taking, total, parts, dict(weights)))
    except (KeyError, ValueError, TypeError) as error:
        raise RunError(f"'{where}' is damaged ({error})", "Start the run anew.") from error
    return state, history


def _rows(tensors: Mapping[str, Tensor], version: int, steps: int) -> dict[str, Tensor]:
    """The tensors with one row for each portrait; a checkpoint of version 1 has the variable alone."""
    if version > 1:
        return {name: tensors[name] for name in ROWS}
    variable = tensors["variable"]
    zeros = torch.zeros(len(variable), dtype=torch.int64)
    moved = torch.full_like(zeros, steps).bool()
    return {"variable": variable, "fault": zeros, "undone": zeros, "moved": moved}


def _portrait(values: Mapping[str, Any]) -> PortraitStatus:
    ending = values.get("ending")
    return PortraitStatus(**{**values, "ending": None if ending is None else Termination(ending)})
