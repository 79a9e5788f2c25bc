"""Settings of the landmark detectors and of their training. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from annotated_types import Interval

from pie_framework.api import AssetPath
from pie_training import TrainerSettings
from pie_training.settings import Batch


@dataclass(frozen=True)
class LandmarkSettings:
    """The landmark detector.

    Attributes:
        weights: weight file.
    """

    weights: AssetPath = "pkg://pie_synthetic/weights/landmarks.safetensors"


@dataclass(frozen=True)
class MediapipeSettings:
    """MediaPipe's landmark detector.

    Attributes:
        model: the model file, `face_landmarker.task`: a path, or its address among the assets.
        confidence: how sure the detector must be that there is a face, 0 to 1.
        missing: what an image without a face means: `error`, or `neutral` for the face model's neutral landmarks.
    """

    model: AssetPath = "asset://mediapipe-face-landmarker"
    confidence: Annotated[float, Interval(ge=0, le=1)] = 0.5
    missing: Literal["error", "neutral"] = "error"


@dataclass(frozen=True)
class FileLandmarkSettings:
    """Landmarks that the user gives.

    Attributes:
        path: a file of points, or a folder with one file per photo.
        photo: the photo or the photos of the run; a file with one set of points belongs to no other.
        origin: what coordinates count from: `auto`, `corner`, `centre` or `one`.
        others: the detector for every other image, such as those drawn from the prior.
    """

    path: AssetPath = ""
    photo: Any = None
    origin: Literal["auto", "corner", "centre", "one"] = "auto"
    others: str = "embedded"


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

    batch: Batch = 32
    heat_weight: float = 0.2
    degrees: float = 10.0
    scale: float = 0.1
    shift: float = 0.05
