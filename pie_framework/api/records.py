"""Values that travel between components. Shapes: B batch, V vertices, F faces, K landmarks, H and W pixels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jaxtyping import Float, Int
    from PIL.Image import Image
    from torch import Tensor


@dataclass(frozen=True)
class Mesh:
    """A face model's surface in world space.

    Attributes:
        vertices: model units; x image right, y up, z towards the viewer.
        faces: int64, counter-clockwise seen from outside.
        colours: albedo in [0, 1].
    """

    vertices: Float[Tensor, "B V 3"]
    faces: Int[Tensor, "F 3"]
    colours: Float[Tensor, "B V 3"]


@dataclass(frozen=True)
class Rendering:
    """R(θ): what the face model shows for θ (§1).

    Attributes:
        image: in [-1, 1]; outside the mask it is unspecified.
        mask: 1 on the face region and 0 elsewhere, no gradient.
        landmarks: pixels, origin at the image's top-left corner.
    """

    image: Float[Tensor, "B 3 H W"]
    mask: Float[Tensor, "B 1 H W"]
    landmarks: Float[Tensor, "B K 2"]


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
