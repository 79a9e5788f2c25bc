"""The head's parts beside the skin: eyeballs, lashes, teeth and ears, each a small grid."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pie_facemodels.procedural.features import EYE_HALF_WIDTH, EYE_X, eyeball_depth, lid_heights
from pie_facemodels.procedural.fields import Array, smoothstep

PUPIL_RADIUS, IRIS_RADIUS, EYEBALL_RADIUS = 0.036, 0.092, 0.235
EYE_RINGS = np.array(
    [0.0, 0.026, 0.035, 0.040, 0.058, 0.080, 0.088, 0.096, 0.122, 0.155, 0.195, EYEBALL_RADIUS]
)
EYE_SECTORS = 24
LASH_POINTS = 19
TOOTH_COLUMNS, TOOTH_ROWS = 21, 4
EAR_SECTORS = 22


@dataclass(frozen=True)
class Part:
    """One piece of the mesh: vertices (V, 3) in model units and faces (F, 3) into them."""

    vertices: Array
    faces: npt.NDArray[np.int64]


def strip_faces(rows: int, columns: int, closed: bool = False, flip: bool = False) -> npt.NDArray[np.int64]:
    """Triangles of a rows x columns grid, row-major; ``closed`` joins the last column to the first."""
    row, column = np.meshgrid(
        np.arange(rows - 1), np.arange(columns if closed else columns - 1), indexing="ij"
    )
    following = (column + 1) % columns
    a, b = row * columns + column, row * columns + following
    faces = np.concatenate(
        [
            np.stack([a, a + columns, b], -1).reshape(-1, 3),
            np.stack([b, a + columns, b + columns], -1).reshape(-1, 3),
        ]
    )
    return faces[:, ::-1].copy() if flip else faces


def mirrored(part: Part) -> Part:
    """The same part on the other side of the head."""
    return Part(part.vertices * np.array([-1.0, 1.0, 1.0]), part.faces[:, ::-1].copy())


def eyeball(gaze: tuple[float, float] = (0.0, 0.0)) -> Part:
    """Eye at positive x; rings x sectors. ``gaze`` shifts the iris by (x, y) model units."""
    angle = 2 * np.pi * np.arange(EYE_SECTORS) / EYE_SECTORS
    follow = smoothstep(EYE_RINGS, EYEBALL_RADIUS, 0.10)[:, None]
    x = EYE_X + EYE_RINGS[:, None] * np.cos(angle) + follow * gaze[0]
    y = EYE_RINGS[:, None] * np.sin(angle) + follow * gaze[1]
    vertices = np.stack([x, y, eyeball_depth(x, y)], -1).reshape(-1, 3)
    return Part(vertices, strip_faces(len(EYE_RINGS), EYE_SECTORS, closed=True))


def lashes(blink: float = 0.0) -> Part:
    """Upper lash line (2 x LASH_POINTS) then lower lid rim (2 x LASH_POINTS) of the eye at positive x."""
    s = np.sin(np.linspace(-1.0, 1.0, LASH_POINTS) * np.pi / 2)
    x = EYE_X + s * EYE_HALF_WIDTH
    upper, lower = lid_heights(s, blink)
    thick = 0.010 + 0.012 * smoothstep(s, -0.9, 0.7)
    ends = np.clip((1.02 - np.abs(s)) / 0.25, 0.12, 1.0)
    wing = 0.016 * smoothstep(s, 0.7, 1.0)
    lines = []
    for height, offset, lift in (
        (upper + thick * ends, wing, 0.030),
        (upper - 0.006 * ends, wing * 0.5, 0.016),
        (lower + 0.004 * ends, 0.0 * wing, 0.012),
        (lower - 0.007 * ends, 0.0 * wing, 0.020),
    ):
        lines.append(np.stack([x + offset, height, eyeball_depth(x, height) + lift], -1))
    faces = strip_faces(2, LASH_POINTS)
    return Part(np.concatenate(lines), np.concatenate([faces, faces + 2 * LASH_POINTS]))


def teeth(upper: bool, mouth_height: float) -> Part:
    """A strip of teeth behind the closed lips, TOOTH_ROWS x TOOTH_COLUMNS, top row first."""
    u = np.linspace(-1.0, 1.0, TOOTH_COLUMNS)
    x = 0.235 * u
    depth = (0.805 if upper else 0.785) - 0.13 * u**2
    scallop = 0.003 * np.cos(u * np.pi * 5.0) * (1 - u**2)
    high = 0.075 if upper else -0.006
    low = -0.036 + 0.03 * u**2 if upper else np.full_like(u, -0.085)
    t = np.linspace(0.0, 1.0, TOOTH_ROWS)[:, None]
    y = mouth_height + high + (low - high - (scallop if upper else 0.0)) * t
    z = np.broadcast_to(depth, y.shape) + 0.018 * np.sin(np.pi * t)
    grid = np.stack([np.broadcast_to(x, y.shape), y, z], -1)
    return Part(grid.reshape(-1, 3), strip_faces(TOOTH_ROWS, TOOTH_COLUMNS))


def ear() -> Part:
    """Outer ear at positive x: rings of an ear-shaped disk with helix, concha and lobe, then a back wall."""
    rings = np.array([0.0, 0.25, 0.45, 0.60, 0.72, 0.84, 0.93, 1.0])
    angle = 2 * np.pi * np.arange(EAR_SECTORS) / EAR_SECTORS
    sin, cos = np.sin(angle), np.cos(angle)
    width = 0.185 * (1.0 + 0.24 * sin)
    along, up = width * cos, 0.325 * sin
    r = rings[:, None]
    centre_back, centre_up = 0.15, 0.0
    shift = (1.0 - r) * np.array([-0.035])
    back = centre_back + r * along + shift + 0.02 * sin * r
    height = centre_up + r * up + (1.0 - r) * -0.05
    rim = smoothstep(cos + 0.6 * sin, -0.9, -0.1)
    lobe = smoothstep(sin, -0.55, -0.95)
    helix = 0.055 * np.exp(-0.5 * ((r - 0.93) / 0.06) ** 2) * rim * (1 - 0.6 * lobe)
    antihelix = 0.030 * np.exp(-0.5 * ((r - 0.58) / 0.09) ** 2) * rim
    concha = -0.045 * np.exp(-0.5 * (r / 0.33) ** 2)
    tragus = 0.035 * np.exp(-0.5 * ((r - 0.62) / 0.16) ** 2) * smoothstep(-cos, 0.75, 0.98)
    relief = helix + antihelix + concha + tragus + 0.012 * r
    walls = [(1.0, -0.05), (0.86, -0.13), (0.55, -0.20)]
    back = np.concatenate([back] + [centre_back + k * along[None] + 0.02 * sin[None] * k for k, _ in walls])
    height = np.concatenate([height] + [centre_up + k * up[None] for k, _ in walls])
    relief = np.concatenate([relief] + [np.full((1, EAR_SECTORS), depth) for _, depth in walls])
    origin = np.array([0.815, -0.16, -0.09])
    axis_back = np.array([0.40, 0.0, -0.92])
    axis_up = np.array([0.05, 0.985, -0.16])
    normal = np.array([0.92, 0.0, 0.40])
    grid = origin + back[..., None] * axis_back + height[..., None] * axis_up + relief[..., None] * normal
    faces = strip_faces(grid.shape[0], EAR_SECTORS, closed=True)
    return Part(grid.reshape(-1, 3), faces)
