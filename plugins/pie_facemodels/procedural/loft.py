"""The head as a loft: key cross-sections from crown to neck, joined by Catmull-Rom curves.

World axes (x image right, y up, z to the viewer), 1 unit is about 8.7 cm: chin at y = -1.3, pupils at y = 0 and
x = +-0.365, crown at y = 1.3, tip of the nose near z = 1.15. The skin is a grid of ROWS x COLUMNS vertices; row
0 is the crown (all its vertices coincide), the last row the bottom of the neck; column 0 is the mid-line of the
face, columns run over positive x to the back of the head (COLUMNS // 2) and return over negative x, closed.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pie_facemodels.procedural.fields import Array, catmull_rom

# Per key row: front (y, z), side (x, y, z), back (y, z), exponent of the section's front.
KEYS = np.array(
    [
        [1.300, -0.20, 0.02, 1.300, -0.20, 1.300, -0.22, 2.0],
        [1.270, 0.20, 0.38, 1.255, -0.20, 1.24, -0.62, 2.0],
        [1.140, 0.54, 0.61, 1.10, -0.20, 1.05, -0.96, 2.05],
        [0.920, 0.77, 0.775, 0.86, -0.18, 0.80, -1.15, 2.1],
        [0.620, 0.885, 0.85, 0.58, -0.15, 0.50, -1.24, 2.2],
        [0.320, 0.915, 0.875, 0.30, -0.12, 0.22, -1.24, 2.2],
        [0.120, 0.880, 0.86, 0.12, -0.10, 0.00, -1.20, 2.15],
        [0.000, 0.865, 0.845, 0.00, -0.10, -0.12, -1.16, 2.15],
        [-0.150, 0.865, 0.83, -0.14, -0.10, -0.25, -1.09, 2.15],
        [-0.350, 0.870, 0.805, -0.30, -0.10, -0.40, -0.99, 2.1],
        [-0.550, 0.875, 0.77, -0.45, -0.10, -0.55, -0.89, 2.05],
        [-0.790, 0.880, 0.722, -0.61, -0.12, -0.70, -0.81, 2.1],
        [-0.980, 0.842, 0.672, -0.74, -0.13, -0.85, -0.76, 2.1],
        [-1.150, 0.840, 0.612, -0.85, -0.14, -0.97, -0.72, 2.1],
        [-1.290, 0.755, 0.530, -0.97, -0.18, -1.07, -0.70, 2.1],
        [-1.330, 0.570, 0.450, -1.06, -0.24, -1.18, -0.69, 2.0],
        [-1.320, 0.310, 0.405, -1.19, -0.28, -1.30, -0.68, 2.0],
        [-1.440, 0.130, 0.390, -1.37, -0.28, -1.45, -0.68, 2.0],
        [-1.750, 0.080, 0.400, -1.72, -0.29, -1.75, -0.70, 2.0],
        [-2.300, 0.130, 0.500, -2.20, -0.30, -2.20, -0.75, 2.0],
    ]
)
MOUTH_HEIGHT = -0.79
CHIN_KEY = 14


def _row_parameters() -> tuple[Array, int]:
    """Key-row parameters of the rows and the index of the first of the five rows on the mouth line."""
    heights = np.concatenate(
        [
            np.arange(0.92, 0.36, -0.062),
            np.arange(0.36, 0.13, -0.0225),
            np.linspace(0.13, -0.13, 24),
            np.linspace(-0.15, -0.37, 8),
            np.linspace(-0.395, -0.565, 10),
            np.linspace(-0.585, -0.665, 4),
            np.linspace(-0.68, MOUTH_HEIGHT, 9),
            np.full(4, MOUTH_HEIGHT),
            np.linspace(MOUTH_HEIGHT, -0.95, 12)[1:],
            np.linspace(-0.98, -1.15, 6),
        ]
    )
    table_t = np.linspace(0.0, CHIN_KEY, 4001)
    table_y = catmull_rom(KEYS[:, 0], table_t)
    face = np.interp(-heights, -table_y, table_t)
    top = np.linspace(0.0, face[0], 10)[:-1]
    bottom = np.concatenate(
        [np.linspace(face[-1], CHIN_KEY + 2.0, 10)[1:], np.linspace(CHIN_KEY + 2.0, 19.0, 7)[1:]]
    )
    mouth = len(top) + int(np.flatnonzero(np.isclose(heights, MOUTH_HEIGHT))[0])
    return np.concatenate([top, face, bottom]), mouth


def _column_angles() -> Array:
    half = np.concatenate(
        [
            np.rad2deg(np.arcsin(np.linspace(0.0, np.sin(np.deg2rad(54.0)) ** 0.95, 29) ** (1 / 0.95))),
            np.linspace(54.0, 90.0, 9)[1:],
            np.linspace(90.0, 180.0, 9)[1:],
        ]
    )
    return np.asarray(np.deg2rad(np.concatenate([half, -half[-2:0:-1]])))


ROW_PARAMETERS, MOUTH_ROW = _row_parameters()
COLUMN_ANGLES = _column_angles()
ROWS = len(ROW_PARAMETERS)
COLUMNS = len(COLUMN_ANGLES)


@dataclass(frozen=True)
class Loft:
    """The featureless head: ``points`` (ROWS, COLUMNS, 3)."""

    points: Array

    @property
    def mouth_line(self) -> Array:
        """Height of the mouth line at each column, (COLUMNS,)."""
        return np.asarray(self.points[MOUTH_ROW, :, 1])


@functools.cache
def loft() -> Loft:
    """The mean head before eyes, nose and mouth are modelled into it."""
    keys = catmull_rom(KEYS, ROW_PARAMETERS)
    front_y, front_z, side_x, side_y, side_z, back_y, back_z, power = (keys[:, i : i + 1] for i in range(8))
    sin, cos = np.sin(COLUMN_ANGLES)[None], np.cos(COLUMN_ANGLES)[None]
    front = cos >= 0
    sine, cosine = np.abs(sin), np.abs(cos)
    exponent = np.where(front, power, 2.0)
    x = np.sign(sin) * side_x * sine ** (2.0 / exponent)
    depth = np.where(front, front_z - side_z, back_z - side_z)
    z = side_z + depth * cosine ** (2.0 / exponent)
    blend = np.where(front, sine**2.6, cosine**2)
    y = np.where(front, front_y + (side_y - front_y) * blend, side_y + (back_y - side_y) * blend)
    return Loft(np.stack([x, y, z], -1))


def grid_faces() -> npt.NDArray[np.int64]:
    """Triangles (F, 3) of the closed skin grid, counter-clockwise seen from outside."""
    row, column = np.meshgrid(np.arange(ROWS - 1), np.arange(COLUMNS), indexing="ij")
    following = (column + 1) % COLUMNS
    a, b = row * COLUMNS + column, row * COLUMNS + following
    c, d = a + COLUMNS, b + COLUMNS
    first = np.stack([a, c, d], -1).reshape(-1, 3)
    second = np.stack([a, d, b], -1).reshape(-1, 3)
    # Mirror the diagonal on the left half so that the mesh is symmetric.
    left = (column >= COLUMNS // 2).reshape(-1, 1)
    first = np.where(left, np.stack([a, c, b], -1).reshape(-1, 3), first)
    second = np.where(left, np.stack([b, c, d], -1).reshape(-1, 3), second)
    return np.concatenate([first, second])
