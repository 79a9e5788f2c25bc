"""Rendering toolkit for face models: camera, normals, illumination, rasterisation.

World axes: x to the image's right, y up, z towards the viewer; right-handed. Pixel coordinates: x right, y
down, origin at the image's top-left corner, so the centre of pixel (row r, column c) is (c + 0.5, r + 0.5).
Faces whose corners run counter-clockwise when seen by the camera are front-facing. Everything is batch
first and runs on any device.
"""

from __future__ import annotations

from pie_framework.rendering.antialiasing import downsample
from pie_framework.rendering.camera import (
    PerspectiveCamera,
    euler_to_matrix,
    matrix_to_euler,
    mirror_rotation,
)
from pie_framework.rendering.illumination import (
    ambient_light,
    directional_light,
    dominant_direction,
    mirror_illumination,
    sh_basis,
    shade,
    soft_shoulder,
)
from pie_framework.rendering.normals import face_normals, vertex_normals
from pie_framework.rendering.rasteriser import Fragments, interpolate, rasterise

__all__ = [
    "Fragments",
    "PerspectiveCamera",
    "ambient_light",
    "directional_light",
    "dominant_direction",
    "downsample",
    "euler_to_matrix",
    "face_normals",
    "interpolate",
    "matrix_to_euler",
    "mirror_illumination",
    "mirror_rotation",
    "rasterise",
    "sh_basis",
    "shade",
    "soft_shoulder",
    "vertex_normals",
]
