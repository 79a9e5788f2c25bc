"""Small helpers for surfaces made of grids of points (NumPy, batch first)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float32]
IntArray = NDArray[np.int64]


def grid_faces(rows: int, columns: int, closed: bool = False) -> IntArray:
    """(F, 3) triangles of a grid whose vertex (r, c) has the index r * columns + c.

    With rows running down and columns running to the image's right as seen from outside, triangles are
    counter-clockwise. `closed` joins the last column to the first.
    """
    row = np.arange(rows - 1)[:, None]
    column = np.arange(columns if closed else columns - 1)[None, :]
    following = (column + 1) % columns
    a, b = row * columns + column, row * columns + following
    c, d = a + columns, b + columns
    triangles = np.stack([np.stack([a, c, b], axis=-1), np.stack([b, c, d], axis=-1)], axis=-2)
    return triangles.reshape(-1, 3).astype(np.int64)


def grid_normals(points: FloatArray, closed: bool = False) -> FloatArray:
    """Unit normals (B, R, C, 3) of the points (B, R, C, 3), outward for the orientation of `grid_faces`."""
    down = np.empty_like(points)
    down[:, 1:-1] = points[:, 2:] - points[:, :-2]
    down[:, 0], down[:, -1] = points[:, 1] - points[:, 0], points[:, -1] - points[:, -2]
    right = np.empty_like(points)
    right[:, :, 1:-1] = points[:, :, 2:] - points[:, :, :-2]
    if closed:
        right[:, :, 0] = points[:, :, 1] - points[:, :, -1]
        right[:, :, -1] = points[:, :, 0] - points[:, :, -2]
    else:
        right[:, :, 0] = points[:, :, 1] - points[:, :, 0]
        right[:, :, -1] = points[:, :, -1] - points[:, :, -2]
    return unit(cross(down, right))


def cross(a: FloatArray, b: FloatArray) -> FloatArray:
    """Cross product along the last axis (several times faster than numpy.cross)."""
    ax, ay, az = a[..., 0], a[..., 1], a[..., 2]
    bx, by, bz = b[..., 0], b[..., 1], b[..., 2]
    return np.stack([ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx], axis=-1)


def unit(vectors: FloatArray) -> FloatArray:
    """Vectors scaled to length one along the last axis."""
    length = np.sqrt((vectors * vectors).sum(-1, keepdims=True))
    result: FloatArray = vectors / np.maximum(length, 1e-8)
    return result


def smoothstep(low: float | FloatArray, high: float | FloatArray, x: FloatArray) -> FloatArray:
    """The cubic step from 0 at `low` to 1 at `high`."""
    t = np.clip((x - low) / (high - low), 0.0, 1.0)
    result: FloatArray = (t * t * (3.0 - 2.0 * t)).astype(np.float32)
    return result


def catmull_rom(keys: int, positions: NDArray[np.floating]) -> FloatArray:
    """(N, keys) weights that interpolate `keys` values at `positions` in [0, keys - 1], ends clamped."""
    weights = np.zeros((len(positions), keys))
    for row, position in enumerate(positions):
        start = int(min(max(np.floor(position), 0), keys - 2))
        t = position - start
        values = (
            -0.5 * t + t * t - 0.5 * t**3,
            1.0 - 2.5 * t * t + 1.5 * t**3,
            0.5 * t + 2.0 * t * t - 1.5 * t**3,
            -0.5 * t * t + 0.5 * t**3,
        )
        for offset, value in zip((-1, 0, 1, 2), values, strict=True):
            weights[row, min(max(start + offset, 0), keys - 1)] += value
    return weights.astype(np.float32)
