"""Glasses: two thin rims, a bridge and temples, made of square tubes around the eyes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pie_synthetic.body import Surface
from pie_synthetic.grids import FloatArray, cross, grid_faces, grid_normals, unit

SIDES, RIM_POINTS, BAR_POINTS = 5, 29, 6


@dataclass(frozen=True)
class Glasses:
    """A frame: half-width and half-height of a lens and thickness in model units, exponent, colour (3,)."""

    width: float
    height: float
    thickness: float
    power: float
    colour: FloatArray


def sample_glasses(rng: np.random.Generator, chance: float = 0.09) -> Glasses | None:
    """Draw a frame, or None for most people."""
    if rng.uniform() >= chance:
        return None
    dark = rng.uniform() < 0.7
    tone = np.array([0.07, 0.07, 0.075]) if dark else np.array([0.34, 0.24, 0.14])
    colour = tone * rng.uniform(0.5, 1.4)
    width = float(rng.uniform(0.23, 0.27))
    return Glasses(
        width=width,
        height=width * float(rng.uniform(0.62, 0.86)),
        thickness=float(rng.uniform(0.011, 0.022)),
        power=float(rng.choice([2.0, 2.6, 3.4])),
        colour=colour.astype(np.float32),
    )


def glasses_surface(glasses: Sequence[Glasses | None], eyes: FloatArray, head: FloatArray) -> Surface:
    """Frames in head coordinates; those of people without glasses shrink to a point inside the head.

    Args:
        glasses: one for each head.
        eyes: (B, 2, 3) centres of the eye at negative x and at positive x, on the eye's surface.
        head: (B,) half-width of the head at the temples.
    """
    worn = np.array([g is not None for g in glasses], dtype=np.float32)
    nothing = (0.2, 0.2, 0.0, 2.0)
    sizes = np.array([(g.width, g.height, g.thickness, g.power) if g else nothing for g in glasses])
    width, height, thickness, power = sizes.astype(np.float32).T[..., None]
    colour = np.stack([g.colour if g else np.zeros(3, np.float32) for g in glasses])
    angle = np.linspace(0.0, 2.0 * np.pi, RIM_POINTS, dtype=np.float32)[None]
    level = eyes[:, :, 1].mean(1, keepdims=True) - 0.02
    front = eyes[:, :, 2].max(1, keepdims=True) + 0.16

    def rim(side: int) -> FloatArray:
        sign = 2 * side - 1
        cosine, sine = np.cos(angle) * sign, np.sin(angle)
        across = width * np.sign(cosine) * np.abs(cosine) ** (2.0 / power)
        x = eyes[:, side, :1] + across
        y = level + height * np.sign(sine) * np.abs(sine) ** (2.0 / power)
        z = front - 0.30 * np.maximum(np.abs(x) - 0.35, 0.0) ** 1.5
        return np.stack([x, y, z], axis=-1)

    share = np.linspace(0.0, 1.0, BAR_POINTS, dtype=np.float32)[None]
    inner = eyes[:, 1, :1] - width
    bridge = np.stack(
        [
            inner * (2.0 * share - 1.0),
            level + 0.3 * height + 0.05 * np.sin(np.pi * share),
            front + 0.02 * np.sin(np.pi * share),
        ],
        axis=-1,
    )
    tubes = [_tube(path, thickness) for path in (rim(0), rim(1), bridge)]
    for side in (0, 1):
        sign = 2 * side - 1
        outer = eyes[:, side, :1] + sign * width
        start_depth = front - 0.30 * np.maximum(np.abs(outer) - 0.35, 0.0) ** 1.5
        x = outer + (sign * 0.93 * head[:, None] - outer) * np.minimum(share * 1.6, 1.0)
        z = start_depth + (0.05 - start_depth) * share
        tubes.append(_tube(np.stack([x, level + 0.25 * height + 0.02 * share, z], axis=-1), thickness))
    return _joined(tubes, worn, colour)


def _joined(tubes: Sequence[FloatArray], worn: FloatArray, colour: FloatArray) -> Surface:
    """Tubes (B, N, SIDES, 3) as one surface, of which nothing is left where `worn` (B,) is 0."""
    batch = len(worn)
    points, normals, faces, start = [], [], [], 0
    for grid in tubes:
        points.append(grid.reshape(batch, -1, 3))
        normals.append(grid_normals(grid, closed=True).reshape(batch, -1, 3))
        faces.append(grid_faces(grid.shape[1], SIDES, closed=True) + start)
        start += grid.shape[1] * SIDES
    return Surface(
        (np.concatenate(points, axis=1) * worn[:, None, None]).astype(np.float32),
        np.concatenate(normals, axis=1).astype(np.float32),
        np.repeat(colour[:, None], start, axis=1).astype(np.float32),
        np.ones((batch, start), np.float32),
        np.concatenate(faces),
        label=1,
    )


def _tube(path: FloatArray, thickness: FloatArray) -> FloatArray:
    """(B, N, SIDES, 3) points around a path (B, N, 3), outward for `grid_faces`."""
    along = np.gradient(path, axis=1)
    ahead = np.broadcast_to(np.array([0.0, 0.0, 1.0], np.float32), along.shape)
    first = unit(cross(along, ahead + 1e-3))
    second = unit(cross(first, along))
    turn = np.linspace(0.0, 2.0 * np.pi, SIDES, endpoint=False, dtype=np.float32)[None, None, :, None]
    ring = first[:, :, None] * np.cos(turn) - second[:, :, None] * np.sin(turn)
    result: FloatArray = (path[:, :, None] + thickness[:, None, None] * ring).astype(np.float32)
    return result
