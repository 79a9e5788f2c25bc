"""Beards: a shell over the posed skin of the lower face, so that it follows the jaw and every expression."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pie_facemodels.procedural.albedo import lip_mask
from pie_facemodels.procedural.features import lip_profile
from pie_facemodels.procedural.fields import smoothstep
from pie_facemodels.procedural.loft import COLUMNS, ROWS
from pie_facemodels.procedural.template import template
from pie_synthetic.body import Surface
from pie_synthetic.grids import FloatArray, IntArray, grid_faces, grid_normals
from pie_synthetic.grids import smoothstep as step

AREAS = ("moustache", "chin", "jaw")
#: Per style: how much of the moustache, chin and jaw is covered, thickness in model units and its chance.
STYLES: dict[str, tuple[tuple[float, float, float], float, float]] = {
    "stubble": ((0.8, 0.85, 0.75), 0.0, 0.30),
    "moustache": ((1.0, 0.0, 0.0), 0.055, 0.10),
    "goatee": ((0.9, 1.0, 0.0), 0.060, 0.18),
    "short": ((0.9, 1.0, 0.9), 0.050, 0.26),
    "long": ((1.0, 1.0, 1.0), 0.105, 0.16),
}
_HALF_COLUMNS = 40


@dataclass(frozen=True)
class Beard:
    """One beard: style, colour (3,) in [0, 1], thickness and length in model units, density, strands' phase.

    density is the share of the skin's colour that is covered, in [0, 1]; length is how far it hangs below the chin.
    """

    style: str
    colour: FloatArray
    thickness: float
    length: float
    density: float
    phase: float

    @property
    def areas(self) -> tuple[float, float, float]:
        """Cover of the moustache, the chin and the jaw."""
        return STYLES[self.style][0]


def sample_beard(rng: np.random.Generator, hair: FloatArray, chance: float = 0.3) -> Beard | None:
    """Draw a beard in about the colour (3,) of the hair, or None for most people."""
    if rng.uniform() >= chance:
        return None
    style = str(rng.choice(list(STYLES), p=[odds for _, _, odds in STYLES.values()]))
    colour = np.clip(hair * np.exp(rng.normal(0.0, 0.12)) * (1.0 + rng.normal(0.03, 0.03) * _RED), 0.03, 0.8)
    return Beard(
        style=style,
        colour=colour.astype(np.float32),
        thickness=float(STYLES[style][1] * np.exp(rng.normal(0.0, 0.18))),
        length=float(rng.uniform(0.12, 0.34) if style == "long" else 0.05 * (style != "stubble")),
        density=float(rng.uniform(0.22, 0.5) if style == "stubble" else rng.uniform(0.82, 0.95)),
        phase=float(rng.uniform(0.0, 2.0 * np.pi)),
    )


def beard_cover(beards: Sequence[Beard | None]) -> FloatArray:
    """(B, ROWS * COLUMNS) share of the skin's colour that the beard's replaces, in [0, 1]."""
    masks = _areas()
    cover = np.zeros((len(beards), ROWS * COLUMNS), np.float32)
    for row, beard in enumerate(beards):
        if beard is not None:
            cover[row] = beard.density * np.max(np.array(beard.areas, np.float32)[:, None] * masks, 0)
    return cover


def beard_surface(beards: Sequence[Beard | None], skin: FloatArray, down: FloatArray) -> Surface | None:
    """Shells of the beards in world coordinates, label 3; None if nobody wears one with any thickness.

    Args:
        beards: one for each head.
        skin: (B, ROWS * COLUMNS, 3) posed skin with its expression.
        down: (B, 3) unit vector from the crown to the chin.
    """
    if not any(beard is not None and beard.thickness > 0 for beard in beards):
        return None
    patch = _patch()
    batch = len(beards)
    masks = _areas()[:, patch.vertices]
    points = skin[:, patch.vertices].reshape(batch, patch.rows, patch.columns, 3)
    outward = grid_normals(points)
    t = template()
    x, y = t.x[patch.vertices], t.y[patch.vertices]
    low = step(-0.78, -1.28, y.astype(np.float32)) * (
        1.0 - 0.55 * step(0.2, 0.6, np.abs(x).astype(np.float32))
    )
    shells, colours, shade = [], [], []
    for row, beard in enumerate(beards):
        if beard is None or beard.thickness <= 0:
            shells.append(
                np.tile(points[row].reshape(-1, 3).mean(0) - np.array([0.0, 0.0, 0.5]), (len(x), 1))
            )
            colours.append(np.zeros((len(x), 3)))
            shade.append(np.zeros(len(x)))
            continue
        cover = np.max(np.array(beard.areas)[:, None] * masks, 0)
        strands = _strands(x, y, beard.phase)
        grown = np.sqrt(np.clip((cover - 0.30) / 0.70, 0.0, 1.0))
        thick = beard.thickness * grown * (1.0 + 0.30 * strands + 0.5 * low) - 0.045 * (
            1.0 - np.minimum(4 * grown, 1.0)
        )
        fall = beard.length * low * grown * (1.0 + 0.12 * strands)
        shells.append(
            points[row].reshape(-1, 3)
            + outward[row].reshape(-1, 3) * thick[:, None]
            + down[row] * fall[:, None]
        )
        colours.append(beard.colour * (1.0 + 0.17 * strands)[:, None])
        shade.append(0.88 + 0.12 * strands + 0.08 * low)
    shell = np.stack(shells).astype(np.float32)
    grid = shell.reshape(batch, patch.rows, patch.columns, 3)
    return Surface(
        shell,
        grid_normals(grid).reshape(batch, -1, 3),
        np.clip(np.stack(colours), 0.01, 0.95).astype(np.float32),
        np.clip(np.stack(shade), 0.0, 1.0).astype(np.float32),
        patch.faces,
        label=3,
    )


_RED = np.array([1.0, 0.1, -0.6])


@dataclass(frozen=True)
class _Patch:
    """The part of the skin's grid that may bear hair: vertices (rows * columns,), faces (F, 3) into them."""

    vertices: IntArray
    rows: int
    columns: int
    faces: IntArray


@functools.cache
def _areas() -> FloatArray:
    """(3, ROWS * COLUMNS) masks of moustache, chin and jaw, with ragged edges."""
    t = template()
    skin = slice(0, ROWS * COLUMNS)
    x, y, z, h = (values[skin] for values in (t.x, t.y, t.z, t.height))
    a = np.abs(x)
    lips = lip_mask(t)[skin]
    upper, lower = lip_profile(x)
    ragged = 0.018 * np.sin(47.0 * a + 3.0 * y) + 0.012 * np.sin(29.0 * y + 11.0 * a)
    above, below = h - upper, -h - lower

    def ramp(values: NDArray[np.float64], low: float, high: float) -> NDArray[np.float64]:
        return smoothstep(values, low, high)

    top = 0.135 - 0.20 * np.clip(a - 0.10, 0.0, None) ** 1.2 + ragged
    moustache = ramp(above, -0.004, 0.020) * ramp(above - top, 0.03, -0.02) * ramp(a + ragged, 0.44, 0.34)
    moustache *= h > -0.03
    corner = ramp(a + ragged, 0.47, 0.40) * ramp(a, 0.290, 0.325) * ramp(h, 0.16, 0.06)
    under = ramp(below, 0.055, 0.10) + 0.9 * ramp(below, 0.0, 0.02) * ramp(a, 0.075, 0.045)
    chin = np.clip(under, 0.0, 1.0) * ramp(a + ragged, 0.42, 0.32) * (h < 0)
    chin = np.maximum(chin, corner)
    line = -0.50 - 0.62 * ramp(a, 0.66, 0.36) + 0.55 * ramp(a, 0.70, 0.84)
    jaw = ramp(y + ragged - line, 0.06, -0.06) * ramp(z, -0.14, 0.0)
    bare = ramp(np.hypot(x / 0.33, (h + 0.01) / 0.155), 1.15, 0.95)
    jaw = np.maximum(jaw * (1.0 - bare), chin)
    throat = ramp(z, 0.28, 0.50) + (y > -1.20)
    masks = np.stack([moustache, chin, jaw]) * np.clip(throat, 0.0, 1.0) * (1.0 - lips) * (z > -0.15)
    rows = np.repeat(np.arange(ROWS), COLUMNS)
    return np.asarray(masks * (rows < ROWS - 10), dtype=np.float32)


@functools.cache
def _patch() -> _Patch:
    bears = _areas().max(0).reshape(ROWS, COLUMNS).max(1) > 0
    first, last = int(np.flatnonzero(bears)[0]) - 1, int(np.flatnonzero(bears)[-1]) + 2
    columns = np.arange(-_HALF_COLUMNS, _HALF_COLUMNS + 1) % COLUMNS
    vertices = (np.arange(first, last)[:, None] * COLUMNS + columns).reshape(-1)
    faces = grid_faces(last - first, len(columns))
    used = _areas().max(0)[vertices] > 0.02
    return _Patch(vertices, last - first, len(columns), faces[used[faces].any(1)])


def _strands(x: NDArray[np.float64], y: NDArray[np.float64], phase: float) -> NDArray[np.float64]:
    """(V,) pattern of strands, about in [-1, 1]."""
    lines = 0.5 * np.sin(43.0 * x + 5.0 * y + phase) + 0.3 * np.sin(71.0 * x - 7.0 * y + 2.0 * phase)
    fine = smoothstep(np.abs(x), 0.62, 0.40)
    return np.asarray(lines * fine + 0.25 * np.sin(23.0 * y + 13.0 * x + phase))
