"""Landmarks that the user gives for the photos; what is generated is still looked at by a detector."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL.Image import Image
from torch import Tensor

from pie_alignment.landmark_settings import FileLandmarkSettings
from pie_alignment.point_files import SUFFIXES, PointSets, read_points
from pie_alignment.point_sets import FIVE, OURS, is_mirrored, to_66
from pie_framework.api import BuildContext, Kind, LandmarkDetector
from pie_framework.errors import ConfigError, InputError

FloatArray = NDArray[np.float64]
#: How far beyond the photo a point may lie, as a fraction of the photo's side.
BEYOND = 0.5


class FileLandmarks:
    """The landmarks of photos from a file or a folder, and another detector for all other images.

    Args:
        path: a file of points, or a folder with one file per photo, called as the photo.
        settings: which photos are the run's, and where coordinates are counted from.
        others: looks at every image that is not one of those photos.

    Raises:
        InputError: a file cannot be used.
    """

    def __init__(self, path: Path, settings: FileLandmarkSettings, others: LandmarkDetector) -> None:
        self._path, self._settings, self._others = path, settings, others
        self.num_landmarks = others.num_landmarks
        if self.num_landmarks != OURS:
            raise ConfigError(
                f"landmarks.others='{settings.others}' finds {self.num_landmarks} landmarks, not {OURS}"
            )
        photos = [settings.photo] if isinstance(settings.photo, str) else settings.photo or []
        self._photos = {Path(name).name for name in photos if not name.startswith("example")}
        self._sets: PointSets | None = None if path.is_dir() else read_points(path, settings.origin)
        if self._sets is not None and None in self._sets and len(self._photos) > 1:
            raise InputError(
                f"'{path}' has one set of points for {len(self._photos)} photos",
                "Give a folder with one file per photo, or JSON as {photo: points}.",
            )

    def detect(self, image: Tensor) -> Tensor:
        """(B, 3, H, W) in [-1, 1] -> (B, 66, 2) pixels of that image, by the other detector."""
        return self._others.detect(image)

    def faces(self, photo: Image) -> Sequence[FloatArray]:
        """The points given for a photo as its only face, (5 or 66, 2) photo pixels; none for photos not of this run.

        Raises:
            InputError: the points of a photo of this run are missing, or do not fit the photo.
        """
        name = Path(str(photo.info.get("path", ""))).name
        points = self._points(name)
        return [] if points is None else [_fitting(points, photo, self._where(name))]

    def given(self, photo: Image) -> FloatArray | None:
        """The 66 landmarks given for a photo, (66, 2) photo pixels; None where there are none or only five points."""
        found = self.faces(photo)
        return found[0] if found and len(found[0]) == OURS else None

    def _points(self, name: str) -> FloatArray | None:
        of_this_run = not name or not self._photos or name in self._photos
        if self._sets is None:
            if not name:
                return None
            found = [f for s in SUFFIXES for f in (self._path / f"{Path(name).stem}{s}",) if f.is_file()]
            if found:
                sets = read_points(found[0], self._settings.origin)
                return sets.get(None, sets.get(name))
        elif None in self._sets:
            return self._sets[None] if of_this_run else None
        else:
            for key, points in self._sets.items():
                if key in (name, Path(name).stem):
                    return points
        if of_this_run and name:
            raise InputError(
                f"'{self._path}' has no points for the photo '{name}'",
                f"Add {Path(name).stem}.json to the folder."
                if self._sets is None
                else "Add them by its name.",
            )
        return None

    def _where(self, name: str) -> str:
        return f"the points in '{self._path}'" + (f" for '{name}'" if name else "")


def _fitting(points: FloatArray, photo: Image, where: str) -> FloatArray:
    """The points in the pixels of the photo as it was read, checked against it; 5 or 66 of them."""
    full = photo.info.get("full_size", photo.size)
    scaled = points * (np.array(photo.size) / np.array(full))
    low, high = scaled.min(axis=0), scaled.max(axis=0)
    size = np.array(photo.size, dtype=np.float64)
    centre = scaled.mean(axis=0)
    if (
        (low < -BEYOND * size).any()
        or (high > (1 + BEYOND) * size).any()
        or (centre < 0).any()
        or (centre > size).any()
    ):
        raise InputError(
            f"{where} lie outside the photo of {full[0]} x {full[1]} pixels: x from {points[:, 0].min():.0f} to "
            f"{points[:, 0].max():.0f}, y from {points[:, 1].min():.0f} to {points[:, 1].max():.0f}",
            "They are pixels of the upright photo, x to the right, y down.",
        )
    if is_mirrored(scaled):
        raise InputError(
            f"{where} have left and right exchanged, or lie on one line",
            "The eye on the photo's left comes first; docs/formats/landmarks.md shows the order.",
        )
    return scaled if len(scaled) == FIVE else to_66(scaled)


def build(config: FileLandmarkSettings, context: BuildContext) -> FileLandmarks:
    """The detector from a user's file or folder."""
    if not config.path:
        raise ConfigError("landmarks.path is not given", "Give a file of points or a folder of them.")
    if config.others == "file":
        raise ConfigError("landmarks.others is 'file' itself", "Try landmarks.others=embedded.")
    path = Path(config.path).expanduser()
    if not path.is_dir():
        path = Path(context.asset(config.path))
    return FileLandmarks(path, config, context.get(Kind.LANDMARKS, config.others))
