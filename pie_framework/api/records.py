"""Values that travel between components. Shapes: B batch, V vertices, F faces, K landmarks, H and W pixels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL.Image import Image
    from torch import Tensor


@dataclass(frozen=True)
class Mesh:
    """A face model's surface in world space.

    Attributes:
        vertices: (B, V, 3), model units; x image right, y up, z towards the viewer.
        faces: (F, 3) int64, counter-clockwise seen from outside.
        colours: (B, V, 3) albedo in [0, 1].
    """

    vertices: Tensor
    faces: Tensor
    colours: Tensor


@dataclass(frozen=True)
class Rendering:
    """R(θ): what the face model shows for θ (§1).

    Attributes:
        image: (B, 3, H, W) in [-1, 1]; outside the mask it is unspecified.
        mask: (B, 1, H, W), 1 on the face region and 0 elsewhere, no gradient.
        landmarks: (B, K, 2) pixels, origin at the image's top-left corner.
    """

    image: Tensor
    mask: Tensor
    landmarks: Tensor


@dataclass(frozen=True)
class AlignedPortrait:
    """A portrait cut out of a photo, with the way back.

    Attributes:
        image: RGB, square, in the generator's resolution.
        to_source: the six numbers (a, b, c, d, e, f) of the affine map from portrait pixels (x, y) to photo pixels
            (a x + b y + c, d x + e y + f); pixel coordinates have their origin at the top-left corner.
        source_size: width and height of the photo.
        faces: how many faces were found; 0 when none was looked for.
    """

    image: Image
    to_source: tuple[float, float, float, float, float, float]
    source_size: tuple[int, int]
    faces: int = 0
