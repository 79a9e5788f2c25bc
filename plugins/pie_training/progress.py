"""How far a training has come: its budget, its curve, its state; and the layout of θ in a weight file."""

from __future__ import annotations

import csv
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch

from pie_framework.api.layout import Block, Layout
from pie_framework.errors import ConfigError, RunError

StrPath = str | os.PathLike[str]
#: What a budget of seconds may be counted by.
CLOCKS = {"wall": time.monotonic, "cpu": time.process_time}


@dataclass
class Budget:
    """How long a recipe may go on: a number of steps, a number of seconds, or whichever comes first.

    Attributes:
        steps: steps of the whole training; 0 for no limit.
        seconds: seconds of the whole training, over all its resumed parts; 0 for no limit.
        step: steps taken.
        elapsed: seconds spent in earlier parts.
        clock: "wall", or "cpu" to count this process's own processor seconds (on a busy machine).
    """

    steps: int = 0
    seconds: float = 0.0
    step: int = 0
    elapsed: float = 0.0
    clock: str = "wall"
    _since: float = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if self.clock not in CLOCKS:
            raise ConfigError(f"clock is '{self.clock}'; it must be 'wall' or 'cpu'")
        self.start()
        if self.steps < 0 or self.seconds < 0 or not (self.steps or self.seconds):
            raise ConfigError(
                "a training needs a limit: steps or seconds must be positive", "Set one or both."
            )

    def start(self) -> None:
        """Count from now on."""
        self._since = CLOCKS[self.clock]()

    def spent(self) -> float:
        """Seconds spent, earlier parts included."""
        return self.elapsed + CLOCKS[self.clock]() - self._since

    def fraction(self, spent: float) -> float:
        """Share of the budget that is used up, 0 to 1, after `spent` seconds; learning rates follow it."""
        by_steps = self.step / self.steps if self.steps else 0.0
        by_time = spent / self.seconds if self.seconds else 0.0
        return min(1.0, max(by_steps, by_time))


class Curve:
    """A CSV file that grows by one row per report.

    Args:
        path: the file.
        keep_until: keep the rows up to this step, as a resumed training repeats the others; None keeps none.
    """

    def __init__(self, path: StrPath, keep_until: int | None = None) -> None:
        self.path = Path(path)
        kept = [] if keep_until is None else [r for r in self.rows() if int(r["step"]) <= keep_until]
        self._write(kept)

    def rows(self) -> list[dict[str, str]]:
        if not self.path.exists():
            return []
        with self.path.open(newline="") as file:
            return list(csv.DictReader(file))

    def add(self, step: int, values: Mapping[str, float]) -> None:
        row = {"step": str(step), **{name: f"{value:.6g}" for name, value in values.items()}}
        self._write([*self.rows(), row])

    def _write(self, rows: Sequence[Mapping[str, str]]) -> None:
        names = list(dict.fromkeys(name for row in rows for name in row)) or ["step"]
        part = self.path.with_name(self.path.name + ".part")
        with part.open("w", newline="") as file:
            writer = csv.DictWriter(file, names)
            writer.writeheader()
            writer.writerows(rows)
        part.replace(self.path)


def save_state(path: StrPath, state: Mapping[str, Any]) -> None:
    """Write a training state (tensors, numbers, text, and lists and dicts of them), all or nothing."""
    part = Path(path).with_name(Path(path).name + ".part")
    torch.save(dict(state), part)
    part.replace(path)


def load_state(path: StrPath) -> dict[str, Any]:
    """Read what `save_state` wrote; RunError when it cannot be read. Runs no code from the file."""
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # damaged files raise anything
        reason = error.strerror if isinstance(error, OSError) else type(error).__name__
        raise RunError(
            f"{path} cannot be read as a training state ({reason})", "Delete it to start again."
        ) from error
    if not isinstance(state, dict):
        raise RunError(f"{path} is not a training state", "Delete it to start again.")
    return state


def settings_as_notes(settings: Any, folders: Sequence[str] = ()) -> dict[str, Any]:
    """A settings dataclass as JSON values for the notes of a weight file, without its local folders."""
    return {name: value for name, value in asdict(settings).items() if name not in folders}


def layout_as_values(layout: Layout) -> list[dict[str, Any]]:
    """The blocks as JSON values, for the metadata of a weight file."""
    return [asdict(block) for block in layout.blocks]


def layout_from_values(values: Sequence[Mapping[str, Any]]) -> Layout:
    """The inverse of `layout_as_values`; KeyError or TypeError when the values are something else."""
    return Layout(tuple(Block(**{**block, "names": tuple(block["names"])}) for block in values))
