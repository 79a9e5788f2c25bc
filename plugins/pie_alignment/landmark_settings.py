"""Settings of the landmark detector and of its training. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass

from pie_framework.training import TrainerSettings


@dataclass(frozen=True)
class LandmarkSettings:
    """The landmark detector.

    Attributes:
        weights: weight file.
    """

    weights: str = "pkg://pie_synthetic/weights/landmarks.safetensors"


@dataclass(frozen=True)
class LandmarkTraining(TrainerSettings):
    """How the landmark detector is trained.

    Attributes:
        batch: portraits in a step.
        heat_weight: weight of the heat maps' shape beside the position.
        degrees: largest turn of a training portrait.
        scale: largest change of its size, as a fraction.
        shift: largest shift, as a fraction of the side.
    """

    batch: int = 32
    heat_weight: float = 0.2
    degrees: float = 10.0
    scale: float = 0.1
    shift: float = 0.05
