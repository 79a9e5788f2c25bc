"""The aligners: by the face (`ffhq`), by the centre (`none`), and whichever fits (`auto`)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from PIL import Image

from pie_alignment.alignment import FRAMINGS, Framing, portrait_square, square_to_affine
from pie_alignment.cascades import Face, find_faces
from pie_alignment.cutting import cut_portrait
from pie_alignment.point_sets import face_points, size_of
from pie_alignment.settings import AlignerSettings
from pie_framework.api import AlignedPortrait, BuildContext, EmptyConfig, Kind, PhotoLandmarks
from pie_framework.errors import ConfigError, InputError
from pie_framework.images.affine import IDENTITY, Affine

Detector = Callable[[], object]


class FaceAligner:
    """FFHQ's alignment on the eyes and the mouth that landmarks or opencv's cascades find.

    Args:
        settings: of the aligner.
        landmarks: gives the run's landmark detector when a photo is aligned; None where there is none.
    """

    def __init__(self, settings: AlignerSettings, landmarks: Detector | None = None) -> None:
        self.settings = settings
        self._landmarks = landmarks
        self.framing = _framing(settings)

    def align(self, photo: Image.Image, size: int) -> AlignedPortrait:
        """The face of an RGB photo, upright, at `size` x `size`; InputError if there is none, or not the one asked."""
        settings = self.settings
        faces = self._faces(photo)
        chosen = self._choose(faces, photo)
        square = portrait_square(
            chosen.points, self.framing, settings.scale, (settings.shift_x, settings.shift_y)
        )
        to_source = square_to_affine(square, size)
        portrait = cut_portrait(photo, to_source, size, settings.padding)
        return AlignedPortrait(portrait, to_source, photo.size, faces=len(faces))

    def _faces(self, photo: Image.Image) -> list[Face]:
        """The faces of a photo, the largest first, by what `points` says."""
        asked = self.settings.points
        detector = None if asked == "cascades" or self._landmarks is None else self._landmarks()
        if isinstance(detector, PhotoLandmarks):
            found = [Face(face_points(points), size_of(points), 2) for points in detector.faces(photo)]
            if found or asked == "landmarks":
                return found
        elif asked == "landmarks":
            raise ConfigError(
                "aligner.points=landmarks needs landmarks that can look at a whole photo",
                "Try landmarks=mediapipe or landmarks=file; or aligner.points=cascades.",
            )
        return find_faces(photo, self.settings.fallback)

    def _choose(self, faces: list[Face], photo: Image.Image) -> Face:
        number = self.settings.face
        if not faces:
            raise InputError(
                f"no face was found in {photo_name(photo)}",
                "Use a photo whose face is seen from the front, or aligner=none for a ready crop.",
            )
        if number >= len(faces):
            found = "1 face was" if len(faces) == 1 else f"{len(faces)} faces were"
            raise InputError(
                f"aligner.face={number} asks for face {number + 1} by size, but {found} found in {photo_name(photo)}",
                "Use aligner.face=0." if len(faces) == 1 else f"Use aligner.face=0 to {len(faces) - 1}.",
            )
        return faces[number]


class CentreAligner:
    """The largest centred square, resized; looks for no face."""

    def align(self, photo: Image.Image, size: int) -> AlignedPortrait:
        """The centre of an RGB photo at `size` x `size`; a photo of that size is returned as it is."""
        width, height = photo.size
        if width == height == size:
            return AlignedPortrait(photo.copy(), IDENTITY, photo.size)
        side = min(width, height)
        step = side / size
        to_source: Affine = (step, 0.0, (width - side) / 2.0, 0.0, step, (height - side) / 2.0)
        return AlignedPortrait(cut_portrait(photo, to_source, size, "edge"), to_source, photo.size)


class AutoAligner:
    """A square photo of the size asked for is a ready portrait; any other is aligned by its face."""

    def __init__(self, settings: AlignerSettings, landmarks: Detector | None = None) -> None:
        self.by_face = FaceAligner(settings, landmarks)
        self.by_centre = CentreAligner()

    def align(self, photo: Image.Image, size: int) -> AlignedPortrait:
        """The portrait at `size` x `size`; InputError as from the aligner by face."""
        if photo.size == (size, size):
            return self.by_centre.align(photo, size)
        return self.by_face.align(photo, size)


def photo_name(photo: Image.Image) -> str:
    """How an error names the photo: by its file where that is known."""
    path = getattr(photo, "filename", "") or photo.info.get("path", "")
    return f"'{Path(str(path)).name}'" if path else "the photo"


def _framing(settings: AlignerSettings) -> Framing:
    framing = FRAMINGS[settings.framing]
    if settings.eye_distance is not None:
        ratio = framing.eye_to_mouth / framing.eye_distance
        framing = replace(
            framing, eye_distance=settings.eye_distance, eye_to_mouth=settings.eye_distance * ratio
        )
    if settings.eye_line is not None:
        framing = replace(framing, eye_line=settings.eye_line)
    return framing


def build_ffhq(config: AlignerSettings, context: BuildContext) -> FaceAligner:
    """The aligner `ffhq`."""
    return FaceAligner(config, _detector(context))


def build_centre(config: EmptyConfig, context: BuildContext) -> CentreAligner:
    """The aligner `none`."""
    return CentreAligner()


def build_auto(config: AlignerSettings, context: BuildContext) -> AutoAligner:
    """The aligner `auto`."""
    return AutoAligner(config, _detector(context))


def _detector(context: BuildContext) -> Detector | None:
    """What builds the run's landmark detector when it is first asked for."""
    if context.chosen(Kind.LANDMARKS) is None:
        return None
    return lambda: context.landmarks()
