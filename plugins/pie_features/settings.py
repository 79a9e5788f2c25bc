"""Settings of the feature networks and of their training. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from annotated_types import Ge, Gt, IsFinite

from pie_framework.api import MISSING, AssetPath
from pie_training import TrainerSettings
from pie_training.settings import Batch

#: Eyes, nose's tip and mouth's corners in a portrait aligned as FFHQ's are, x and y of each in fractions of its sides,
#: image-left first. FFHQ's alignment puts the eyes' middle at (0.5, 0.472) and the mouth's at (0.5, 0.75), with the
#: eyes 0.25 apart; as in ArcFace's template, the nose's tip lies half-way, the mouth's corners 0.83 of that apart.
FFHQ_POINTS = (0.375, 0.472, 0.625, 0.472, 0.5, 0.611, 0.3965, 0.75, 0.6035, 0.75)
Gain = Annotated[IsFinite[float], Gt(0)]


@dataclass(frozen=True)
class RecognitionSettings:
    """Ψ.

    Attributes:
        weights: weight file.
        layers: what `features` returns, of stage1 .. stage4 and embedding.
        normalize: scale the features to a mean square of one over the channels, so that layers weigh alike.
    """

    weights: AssetPath = "pkg://pie_synthetic/weights/recognition.safetensors"
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

    weights: AssetPath = "pkg://pie_synthetic/weights/perceptual.safetensors"
    layers: tuple[str, ...] = ("scale1", "scale2", "scale3", "scale4")
    normalize: bool = True


@dataclass(frozen=True)
class Vgg16Settings:
    """Φ by VGG-16.

    Attributes:
        weights: the checkpoint, in torchvision's layout or converted.
        heads: LPIPS's linear heads (its weights/v0.1/vgg.pth); null for none.
        layers: what `features` returns: conv1_1 .. conv5_3 before, relu1_1 .. relu5_3 after the rectification.
        size: images are reduced until no side exceeds so many pixels; 0 takes them as they are.
        normalize: scale the features to a mean square of one over the channels, so that layers weigh alike; without it,
            the plain maps. Heads bring their own scaling.
        gain: factor of squared differences, above 0.
    """

    weights: AssetPath = MISSING
    heads: AssetPath | None = None
    layers: tuple[str, ...] = ("relu1_2", "relu2_2", "relu3_3", "relu4_3", "relu5_3")
    size: Annotated[int, Ge(0)] = 256
    normalize: bool = True
    gain: Gain = 1.0


@dataclass(frozen=True)
class VggFaceSettings:
    """Ψ by VGG-Face-16.

    Attributes:
        weights: the checkpoint, in one of its public layouts or converted.
        layers: what `features` returns: as of VGG-16, and fc6 and fc7 after the rectification.
        crop: left, top, right, bottom of the face's square in fractions of the portrait's sides.
        order: colours the file's first convolution expects: rgb, bgr, or auto, by the file's layout.
        embedding: what identity is read from: fc7 or fc6.
        normalize: scale the features to a mean square of one over the channels, so that layers weigh alike.
        gain: factor of squared differences, above 0.
    """

    weights: AssetPath = MISSING
    layers: tuple[str, ...] = ("relu3_3", "relu4_3", "relu5_3", "fc7")
    crop: tuple[float, float, float, float] = (0.09375, 0.125, 0.90625, 0.9375)
    order: Literal["auto", "rgb", "bgr"] = "auto"
    embedding: Literal["fc6", "fc7"] = "fc7"
    normalize: bool = True
    gain: Gain = 1.0


@dataclass(frozen=True)
class ArcFaceSettings:
    """Ψ by ArcFace.

    Attributes:
        weights: the checkpoint, insightface's backbone.pth of any depth or converted.
        layers: what `features` returns, of stage1 .. stage4 and embedding.
        points: eyes, nose's tip and mouth's corners of an aligned portrait, x and y of each in fractions of its sides.
        normalize: scale the features to a mean square of one over the channels, so that layers weigh alike.
        gain: factor of squared differences, above 0.
    """

    weights: AssetPath = MISSING
    layers: tuple[str, ...] = ("stage2", "stage3", "stage4", "embedding")
    points: tuple[float, float, float, float, float, float, float, float, float, float] = FFHQ_POINTS
    normalize: bool = True
    gain: Gain = 1.0


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

    batch: Batch = 128
    margin_kind: Literal["cosface", "arcface"] = "cosface"
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

    batch: Batch = 16
    landmark_weight: float = 0.3
    description_weight: float = 0.5
