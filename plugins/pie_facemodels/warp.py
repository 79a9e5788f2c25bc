"""Where the points of another head lie on the procedural one: a thin-plate spline through the landmarks."""

from __future__ import annotations

import functools

import numpy as np
import numpy.typing as npt

from pie_facemodels.conventions import neutral_landmarks
from pie_facemodels.procedural.features import MOUTH_HALF_WIDTH
from pie_facemodels.procedural.fields import smoothstep
from pie_facemodels.procedural.loft import COLUMNS, MOUTH_ROW, loft
from pie_facemodels.procedural.template import Template, landmark_vertices, template

Array = npt.NDArray[np.float64]
Index = npt.NDArray[np.int64]

#: Landmarks the spline goes through: all but the lower inner lip, which meets the upper one where the mouth is shut.
KNOTS = tuple(range(63))


@functools.cache
def mirrored_landmarks() -> Index:
    """(66,) the landmark on the other side of each."""
    points = neutral_landmarks()
    flipped = points * np.array([-1.0, 1.0, 1.0])
    away = np.linalg.norm(flipped[:, None] - points[None], axis=-1)
    # The inner lips coincide: the upper ones keep to themselves.
    groups = np.repeat([0, 1, 2, 3, 4, 5, 6], [17, 10, 9, 12, 12, 3, 3])
    away[groups[:, None] != groups[None]] = np.inf
    return np.asarray(away.argmin(1))


def _kernel(a: Array, b: Array) -> Array:
    squared = ((a[:, None] - b[None]) ** 2).sum(-1)
    return np.asarray(0.5 * squared * np.log(np.maximum(squared, 1e-12)))


def thin_plate(knots: Array, values: Array, points: Array, stiffness: float = 1e-3) -> Array:
    """(N, d) the smoothest map with ``values`` (K, d) near ``knots`` (K, 2), at ``points`` (N, 2).

    ``stiffness`` trades exactness at the knots for smoothness.
    """
    count = len(knots)
    plane = np.hstack([np.ones((count, 1)), knots])
    system = np.block(
        [[_kernel(knots, knots) + stiffness * np.eye(count), plane], [plane.T, np.zeros((3, 3))]]
    )
    solution = np.linalg.solve(system, np.vstack([values, np.zeros((3, values.shape[1]))]))
    out = np.empty((len(points), values.shape[1]))
    for start in range(0, len(points), 4096):
        some = points[start : start + 4096]
        out[start : start + 4096] = (
            _kernel(some, knots) @ solution[:count]
            + np.hstack([np.ones((len(some), 1)), some]) @ solution[count:]
        )
    return out


def canonical(points: Array, landmarks: Array) -> Template:
    """The points of another head as skin in the procedural model's canonical coordinates.

    Fields that are functions of those coordinates (colours, expressions) can be evaluated there.

    Args:
        points: (V, 3) world positions, placed as `pie_facemodels.conventions` places heads.
        landmarks: (66, 3) world positions of their landmarks.
    """
    t = template()
    own = landmark_vertices()
    goal = np.stack([t.x[own], t.y[own]], axis=1)
    flip, sign = mirrored_landmarks(), np.array([-1.0, 1.0])
    source, goal = (0.5 * (v + v[flip] * sign) for v in (landmarks[:, :2].astype(float), goal))
    knots = list(KNOTS)
    x, y = thin_plate(source[knots], goal[knots], points[:, :2].astype(float)).T
    z = points[:, 2].astype(float)
    half = COLUMNS // 2
    line = np.interp(
        np.abs(x), loft().points[MOUTH_ROW, : half // 2 + 20, 0], loft().mouth_line[: half // 2 + 20]
    )
    height = y - line
    lower = (height < 0).astype(float)
    reach = np.sqrt(np.clip(1.0 - (x / MOUTH_HALF_WIDTH) ** 2, 0.0, None)) * (z > 0)
    return Template(
        points, x, y, z, height, smoothstep(z, 0.0, 0.45), 1.0 - lower, lower, reach,
        np.zeros((0, 3), dtype=np.int64), np.arange(len(points)), {"skin": slice(0, len(points))},
    )  # fmt: skip
