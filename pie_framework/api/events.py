"""What observers are told: plain values, each a copy of its own; nothing here refers to a tensor on a device."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class RunStarted:
    """A run is about to take its first step.

    Attributes:
        folder: the run folder, or None when the run is not kept.
        portraits: number of portraits solved together.
        stages: number of steps of each stage by name.
        terms: names of the energy's terms.
        config: the resolved configuration as plain values.
        choices: name of the chosen component by role, such as {"generator": "stylegan2", "terms.edit": "edit"}.
        seed: of every random draw.
        inputs: the portraits as they were given.
        plugins: plugin name -> "distribution version" of every plugin that takes part.
    """

    folder: Path | None
    portraits: int
    stages: Mapping[str, int]
    terms: tuple[str, ...]
    config: Mapping[str, Any] = field(default_factory=dict)
    choices: Mapping[str, str] = field(default_factory=dict)
    seed: int = 0
    inputs: tuple[str, ...] = ()
    plugins: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class StepsDone:
    """Some more steps were taken.

    Attributes:
        stage: name of the stage.
        step: steps taken in this stage.
        steps: steps this stage may take.
        total: E(w), mean over the portraits that are still solved.
        weighted: weighted energy of each part, mean over the same portraits.
        seconds: since the run started.
        running: how many portraits are still solved in this stage.
    """

    stage: str
    step: int
    steps: int
    total: float
    weighted: Mapping[str, float]
    seconds: float
    running: int = 1


@dataclass(frozen=True)
class ResultSaved:
    """The latent, the pictures, the edits and the metrics of a run are in its folder.

    Attributes:
        folder: the run folder.
        metrics: measures of the result by name, one value per portrait.
        edits: names of the edits that were made.
    """

    folder: Path
    metrics: Mapping[str, tuple[float, ...]]
    edits: tuple[str, ...]


@dataclass(frozen=True)
class RunFailed:
    """Something stopped the run: a component, a file that cannot be written, memory.

    Attributes:
        folder: the run folder, or None when the run is not kept.
        reason: one sentence.
    """

    folder: Path | None
    reason: str


@dataclass(frozen=True)
class RunEnded:
    """A run ended, however it ended; the last event, after everything is written.

    Attributes:
        folder: the run folder, or None when the run is not kept.
        outcome: "finished", "converged", "stalled", "non-finite", "interrupted" or "failed".
        message: one sentence that explains it.
        seconds: since the run started.
    """

    folder: Path | None
    outcome: str
    message: str
    seconds: float


#: Hook of an observer by the event it is told.
EVENT_HOOKS: Mapping[type, str] = {
    RunStarted: "pie_run_started",
    StepsDone: "pie_steps_done",
    ResultSaved: "pie_result_saved",
    RunFailed: "pie_run_failed",
    RunEnded: "pie_run_ended",
}

Event = RunStarted | StepsDone | ResultSaved | RunFailed | RunEnded
