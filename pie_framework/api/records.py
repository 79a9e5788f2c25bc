"""Values that travel between components. Shapes: B batch, V vertices, F faces, K landmarks, H and W pixels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
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
