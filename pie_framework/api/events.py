"""What observers are told. Plain values; nothing here refers to a tensor on a device."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class RunStarted:
    """A run is about to take its first step.

    Attributes:
        folder: the run folder, or None when the run is not kept.
        portraits: number of portraits solved together.
        stages: number of steps of each stage by name.
        terms: names of the energy's parts, as `term` or `term.part`.
    """

    folder: Path | None
    portraits: int
    stages: Mapping[str, int]
    terms: tuple[str, ...]


@dataclass(frozen=True)
class StepsDone:
    """Some more steps were taken.

    Attributes:
        stage: name of the stage.
        step: steps taken in this stage.
        steps: steps this stage may take.
        total: E(w), mean over the portraits.
        weighted: weighted energy of each part, mean over the portraits.
        seconds: since the run started.
    """

    stage: str
    step: int
    steps: int
    total: float
    weighted: Mapping[str, float]
    seconds: float


@dataclass(frozen=True)
class RunEnded:
    """A run ended.

    Attributes:
        folder: the run folder, or None when the run is not kept.
        outcome: "finished", "converged", "non-finite" or "interrupted".
        message: one sentence that explains it.
        seconds: since the run started.
    """

    folder: Path | None
    outcome: str
    message: str
    seconds: float
