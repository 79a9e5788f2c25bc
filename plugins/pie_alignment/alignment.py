"""The oriented square of a face, from its eyes and mouth (Karras et al. 2019, FFHQ's alignment). Pure geometry."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pie_framework.images.affine import Affine

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class FacePoints:
    """Three points of a face in photo pixels; left and right as seen in the photo.

    Attributes:
        left_eye: (x, y) of the eye on the photo's left.
        right_eye: (x, y) of the eye on the photo's right.
        mouth: (x, y) of the middle between the mouth's corners.
    """

    left_eye: tuple[float, float]
    right_eye: tuple[float, float]
    mouth: tuple[float, float]


@dataclass(frozen=True)
class Framing:
    """Where an upright face lies in the portrait, in fractions of the portrait's side.

    Attributes:
        eye_distance: largest distance between the eyes.
        eye_to_mouth: largest distance from between the eyes to the mouth.
        eye_line: height of the eyes from the top, for a face with that `eye_to_mouth`.
    """

    eye_distance: float
    eye_to_mouth: float
    eye_line: float


#: FFHQ's own numbers: half a side is max(2.0 |eye to eye|, 1.8 |eye to mouth|), the centre 0.1 of the way to the mouth.
FFHQ = Framing(eye_distance=1 / 4.0, eye_to_mouth=1 / 3.6, eye_line=0.5 - 0.1 / 3.6)
#: Measured on the mean face of the embedded world.
EMBEDDED = Framing(eye_distance=0.237, eye_to_mouth=0.254, eye_line=0.459)
FRAMINGS = {"ffhq": FFHQ, "embedded": EMBEDDED}


def portrait_square(
    points: FacePoints, framing: Framing, scale: float = 1.0, shift: tuple[float, float] = (0.0, 0.0)
) -> FloatArray:
    """The corners of the oriented square around a face.

    The square's right direction is that of (eye to eye) - rot90(eye to mouth), so that both the eyes and the mouth
    say how the head is tilted. Its side is max(|eye to eye| / eye_distance, |eye to mouth| / eye_to_mouth) times
    `scale`, its centre lies on the line from between the eyes to the mouth.

    Args:
        points: the face.
        framing: where the face shall lie.
        scale: multiplies the side.
        shift: moves the square along its own right and down, as fractions of its side.

    Returns:
        (4, 2) photo pixels: top left, top right, bottom right, bottom left.

    Raises:
        ValueError: the points coincide.
    """
    left = np.asarray(points.left_eye, dtype=np.float64)
    right = np.asarray(points.right_eye, dtype=np.float64)
    eyes = (left + right) / 2.0
    eye_to_eye = right - left
    eye_to_mouth = np.asarray(points.mouth, dtype=np.float64) - eyes
    direction = eye_to_eye + np.array([eye_to_mouth[1], -eye_to_mouth[0]])
    length = float(np.hypot(*direction))
    if not np.isfinite(length) or length < 1e-9:
        raise ValueError(f"no square can be laid around {points}")
    x = direction / length
    y = np.array([-x[1], x[0]])
    side = scale * max(
        float(np.hypot(*eye_to_eye)) / framing.eye_distance,
        float(np.hypot(*eye_to_mouth)) / framing.eye_to_mouth,
    )
    centre = eyes + eye_to_mouth * (0.5 - framing.eye_line) / framing.eye_to_mouth
    centre = centre + side * (shift[0] * x + shift[1] * y)
    half = side / 2.0
    return np.stack(
        [
            centre - half * x - half * y,
            centre + half * x - half * y,
            centre + half * x + half * y,
            centre - half * x + half * y,
        ]
    )


def square_to_affine(square: FloatArray, size: int) -> Affine:
    """The map from the pixels of a portrait of `size` x `size` to the photo, for (4, 2) corners of a square."""
    top_left, top_right, _, bottom_left = np.asarray(square, dtype=np.float64)
    x = (top_right - top_left) / size
    y = (bottom_left - top_left) / size
    return (float(x[0]), float(y[0]), float(top_left[0]), float(x[1]), float(y[1]), float(top_left[1]))
