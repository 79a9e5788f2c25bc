"""The landmark detector of MediaPipe Tasks (FaceLandmarker, 478 points), brought to the 66.

It is not differentiable: images are detached, go to the CPU as 8-bit pictures one by one, and the points come back to
the image's device. The energies need no gradient through it: they ask for the landmarks of the portrait and of the
images drawn from the prior, never for those of G(w).
"""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from functools import cached_property
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL.Image import Image
from torch import Tensor
from torch.nn import functional

from pie_alignment.landmark_settings import MediapipeSettings
from pie_alignment.point_sets import MEDIAPIPE, OURS, size_of, to_66
from pie_framework.api import BuildContext
from pie_framework.errors import AssetError, ComponentError, ConfigError, InputError

#: Larger model files are not read; Google's have about 4 MB.
MAX_BYTES = 256 << 20
#: More entries than any task file has.
MAX_ENTRIES = 64
#: The networks a face landmarker's task file holds.
NETWORKS = ("face_detector.tflite", "face_landmarks_detector.tflite")
#: Images with a smaller side are enlarged to it first.
MIN_SIDE = 256
#: How many faces are looked for in a whole photo.
MAX_FACES = 16
SOURCE = "https://ai.google.dev/edge/mediapipe/solutions/vision/face_landmarker"


class MediapipeLandmarks:
    """66 landmarks of the one face in a portrait, and of the faces in a photo.

    Args:
        model: content of a `face_landmarker.task` file.
        settings: how sure it must be, and what happens where no face is seen.
        neutral: landmarks that stand in for those of an image without a face, as fractions of its side, (66, 2); None
            where such an image is an error.

    Raises:
        ComponentError: mediapipe is not installed or is not the version this was written for.
        AssetError: mediapipe cannot read the model.
    """

    num_landmarks = OURS

    def __init__(
        self, model: bytes, settings: MediapipeSettings, neutral: NDArray[np.float64] | None = None
    ) -> None:
        self._mediapipe = _mediapipe()
        self._model, self._settings, self._neutral = model, settings, neutral
        self._one = self._landmarker(1)

    def detect(self, image: Tensor) -> Tensor:
        """(B, 3, H, W) in [-1, 1] -> (B, 66, 2) pixels of that image, without a gradient.

        Raises:
            InputError: no face is seen in an image, unless `missing=neutral`.
        """
        height, width = image.shape[-2:]
        pictures = _pictures(image)
        found = np.stack([self._in_picture(picture, row) for row, picture in enumerate(pictures)])
        points = torch.from_numpy(found * [width, height])
        return points.to(image.device, image.dtype)

    def faces(self, photo: Image) -> Sequence[NDArray[np.float64]]:
        """The faces of an RGB photo, the largest first, (66, 2) photo pixels each; none where none is seen."""
        pixels = np.ascontiguousarray(np.asarray(photo.convert("RGB")))
        faces = [to_66(points * photo.size) for points in self._ask(self._many, pixels)]
        return sorted(faces, key=size_of, reverse=True)

    def given(self, photo: Image) -> NDArray[np.float64] | None:
        """None: the landmarks of the portrait are looked for in the portrait."""
        return None

    @cached_property
    def _many(self) -> Any:
        return self._landmarker(MAX_FACES)

    def _in_picture(self, pixels: NDArray[np.uint8], row: int) -> NDArray[np.float64]:
        """(66, 2) as fractions of the picture's width and height."""
        faces = self._ask(self._one, pixels)
        if faces:
            return to_66(faces[0])
        if self._neutral is None:
            raise InputError(
                f"mediapipe sees no face in image {row + 1} of the {'batch' if row else 'portrait or batch'}",
                "Lower landmarks.confidence; or, for a generator whose samples are not all faces, "
                "landmarks.missing=neutral.",
            )
        return self._neutral

    def _ask(self, landmarker: Any, pixels: NDArray[np.uint8]) -> list[NDArray[np.float64]]:
        """Each face's 478 points as fractions of the picture's width and height."""
        mediapipe = self._mediapipe
        picture = mediapipe.Image(image_format=mediapipe.ImageFormat.SRGB, data=pixels)
        faces = [
            np.array([[point.x, point.y] for point in face], dtype=np.float64)
            for face in landmarker.detect(picture).face_landmarks
        ]
        for points in faces:
            if points.shape != (MEDIAPIPE, 2) or not np.isfinite(points).all():
                raise AssetError(
                    f"the model gives {len(points)} points of a face, not {MEDIAPIPE}",
                    f"Take face_landmarker.task from {SOURCE}.",
                )
        return faces

    def _landmarker(self, faces: int) -> Any:
        tasks = self._mediapipe.tasks
        confidence = self._settings.confidence
        options = tasks.vision.FaceLandmarkerOptions(
            base_options=tasks.BaseOptions(model_asset_buffer=self._model),
            running_mode=tasks.vision.RunningMode.IMAGE,
            num_faces=faces,
            min_face_detection_confidence=confidence,
            min_face_presence_confidence=confidence,
        )
        try:
            return tasks.vision.FaceLandmarker.create_from_options(options)
        except (RuntimeError, ValueError, OSError) as error:
            raise AssetError(
                f"mediapipe cannot use '{self._settings.model}': {error}",
                f"Take face_landmarker.task from {SOURCE}.",
            ) from None


def _mediapipe() -> Any:
    """The mediapipe module with its Tasks, or an error that says what to install."""
    try:
        import mediapipe  # type: ignore[import-not-found,import-untyped,unused-ignore]
    except ImportError as error:
        absent = isinstance(error, ModuleNotFoundError) and error.name == "mediapipe"
        raise ComponentError(
            "landmarks=mediapipe needs mediapipe, which "
            + ("is not installed" if absent else f"cannot be imported: {error}"),
            'Install it with: pip install "pie-framework[mediapipe]"; or use landmarks=embedded.',
        ) from None
    if not hasattr(getattr(getattr(mediapipe, "tasks", None), "vision", None), "FaceLandmarker"):
        version = getattr(mediapipe, "__version__", "of unknown version")
        raise ComponentError(
            f"mediapipe {version} has no FaceLandmarker",
            'Install one that has with: pip install "pie-framework[mediapipe]".',
        )
    return mediapipe


def _pictures(image: Tensor) -> list[NDArray[np.uint8]]:
    """(B, 3, H, W) in [-1, 1] -> B pictures (H', W', 3) of at least `MIN_SIDE`."""
    values = image.detach().float().cpu()
    shorter = min(values.shape[-2:])
    if shorter < MIN_SIDE:
        size = [round(side * MIN_SIDE / shorter) for side in values.shape[-2:]]
        values = functional.interpolate(values, size, mode="bicubic", align_corners=False)
    pixels = ((values.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)
    return [np.ascontiguousarray(picture.permute(1, 2, 0).numpy()) for picture in pixels]


def read_task(path: Path) -> bytes:
    """The content of a face landmarker's task file, told by what is inside and not by its name.

    Raises:
        AssetError: it is too large, no task file, or the task file of something else.
    """
    get = f"Take face_landmarker.task from {SOURCE}."
    size = path.stat().st_size
    if size > MAX_BYTES:
        raise AssetError(f"'{path}' has {size:,} bytes: it is no face landmarker", get)
    data = path.read_bytes()
    try:
        with zipfile.ZipFile(BytesIO(data)) as archive:
            entries = archive.infolist()
    except (zipfile.BadZipFile, ValueError, EOFError, OSError, NotImplementedError, OverflowError) as error:
        what = "is cut short or damaged" if data.startswith(b"PK") else "is no task file"
        raise AssetError(
            f"'{path}' {what} ({error}); a task file is a zip archive of networks", get
        ) from None
    names = [entry.filename for entry in entries]
    if len(entries) > MAX_ENTRIES or not set(NETWORKS) <= set(names):
        shown = ", ".join(names[:4]) or "nothing"
        raise AssetError(f"'{path}' is no face landmarker: it holds {shown}", get)
    for entry in entries:
        if entry.filename in NETWORKS and (entry.file_size > MAX_BYTES or entry.flag_bits & 1):
            raise AssetError(f"'{path}' declares {entry.file_size:,} bytes for {entry.filename}", get)
    return data


def build(config: MediapipeSettings, context: BuildContext) -> MediapipeLandmarks:
    """The detector from a user's model file."""
    if not config.model:
        raise ConfigError(
            "landmarks.model is not given", f"Give the path of face_landmarker.task, from {SOURCE}."
        )
    model = read_task(Path(context.asset(config.model)))
    neutral = None
    if config.missing == "neutral":
        face_model = context.face_model()
        theta = torch.zeros(1, face_model.layout.size, device=context.device, dtype=context.dtype)
        neutral = face_model.landmarks(theta, 1024)[0].double().cpu().numpy() / 1024
    return MediapipeLandmarks(model, config, neutral)
