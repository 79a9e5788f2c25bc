"""The solver's state and its energies as tensors and text, and back, bit for bit."""

from __future__ import annotations

import json
from collections.abc import Mapping
from itertools import groupby

import torch
from torch import Tensor

from pie_framework.errors import RunError
from pie_framework.solver import History, HistoryRow, SolverState

FORMAT = "pie.checkpoint"
VERSION = 1


def pack(state: SolverState, history: History) -> tuple[dict[str, Tensor], dict[str, str]]:
    """A state and the energies so far as named tensors and text for a safetensors file."""
    tensors = {"variable": state.variable.detach().cpu().contiguous()}
    for i, value in enumerate(state.optimizer):
        tensors[f"optimizer.{i}"] = value.detach().cpu().contiguous()
    runs = []
    for index, ((stage, weights), rows) in enumerate(groupby(history.rows, key=_kind)):
        chunk = list(rows)
        values = [[row.total, *(row.raw[name] for name in json.loads(weights))] for row in chunk]
        tensors[f"history.{index}"] = torch.tensor(values, dtype=torch.float64)
        runs.append({"stage": stage, "first_step": chunk[0].step, "weights": json.loads(weights)})
    metadata = {
        "format": FORMAT,
        "version": str(VERSION),
        "stage": str(state.stage),
        "step": str(state.step),
        "total_steps": str(state.total_steps),
        "optimizer_tensors": str(len(state.optimizer)),
        "history": json.dumps(runs),
    }
    return tensors, metadata


def _kind(row: HistoryRow) -> tuple[str, str]:
    return row.stage, json.dumps(row.weights)


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
        state = SolverState(
            variable=tensors["variable"].to(device),
            optimizer=tuple(tensors[f"optimizer.{i}"].to(device) for i in range(count)),
            stage=int(metadata["stage"]),
            step=int(metadata["step"]),
            total_steps=int(metadata["total_steps"]),
        )
        history = History()
        for index, run in enumerate(json.loads(metadata["history"])):
            weights = {str(name): float(weight) for name, weight in run["weights"].items()}
            for offset, row in enumerate(tensors[f"history.{index}"].tolist()):
                raw = dict(zip(weights, row[1:], strict=True))
                history.rows.append(
                    HistoryRow(run["stage"], run["first_step"] + offset, row[0], raw, dict(weights))
                )
    except (KeyError, ValueError, TypeError, json.JSONDecodeError) as error:
        raise RunError(f"'{where}' is damaged ({error})", "Start the run anew.") from error
    return state, history
