"""The mean head assembled: skin, eyes, lashes, teeth and ears in one mesh, with landmark vertices.

"left" and "right" are the person's own: the left eye lies at positive x, on the image's right.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pie_facemodels.procedural import features, parts
from pie_facemodels.procedural.fields import Array, smoothstep
from pie_facemodels.procedural.loft import COLUMNS, MOUTH_HEIGHT, MOUTH_ROW, ROWS, grid_faces, loft

Index = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Template:
    """Mean vertices with what the coefficient fields are functions of.

    Attributes:
        vertices: (V, 3) mean, neutral.
        x, y, z: (V,) canonical coordinates: those of the featureless loft for the skin, of the part elsewhere.
        height: (V,) height over the mouth line (negative on the lower lip).
        front: (V,) 1 on the face, 0 on the sides and back of the head.
        upper, lower: (V,) 1 on the upper or lower side of the mouth; both 0.5 in the pocket's depth.
        reach: (V,) half-ellipse over the mouth's width: 1 at its middle, 0 at its corners and beyond.
        faces: (F, 3); seam: (V,) the vertex whose normal each vertex shares.
        slices: where each part's vertices lie.
    """

    vertices: Array
    x: Array
    y: Array
    z: Array
    height: Array
    front: Array
    upper: Array
    lower: Array
    reach: Array
    faces: Index
    seam: Index
    slices: dict[str, slice]

    def mask(self, *names: str) -> Array:
        """(V,) 1 on the named parts."""
        chosen = np.zeros(len(self.vertices))
        for name in names:
            chosen[self.slices[name]] = 1.0
        return chosen


def _assemble(blink: tuple[float, float], gaze: tuple[float, float]) -> dict[str, parts.Part]:
    skin = features.skin(*blink)
    # Gaze is common to both eyes, so the right eye is the mirror image of the left one looking the other way.
    eye_left = parts.eyeball(gaze)
    eye_right = parts.mirrored(parts.eyeball((-gaze[0], gaze[1])))
    ear = parts.ear()
    return {
        "skin": parts.Part(skin.reshape(-1, 3), grid_faces()),
        "eye_left": eye_left,
        "eye_right": eye_right,
        "lash_left": parts.lashes(blink[0]),
        "lash_right": parts.mirrored(parts.lashes(blink[1])),
        "teeth_upper": parts.teeth(True, MOUTH_HEIGHT),
        "teeth_lower": parts.teeth(False, MOUTH_HEIGHT),
        "ear_left": ear,
        "ear_right": parts.mirrored(ear),
    }


def neutral(blink: tuple[float, float] = (0.0, 0.0), gaze: tuple[float, float] = (0.0, 0.0)) -> Array:
    """Mean vertices (V, 3) with the (left, right) lids closed by ``blink`` and the irises moved by ``gaze``."""
    return np.concatenate([part.vertices for part in _assemble(blink, gaze).values()])


def _seams(canonical: Array) -> Index:
    """Vertices that share a normal: the crown, and the five mouth rows beyond the mouth's width."""
    seam = np.arange(len(canonical))
    seam[:COLUMNS] = 0
    grid = np.arange(ROWS * COLUMNS).reshape(ROWS, COLUMNS)
    outside = np.abs(canonical[grid[MOUTH_ROW], 0]) >= features.MOUTH_HALF_WIDTH
    outside |= canonical[grid[MOUTH_ROW], 2] < 0
    for offset in range(1, 5):
        seam[grid[MOUTH_ROW + offset][outside]] = grid[MOUTH_ROW][outside]
    return seam


@functools.cache
def template() -> Template:
    """The mean head; computed once."""
    pieces = _assemble((0.0, 0.0), (0.0, 0.0))
    slices, faces, start = {}, [], 0
    for name, part in pieces.items():
        slices[name] = slice(start, start + len(part.vertices))
        faces.append(part.faces + start)
        start += len(part.vertices)
    vertices = np.concatenate([part.vertices for part in pieces.values()])
    canonical = vertices.copy()
    canonical[slices["skin"]] = loft().points.reshape(-1, 3)
    x, y, z = canonical.T
    half = COLUMNS // 2
    line = np.interp(
        np.abs(x), loft().points[MOUTH_ROW, : half // 2 + 20, 0], loft().mouth_line[: half // 2 + 20]
    )
    line[slices["skin"]] = np.broadcast_to(loft().mouth_line, (ROWS, COLUMNS)).reshape(-1)
    height = y - line
    rows = np.repeat(np.arange(ROWS), COLUMNS)
    lower = (height < 0).astype(float)
    lower[slices["skin"]] = np.clip((rows - MOUTH_ROW - 1) / 2.0, 0.0, 1.0)
    lower[slices["teeth_upper"]] = 0.0
    lower[slices["teeth_lower"]] = 1.0
    front = np.ones_like(x)
    front[slices["skin"]] = smoothstep(z[slices["skin"]], 0.0, 0.45)
    front[slices["ear_left"]] = front[slices["ear_right"]] = 0.0
    reach = np.sqrt(np.clip(1.0 - (x / features.MOUTH_HALF_WIDTH) ** 2, 0.0, None)) * (z > 0)
    return Template(
        vertices, x, y, z, height, front, 1.0 - lower, lower, reach,
        np.concatenate(faces), _seams(canonical), slices,
    )  # fmt: skip


def landmark_vertices() -> Index:
    """Vertices (66,) of the landmarks: Multi-PIE 68 without the inner mouth corners, image-left first."""
    t = template()
    grid = np.arange(ROWS * COLUMNS)
    skin = t.vertices[grid]

    def nearest(x: float, y: float) -> int:
        """Skin vertex on the face nearest to canonical (x, y)."""
        cost = (t.x[grid] - x) ** 2 + (t.y[grid] - y) ** 2 + 10.0 * (t.z[grid] < -0.15)
        return int(cost.argmin())

    found: list[int] = []
    jaw = [
        (0.825, -0.05),
        (0.80, -0.26),
        (0.755, -0.47),
        (0.69, -0.68),
        (0.59, -0.87),
        (0.46, -1.03),
        (0.31, -1.17),
    ]
    jaw = [*jaw, (0.155, -1.26), (0.0, -1.29)]
    found += [nearest(-x, y) for x, y in jaw] + [nearest(x, y) for x, y in jaw[-2::-1]]
    brow = [(0.565, 0.205), (0.485, 0.265), (0.385, 0.285), (0.28, 0.265), (0.175, 0.225)]
    found += [nearest(-x, y) for x, y in brow] + [nearest(x, y) for x, y in brow[::-1]]
    found += [nearest(0.0, y) for y in (0.03, -0.12, -0.27, -0.43)]
    found += [
        nearest(x, y) for x, y in ((-0.13, -0.53), (-0.06, -0.55), (0.0, -0.56), (0.06, -0.55), (0.13, -0.53))
    ]
    n = parts.LASH_POINTS
    picks = [0, n // 3, n - 1 - n // 3, n - 1]  # inner corner, inner third, outer third, outer corner
    for name, order in (("lash_right", (3, 2, 1, 0)), ("lash_left", (0, 1, 2, 3))):
        start = t.slices[name].start
        top, bottom = start + n, start + 2 * n
        found += [top + picks[k] for k in order] + [bottom + picks[k] for k in (order[2], order[1])]
    mouth = t.vertices[MOUTH_ROW * COLUMNS : (MOUTH_ROW + 1) * COLUMNS]
    width = features.MOUTH_HALF_WIDTH

    def column(x: float) -> int:
        return int((np.abs(mouth[:, 0] - x) + 10.0 * (mouth[:, 2] < 0)).argmin())

    def lip(x: float, upper: bool) -> int:
        c = column(x)
        heights = features.lip_profile(np.array([x]))
        goal = float(heights[0][0]) if upper else -float(heights[1][0])
        rows = np.arange(MOUTH_ROW - 12, MOUTH_ROW + 1) if upper else np.arange(MOUTH_ROW + 4, MOUTH_ROW + 18)
        vertices = rows * COLUMNS + c
        return int(vertices[np.abs(skin[vertices, 1] - mouth[c, 1] - goal).argmin()])

    corner = MOUTH_ROW * COLUMNS
    found += [corner + column(-width)]
    found += [lip(x, True) for x in (-0.185, -0.07, 0.0, 0.07, 0.185)]
    found += [corner + column(width)]
    found += [lip(x, False) for x in (0.185, 0.09, 0.0, -0.09, -0.185)]
    found += [corner + column(x) for x in (-0.13, 0.0, 0.13)]
    found += [corner + 4 * COLUMNS + column(x) for x in (0.13, 0.0, -0.13)]
    return np.array(found)
