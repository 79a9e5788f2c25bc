"""Ambient occlusion of the mean head, baked once per vertex from directions spread over the sphere."""

from __future__ import annotations

import functools
import io
from pathlib import Path

import numpy as np
import torch

from pie_facemodels.procedural import parts
from pie_facemodels.procedural.features import EYE_X
from pie_facemodels.procedural.fields import Array, plateau
from pie_facemodels.procedural.loft import COLUMNS, ROWS
from pie_facemodels.procedural.template import Template, template
from pie_framework.rendering import interpolate, rasterise, vertex_normals

FLOOR, EYE_FLOOR, EYEBALL_FLOOR, NOSE_FLOOR = 0.46, 0.82, 0.86, 0.80
_SHIPPED = Path(__file__).with_name("occlusion.npz")


def _directions(count: int) -> Array:
    """Unit vectors (count, 3) of a Fibonacci sphere."""
    k = np.arange(count) + 0.5
    z = 1 - 2 * k / count
    angle = np.pi * (1 + 5**0.5) * k
    radius = np.sqrt(1 - z * z)
    return np.stack([radius * np.cos(angle), radius * np.sin(angle), z], -1)


def bake(directions: int = 120, size: int = 160, bias: float = 0.035) -> Array:
    """(V,) share of the cosine-weighted sky that each vertex of the mean head sees, in [0, 1]."""
    t = template()
    vertices = torch.from_numpy(t.vertices).float()[None]
    faces = torch.from_numpy(t.faces)
    normals = vertex_normals(vertices, faces, torch.from_numpy(t.seam))[0]
    seen, total = torch.zeros(len(t.vertices)), torch.zeros(len(t.vertices))
    for direction in torch.from_numpy(_directions(directions)).float():
        helper = torch.tensor([0.0, 1.0, 0.0]) if abs(direction[1]) < 0.9 else torch.tensor([1.0, 0.0, 0.0])
        right = torch.nn.functional.normalize(torch.linalg.cross(helper, direction), dim=0)
        up = torch.linalg.cross(direction, right)
        local = vertices[0] @ torch.stack([right, up, direction], 1)
        pixels = torch.stack([size / 2 + local[:, 0] * size / 5.4, size / 2 - local[:, 1] * size / 5.4], -1)
        depth = 5.0 - local[:, 2]
        fragments = rasterise(pixels[None], depth[None], faces, size, cull_backfaces=False, perspective=False)
        nearest = interpolate(fragments, faces, depth[None, :, None])[0, ..., 0]
        nearest = torch.where(fragments.face_index[0] < 0, torch.full_like(nearest, 1e9), nearest)
        at = pixels.floor().long().clamp(0, size - 1)
        cosine = (normals @ direction).clamp_min(0.0)
        seen += cosine * (depth <= nearest[at[:, 1], at[:, 0]] + bias)
        total += cosine
    return np.asarray((seen / total.clamp_min(1e-6)).double().numpy())


def _smoothed(t: Template, values: Array) -> Array:
    """Mirror-symmetric and smoothed along the skin's grid."""
    values = values.copy()
    grid = values[: ROWS * COLUMNS].reshape(ROWS, COLUMNS)
    grid = 0.5 * (grid + grid[:, -np.arange(COLUMNS) % COLUMNS])
    for _ in range(2):
        grid = 0.5 * grid + 0.25 * (np.roll(grid, 1, 1) + np.roll(grid, -1, 1))
        grid[1:-1] = 0.5 * grid[1:-1] + 0.25 * (grid[:-2] + grid[2:])
    values[: ROWS * COLUMNS] = grid.reshape(-1)
    for a, b in (("eye_left", "eye_right"), ("lash_left", "lash_right"), ("ear_left", "ear_right")):
        mean = 0.5 * (values[t.slices[a]] + values[t.slices[b]])
        values[t.slices[a]] = values[t.slices[b]] = mean
    for name in ("teeth_upper", "teeth_lower"):
        strip = values[t.slices[name]].reshape(-1, parts.TOOTH_COLUMNS)
        values[t.slices[name]] = (0.5 * (strip + strip[:, ::-1])).reshape(-1)
    return values


@functools.cache
def occlusion() -> Array:
    """(V,) factor on the shaded colour: FLOOR to 1, brighter near and in the eyes.

    Read from the file in this package; baked (a few seconds) where that does not fit the mesh.
    """
    t = template()
    values = None
    if _SHIPPED.exists():
        values = np.load(_SHIPPED)["visible"].astype(np.float64)
    if values is None or len(values) != len(t.vertices):
        values = bake()
    values = _smoothed(t, values)
    floor = np.full(len(values), FLOOR)
    near = plateau(t.x, t.y, (EYE_X, 0.0), 0.20, 0.34) + plateau(-t.x, t.y, (EYE_X, 0.0), 0.20, 0.34)
    floor += (EYE_FLOOR - FLOOR) * near * t.front
    below = plateau(t.x, t.y, (0.0, -0.50), 0.16, 0.34) * (1.0 - near) * t.front
    floor += (NOSE_FLOOR - FLOOR) * below
    for name in ("eye_left", "eye_right"):
        floor[t.slices[name]] = EYEBALL_FLOOR
    for name in ("teeth_upper", "teeth_lower"):
        floor[t.slices[name]] = 0.80
    return np.asarray(floor + (1.0 - floor) * np.clip(values * 1.08, 0.0, 1.0))


def write(path: Path = _SHIPPED) -> None:
    """Bake and write the file that :func:`occlusion` reads."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, visible=bake().astype(np.float16))
    temporary = path.with_suffix(".tmp")
    temporary.write_bytes(buffer.getvalue())
    temporary.replace(path)
