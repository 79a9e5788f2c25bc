"""Settings of the feature networks and of their training. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass

from pie_framework.training import TrainerSettings


@dataclass(frozen=True)
class RecognitionSettings:
    """Ψ.

    Attributes:
        weights: weight file.
        layers: what `features` returns, of stage1 .. stage4 and embedding.
        normalize: scale the features to a mean square of one over the channels, so that layers weigh alike.
    """

    weights: str = "pkg://pie_synthetic/weights/recognition.safetensors"
    layers: tuple[str, ...] = ("stage2", "stage3", "stage4", "embedding")
    normalize: bool = True


@dataclass(frozen=True)
class PerceptualSettings:
    """Φ.

    Attributes:
        weights: weight file.
        layers: what `features` returns, of scale1 .. scale4 (1/2 to 1/16 of the size).
        normalize: scale the features to a mean square of one over the channels, so that layers weigh alike.
    """

    weights: str = "pkg://pie_synthetic/weights/perceptual.safetensors"
    layers: tuple[str, ...] = ("scale1", "scale2", "scale3", "scale4")
    normalize: bool = True


@dataclass(frozen=True)
class RecognitionTraining(TrainerSettings):
    """How Ψ is trained.

    Attributes:
        batch: portraits in a step, two of each person.
        margin_kind: "cosface" (margin on the cosine) or "arcface" (margin on the angle).
        margin: the margin, in cosines or radians.
        scale: factor of the cosines before the softmax.
        description_weight: weight of reading the person's coefficients from the embedding.
        masked: fraction of portraits whose surroundings are replaced.
        surroundings: labels of the regions that do not belong to the person: background (0) and clothes (1).
        loose: labels of regions that count little; half of those portraits lose them too: hair (3).
    """

    batch: int = 128
    margin_kind: str = "cosface"
    margin: float = 0.2
    scale: float = 24.0
    description_weight: float = 5.0
    masked: float = 0.7
    surroundings: tuple[int, ...] = (0, 1)
    loose: tuple[int, ...] = (3,)


@dataclass(frozen=True)
class PerceptualTraining(TrainerSettings):
    """How Φ is trained.

    Attributes:
        batch: portraits in a step.
        landmark_weight: weight of finding the landmarks beside labelling the regions.
        description_weight: weight of reading θ (pose, expression, light, person).
    """

    batch: int = 16
    landmark_weight: float = 0.3
    description_weight: float = 0.5
