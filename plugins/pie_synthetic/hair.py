"""Hair: a strip grid of strands that starts at the crown, follows the head's surface and then hangs.

Each column is a strand. Its first part lies on the head from the crown to the hairline, its second hangs
freely (long hair only), its third returns on the inside, so that a curtain of hair has an inner side. Strands,
waves and curls are sums of sines in displacement and colour.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pie_synthetic.body import Surface
from pie_synthetic.grids import FloatArray, grid_faces, grid_normals, smoothstep, unit

ON_HEAD, HANGING, INSIDE, COLUMNS = 30, 14, 4, 132
ROWS = ON_HEAD + HANGING + INSIDE
STYLES = ("bald", "cropped", "short", "swept", "tied", "bob", "long", "curly")
STYLE_WEIGHTS = (0.04, 0.12, 0.18, 0.15, 0.09, 0.16, 0.18, 0.08)
#: Natural hair colours: black, dark brown, brown, chestnut, auburn, dark blond, blond, grey, white.
PALETTE = np.array(
    [
        [0.055, 0.048, 0.045],
        [0.125, 0.085, 0.062],
        [0.215, 0.140, 0.092],
        [0.290, 0.172, 0.102],
        [0.370, 0.182, 0.095],
        [0.430, 0.318, 0.195],
        [0.640, 0.500, 0.310],
        [0.430, 0.425, 0.420],
        [0.690, 0.685, 0.670],
    ]
)
#: Chance of each colour for light and for dark skin.
PALETTE_LIGHT = np.array([0.07, 0.18, 0.19, 0.13, 0.07, 0.13, 0.11, 0.08, 0.04])
PALETTE_DARK = np.array([0.52, 0.27, 0.08, 0.02, 0.01, 0.0, 0.0, 0.07, 0.03])


@dataclass(frozen=True)
class Hair:
    """One head of hair; lengths in model units, angles in radians, rows in key rows of the head's loft.

    style: one of STYLES. colour: (3,) in [0, 1]. volume: factor of the thickness. hairline: key row of the
    hairline at the forehead (larger is lower). recession: how far it recedes at the temples, key rows. fringe:
    how far hair falls over the forehead, key rows, 0 for none. tip: height of the tips in head coordinates.
    edge: angle from the mid-line at which hanging hair begins. parting, part_depth: x of the parting and how
    deep it is, a share of the thickness. waves, curls: strengths in [0, 1]. flare: how much wider the tips of
    hanging hair are, a share. phase: (4,) phases of the strands.
    """

    style: str
    colour: FloatArray
    volume: float
    hairline: float
    recession: float
    fringe: float
    tip: float
    edge: float
    parting: float
    part_depth: float
    waves: float
    curls: float
    flare: float
    phase: FloatArray

    @property
    def hangs(self) -> bool:
        """Whether strands leave the head."""
        return self.style in ("bob", "long")


@dataclass(frozen=True)
class HeadGrid:
    """Where strands can lie: skin points (B, R, C, 3), the key row of each row (R,), angles of the columns.

    Angles (C,) start at 0 (the mid-line of the face) and rise over positive x to just below 2π.
    """

    points: FloatArray
    rows: FloatArray
    angles: FloatArray


def sample_hair_colour(rng: np.random.Generator, darkness: float, age: float = 0.2) -> FloatArray:
    """(3,) colour; `darkness` of the skin in [0, 1] moves the chances towards dark hair, `age` towards grey."""
    darkness = min(1.0, 1.6 * darkness)
    chance = PALETTE_LIGHT * (1.0 - darkness) + PALETTE_DARK * darkness
    chance[-2:] *= 0.1 + 10.0 * max(age - 0.4, 0.0) ** 1.5
    index = rng.choice(len(PALETTE), p=chance / chance.sum())
    colour = np.clip(PALETTE[index] * np.exp(rng.normal(0.0, 0.14)), 0.03, 0.8)
    return np.asarray(colour, dtype=np.float32)


def sample_hair(
    rng: np.random.Generator, darkness: float = 0.3, age: float = 0.2, softness: float = 0.0
) -> Hair:
    """Draw hair of any style and colour.

    `age` in [0, 1] makes grey hair and receding hairlines likelier, `softness` in about [-1, 1] long hair.
    """
    weights = np.array(STYLE_WEIGHTS)
    weights[-1] *= 0.4 + 2.2 * darkness
    weights[1] *= 0.8 + 0.8 * darkness
    lengths = np.array([-1.0, -1.0, -0.6, -0.5, 0.9, 1.0, 1.0, 0.0])
    weights = weights * np.exp(1.6 * softness * lengths)
    weights[0] *= 0.5 + 2.0 * age
    style = str(rng.choice(STYLES, p=weights / weights.sum()))
    fringe = 0.0
    if style in ("short", "bob", "long") and rng.uniform() < 0.42:
        fringe = float(rng.uniform(0.5, 1.35))
    volume = {"cropped": 0.32, "tied": 0.55, "curly": 1.5, "swept": 1.15}.get(style, 1.0)
    waves = rng.uniform() ** 1.5 if style in ("bob", "long", "short", "swept") else 0.1
    return Hair(
        style=style,
        colour=sample_hair_colour(rng, darkness, age),
        volume=float(volume * np.exp(rng.normal(0.0, 0.16))),
        hairline=float(np.clip(rng.normal(2.85, 0.2), 2.45, 3.3)),
        recession=float(
            rng.uniform(0.0, 0.35)
            + (rng.uniform() < (0.1 + 0.4 * age) * (softness < 0.0)) * rng.uniform(0.1, 0.6)
        ),
        fringe=fringe,
        tip=float(rng.uniform(-1.35, -0.85) if style == "bob" else rng.uniform(-2.6, -1.5)),
        edge=float(rng.uniform(0.95, 1.3)),
        parting=float(rng.choice([-1, 1]) * rng.uniform(0.1, 0.42) if rng.uniform() < 0.75 else 0.0),
        part_depth=float(
            rng.uniform(0.3, 0.8) if style in ("short", "swept", "bob", "long", "tied") else 0.0
        ),
        waves=float(waves),
        curls=float(rng.uniform(0.6, 1.0) if style == "curly" else 0.0),
        flare=float(rng.normal(0.0, 0.06)),
        phase=rng.uniform(0.0, 2.0 * np.pi, 4).astype(np.float32),
    )


def hair_surface(hairs: Sequence[Hair], head: HeadGrid, skin: FloatArray) -> Surface:
    """The hair of each head, in head coordinates (before rotation and translation).

    Args:
        hairs: one for each head.
        head: the heads' surfaces.
        skin: (B, 3) colour of the skin, which shows through cropped hair.

    Returns:
        The surface with label 3; the hair of bald heads lies inside the head.
    """
    batch = len(hairs)
    angle = np.linspace(0.0, 2.0 * np.pi, COLUMNS, endpoint=False).astype(np.float32)
    aside = np.minimum(angle, 2.0 * np.pi - angle)[None]  # angle from the mid-line
    hangs = _column([float(h.hangs) for h in hairs])
    edge = _column([h.edge for h in hairs])
    hanging = hangs * smoothstep(edge - 0.1, edge + 0.16, aside)
    stop = _stop_rows(hairs, angle)
    stop = stop + (np.minimum(stop, 6.0) - stop) * hanging

    along = np.linspace(0.0, 1.0, ON_HEAD, dtype=np.float32) ** 0.9
    key = stop[:, None, :] * along[None, :, None]
    base = _sample(head, key, angle)
    normals = grid_normals(base, closed=True)
    normals[:, 0] = normals[:, 1].mean(1, keepdims=True)
    normals = unit(normals)
    thickness = _thickness(hairs, key, along, aside, hanging, stop, base)
    strands, curls = _strands(hairs, key, angle)
    on_head = (
        base
        + normals * (thickness * (1.0 + 0.13 * strands) + 0.055 * curls * _has(hairs, thickness))[..., None]
    )

    outer = _hang(hairs, on_head[:, -1], base[:, -1], hanging, angle, strands[:, -1])
    inner_share = np.linspace(1.0, 0.0, INSIDE + 1, dtype=np.float32)[1:]
    index = (inner_share * (HANGING - 1)).round().astype(int)
    inner = outer[:, index]
    inward = np.array([0.80, 1.0, 0.80], dtype=np.float32)
    inner = inner * inward - np.array([0.0, 0.0, 0.06], dtype=np.float32)
    inner = np.where(hanging[:, None, :, None] > 0.02, inner, outer[:, index])
    points = np.concatenate([on_head, outer, inner], axis=1)
    surface_normals = grid_normals(points, closed=True)
    surface_normals[:, 0] = unit(surface_normals[:, 1].mean(1, keepdims=True))

    colours, occlusion = _colours(hairs, key, along, aside, strands, curls, hanging, skin)
    return Surface(
        points.reshape(batch, -1, 3).astype(np.float32),
        surface_normals.reshape(batch, -1, 3),
        colours.reshape(batch, -1, 3),
        occlusion.reshape(batch, -1),
        grid_faces(ROWS, COLUMNS, closed=True),
        label=3,
    )


def hair_shadow(hairs: Sequence[Hair], head: HeadGrid) -> FloatArray:
    """(B, R, C) factor by which hair darkens the skin next to it, 1 where there is none near."""
    aside = np.minimum(head.angles, 2.0 * np.pi - head.angles)[None, None]
    stop = _stop_rows(hairs, head.angles)[:, None]
    key = head.rows[None, :, None]
    strength = _column([0.0 if h.style == "bald" else 0.26 * min(h.volume, 1.3) for h in hairs])[:, :, None]
    below = np.exp(-np.maximum(key - stop, 0.0) / 0.45)
    gap = (_column([h.edge for h in hairs])[:, :, None] - aside) / 0.16
    curtain = np.exp(-np.maximum(gap, 0.0)) * smoothstep(3.5, 5.0, key) * (head.points[..., 2] > -0.4)
    curtain = curtain * _column([float(h.hangs) for h in hairs])[:, :, None]
    result: FloatArray = (1.0 - strength * np.maximum(below, curtain)).astype(np.float32)
    return result


def strand_tangents(points: FloatArray) -> FloatArray:
    """Unit tangents (B, V, 3) along the strands of the points (B, V, 3) of `hair_surface`."""
    grid = points.reshape(len(points), ROWS, COLUMNS, 3)
    tangents = np.empty_like(grid)
    tangents[:, :-1] = grid[:, 1:] - grid[:, :-1]
    tangents[:, -1] = tangents[:, -2]
    return unit(tangents).reshape(points.shape)


def _column(values: Sequence[float]) -> FloatArray:
    """(B, 1) float32."""
    return np.asarray(values, dtype=np.float32)[:, None]


def _has(hairs: Sequence[Hair], thickness: FloatArray) -> FloatArray:
    """Curls fade where the hair is thin."""
    return smoothstep(0.0, 0.12, thickness)


def _stop_rows(hairs: Sequence[Hair], angle: FloatArray) -> FloatArray:
    """(B, C) key row at which each strand leaves the head: the hairline, the sideburn, the nape."""
    degrees = np.rad2deg(np.minimum(angle, 2.0 * np.pi - angle))
    stops = np.empty((len(hairs), len(angle)), dtype=np.float32)
    for row, hair in enumerate(hairs):
        front = hair.hairline
        burn = 6.6 + 2.0 * (0.5 + 0.5 * np.sin(hair.phase[0]))
        nape = 12.2 + 1.0 * np.sin(hair.phase[1])
        at = [0, 18, 34, 46, 57, 67, 76, 86, 96, 106, 116, 130, 180]
        value = [
            front,
            front,
            front - hair.recession,
            front + 0.25,
            4.3,
            5.6,
            burn,
            burn,
            6.3,
            7.2,
            10.0,
            nape,
            nape,
        ]
        stops[row] = np.interp(degrees, at, value)
        if hair.fringe > 0:
            side = np.sign(hair.parting) * np.sin(angle)
            reach = hair.fringe * (1.0 - 0.5 * side * (hair.parting != 0))
            ragged = 0.10 * np.sin(17.0 * angle + hair.phase[2]) + 0.07 * np.sin(31.0 * angle + hair.phase[3])
            stops[row] += (reach + ragged) * (1.0 - smoothstep(40.0, 58.0, degrees.astype(np.float32)))
    kernel = np.array([1, 2, 3, 2, 1], dtype=np.float32) / 9.0
    padded = np.concatenate([stops[:, -2:], stops, stops[:, :2]], axis=1)
    smooth = sum(kernel[i] * padded[:, i : i + len(angle)] for i in range(5))
    return np.asarray(smooth, dtype=np.float32)


def _sample(head: HeadGrid, key: FloatArray, angle: FloatArray) -> FloatArray:
    """Head points (B, R, C, 3) at key rows (B, R, C) and angles (C,), bilinear."""
    count = len(head.angles)
    row = np.interp(key, head.rows, np.arange(len(head.rows), dtype=np.float32)).astype(np.float32)
    column = np.interp(angle, np.append(head.angles, 2.0 * np.pi), np.arange(count + 1.0)).astype(np.float32)
    top = np.minimum(row.astype(np.int64), len(head.rows) - 2)
    left = np.minimum(column.astype(np.int64), count - 1)
    down = (row - top)[..., None]
    right = (column - left)[None, None, :, None]
    following = (left + 1) % count
    batch = np.arange(len(head.points))[:, None, None]
    upper = head.points[batch, top, left] * (1 - right) + head.points[batch, top, following] * right
    lower = head.points[batch, top + 1, left] * (1 - right) + head.points[batch, top + 1, following] * right
    result: FloatArray = (upper * (1 - down) + lower * down).astype(np.float32)
    return result


def _thickness(
    hairs: Sequence[Hair],
    key: FloatArray,
    along: FloatArray,
    aside: FloatArray,
    hanging: FloatArray,
    stop: FloatArray,
    base: FloatArray,
) -> FloatArray:
    """(B, R, C) distance of the hair's surface from the head."""
    volume = _column([h.volume for h in hairs])[:, :, None]
    top = _column([{"swept": 0.22, "short": 0.17, "curly": 0.24}.get(h.style, 0.15) for h in hairs])[
        :, :, None
    ]
    side = _column([{"swept": 0.05, "short": 0.10, "curly": 0.22}.get(h.style, 0.11) for h in hairs])[
        :, :, None
    ]
    share = smoothstep(1.8, 5.0, key)
    thickness = volume * (top + (side - top) * share)
    fringe = _column([float(h.fringe > 0) for h in hairs]) * (1.0 - smoothstep(0.75, 1.0, aside))
    width = np.asarray(0.30 - 0.22 * fringe, dtype=np.float32)[:, None, :]
    one = np.ones(1, np.float32)
    full = 1.0 - smoothstep(one - width, one, np.broadcast_to(along[None, :, None], key.shape))
    full = full + (1.0 - full) * hanging[:, None, :]
    thickness = thickness * full
    # hair that hangs over the ears stands off them
    thickness = thickness + 0.12 * hanging[:, None, :] * smoothstep(4.0, 6.0, key)
    parting = _column([h.parting for h in hairs])[:, :, None]
    depth = _column([h.part_depth for h in hairs])[:, :, None]
    groove = np.exp(-(((base[..., 0] - parting) / 0.05) ** 2)) * smoothstep(-0.35, 0.1, base[..., 2])
    thickness = thickness * (1.0 - depth * groove)
    bald = _column([float(h.style == "bald") for h in hairs])[:, :, None]
    tuck = 0.035 * smoothstep(0.93, 1.0, np.broadcast_to(along[None, :, None], key.shape))
    thickness = thickness - tuck * (1.0 - hanging[:, None, :])
    return np.asarray(thickness * (1.0 - bald) - 0.10 * bald, dtype=np.float32)


def _strands(hairs: Sequence[Hair], key: FloatArray, angle: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Strand and curl patterns (B, R, C), about in [-1, 1] each."""
    phase = np.stack([h.phase for h in hairs])[:, :, None, None]
    waves = _column([h.waves for h in hairs])[:, :, None]
    curls = _column([h.curls for h in hairs])[:, :, None]
    sweep = _column([2.0 * h.parting for h in hairs])[:, :, None]
    across = angle[None, None] + 0.10 * sweep * key + 0.05 * waves * np.sin(1.9 * key + phase[:, 0])
    strands = (
        0.45 * np.sin(11 * across + phase[:, 0])
        + 0.40 * np.sin(19 * across + phase[:, 1] + 0.4 * np.sin(0.8 * key))
        + 0.30 * np.sin(33 * across + phase[:, 2])
        + 0.35 * waves * np.sin(2.2 * key + 3 * np.sin(angle + phase[:, 3]))
    )
    swirl = np.sin(13 * angle + phase[:, 1] + 1.7 * np.sin(2.1 * key)) * np.sin(
        2.7 * key + phase[:, 2] + np.sin(5 * angle)
    )
    swirl = swirl + 0.7 * np.sin(23 * angle + phase[:, 3] + 1.3 * key) * np.sin(4.3 * key + phase[:, 0])
    return strands.astype(np.float32), (curls * swirl).astype(np.float32)


def _hang(
    hairs: Sequence[Hair],
    start: FloatArray,
    skin: FloatArray,
    hanging: FloatArray,
    angle: FloatArray,
    strands: FloatArray,
) -> FloatArray:
    """(B, HANGING, C, 3): strands falling from `start` (B, C, 3); elsewhere tucked into the head."""
    fall = np.linspace(0.0, 1.0, HANGING + 1, dtype=np.float32)[1:][None, :, None]
    tip = _column([h.tip for h in hairs])
    ragged = 0.04 * strands + 0.03 * np.sin(7 * angle)[None]
    tip = np.minimum(tip + ragged, start[..., 1] - 0.05)
    waves = _column([h.waves for h in hairs])[:, :, None]
    flare = _column([h.flare for h in hairs])[:, :, None]
    phase = np.stack([h.phase for h in hairs])
    height = start[:, None, :, 1] + (tip - start[..., 1])[:, None] * fall
    length = start[:, None, :, 1] - height
    belly = 0.10 * np.sin(np.pi * np.clip(length / 1.3, 0.0, 1.0))
    ripple = (
        0.05 * waves * np.sin(5.5 * length + phase[:, 0, None, None] + 1.5 * np.sin(3 * angle)[None, None])
    )
    curl_in = -0.16 * smoothstep(0.65, 1.0, np.broadcast_to(fall, length.shape)) * (length < 1.6)
    grow = 1.0 + belly * 0.6 + ripple + flare * fall + curl_in * 0.7
    grow = grow + 0.02 * strands[:, None]
    x = start[:, None, :, 0] * grow
    z = (start[:, None, :, 2] + 0.12) * grow - 0.12
    free = np.stack([x, height, z], axis=-1)
    tucked = skin * 0.9 + np.array([0.0, 0.0, -0.03], dtype=np.float32)
    weight = smoothstep(0.0, 0.35, hanging)[:, None, :, None]
    result: FloatArray = (tucked[:, None] * (1.0 - weight) + free * weight).astype(np.float32)
    return result


def _colours(
    hairs: Sequence[Hair],
    key: FloatArray,
    along: FloatArray,
    aside: FloatArray,
    strands: FloatArray,
    curls: FloatArray,
    hanging: FloatArray,
    skin: FloatArray,
) -> tuple[FloatArray, FloatArray]:
    """Albedo (B, ROWS, C, 3) and occlusion (B, ROWS, C)."""
    batch = len(hairs)
    colour = np.stack([h.colour for h in hairs])[:, None, None]
    lines = 1.0 + 0.20 * strands + 0.22 * curls
    on_head = colour * lines[..., None]
    cropped = _column([0.45 if h.style == "cropped" else 0.0 for h in hairs])[:, :, None]
    thin = np.maximum(0.35 * cropped, 0.75 * smoothstep(0.72, 1.0, along)[None, :, None] * (cropped > 0))
    on_head = on_head + (skin[:, None, None] - on_head) * thin[..., None]
    fall = np.linspace(0.0, 1.0, HANGING, dtype=np.float32)[None, :, None]
    outer = colour * (lines[:, -1:] * (1.0 + 0.10 * fall))[..., None]
    inner = np.broadcast_to(colour * 0.55, (batch, INSIDE, COLUMNS, 3))
    occlusion_head = np.clip(0.80 + 0.20 * (1.0 - smoothstep(2.0, 7.0, key)) + 0.10 * strands, 0.4, 1.0)
    outer_shade = np.broadcast_to(0.82 - 0.10 * fall, (batch, HANGING, COLUMNS))
    edge = 0.75 + 0.25 * hanging[:, None]
    inner_shade = np.full((batch, INSIDE, COLUMNS), 0.40)
    colours = np.concatenate([on_head, outer, inner], axis=1).clip(0.01, 0.95).astype(np.float32)
    occlusion = np.concatenate([occlusion_head, outer_shade * edge, inner_shade], axis=1).astype(np.float32)
    return colours, occlusion
