"""Neck, shoulders and clothes: a skin loft and a shell around it that begins at the collar."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pie_synthetic.background import muted_colour
from pie_synthetic.grids import (
    FloatArray,
    IntArray,
    catmull_rom,
    grid_faces,
    grid_normals,
    smoothstep,
)

#: Key sections from the skull's base down: height, half-width, half-depth, centre z, superellipse exponent.
KEYS = np.array(
    [
        [-0.55, 0.50, 0.46, -0.46, 2.0],
        [-0.95, 0.50, 0.46, -0.42, 2.0],
        [-1.22, 0.49, 0.47, -0.42, 2.0],
        [-1.42, 0.54, 0.50, -0.46, 2.0],
        [-1.58, 0.72, 0.55, -0.50, 2.05],
        [-1.72, 1.05, 0.61, -0.53, 2.15],
        [-1.87, 1.42, 0.68, -0.54, 2.25],
        [-2.08, 1.76, 0.76, -0.54, 2.35],
        [-2.40, 1.98, 0.84, -0.52, 2.45],
        [-2.90, 2.06, 0.92, -0.50, 2.5],
        [-3.50, 2.06, 0.98, -0.50, 2.5],
    ]
)
#: Position of the neck's root among the keys: above it the skin follows the head, below it the trunk.
NECK_ROOT = 4.2
SKIN_ROWS, SHELL_ROWS, COLUMNS = 20, 22, 41
SKIN_DEPTH = 7.0
COLLARS = ("crew", "v", "shirt", "turtleneck", "wide")
#: Per collar: height among the keys at the side, extra depth of the front, width of the front dip, thickness.
COLLAR_SHAPES = {
    "crew": (3.75, 1.15, 0.9, 0.045),
    "v": (3.8, 2.9, 0.42, 0.05),
    "shirt": (3.1, 1.9, 0.30, 0.075),
    "turtleneck": (2.25, 0.25, 1.0, 0.075),
    "wide": (4.1, 1.5, 1.1, 0.04),
}


@dataclass(frozen=True)
class Build:
    """Proportions of a person's neck and shoulders, as factors of the mean (slope: standard deviations)."""

    neck: float
    shoulders: float
    length: float
    slope: float


@dataclass(frozen=True)
class Clothes:
    """What is worn: the collar's kind, its colour and accent (3,) in [0, 1], folds' phase and strength."""

    collar: str
    colour: FloatArray
    accent: FloatArray
    phase: float
    stripes: float
    turn: float


@dataclass(frozen=True)
class Surface:
    """A shaded surface: points, normals, colours (B, V, 3), occlusion (B, V), triangles (F, 3), region."""

    points: FloatArray
    normals: FloatArray
    colours: FloatArray
    occlusion: FloatArray
    faces: IntArray
    label: int


def sample_build(rng: np.random.Generator, stoutness: float = 0.0) -> Build:
    """Draw a build around the mean; `stoutness` in standard deviations widens the neck and the shoulders."""
    return Build(
        neck=float(np.clip(rng.normal(1.0 + 0.05 * stoutness, 0.08), 0.82, 1.25)),
        shoulders=float(np.clip(rng.normal(1.0 + 0.05 * stoutness, 0.09), 0.80, 1.28)),
        length=float(np.clip(rng.normal(0.0, 0.08), -0.14, 0.16)),
        slope=float(np.clip(rng.normal(0.0, 1.0), -1.8, 1.8)),
    )


def sample_clothes(rng: np.random.Generator) -> Clothes:
    """Draw clothes in muted colours; the trunk is turned a little, independently of the head."""
    collar = str(rng.choice(COLLARS, p=(0.38, 0.16, 0.24, 0.10, 0.12)))
    colour = muted_colour(rng, (0.10, 0.72), (0.03, 0.34))
    if rng.uniform() < 0.2:
        colour = np.asarray(rng.choice([0.08, 0.82]) + rng.normal(0, 0.02, 3), dtype=np.float32)
    accent = np.clip(colour * rng.choice([0.75, 1.0, 1.25]), 0.03, 0.92)
    if rng.uniform() < 0.25:
        accent = muted_colour(rng, (0.12, 0.8), (0.02, 0.3))
    stripes = rng.uniform(0.06, 0.2) if rng.uniform() < 0.15 else 0.0
    return Clothes(
        collar=collar,
        colour=colour.astype(np.float32),
        accent=accent.astype(np.float32),
        phase=float(rng.uniform(0.0, 2.0 * np.pi)),
        stripes=float(stripes),
        turn=float(np.clip(rng.normal(0.0, 0.13), -0.3, 0.3)),
    )


def body_surfaces(
    builds: Sequence[Build],
    clothes: Sequence[Clothes],
    skin: FloatArray,
    rotation: FloatArray,
    shift: FloatArray,
    translation: FloatArray,
    chin: FloatArray,
) -> tuple[Surface, Surface]:
    """Skin of the neck and chest, and the clothes over it, in world coordinates.

    Args:
        builds: proportions of each person.
        clothes: clothes of each shot.
        skin: (B, 3) colour of the skin.
        rotation, shift: (B, 3, 3) and (B, 3), the head's pose R v + s, which the upper neck follows.
        translation: (B, 3) shift of the body.
        chin: (B,) height of the chin in head coordinates; the body hangs below it.

    Returns:
        The skin's surface (label 2) and the clothes' (label 1).
    """
    azimuth = np.linspace(-2.1, 2.1, COLUMNS).astype(np.float32)
    keys = _person_keys(builds, chin)
    yaw = np.arctan2(rotation[:, 0, 2], rotation[:, 2, 2])
    lean = (np.array([c.turn for c in clothes]) + 0.35 * yaw).astype(np.float32)

    rows = np.linspace(0.0, SKIN_DEPTH, SKIN_ROWS)
    position = np.broadcast_to(rows[None, :, None], (len(builds), SKIN_ROWS, COLUMNS)).astype(np.float32)
    sections = _sections(keys, position, azimuth, np.zeros(1, np.float32))
    points = _pose(sections, position, rotation, shift, translation, lean)
    normals = grid_normals(points)
    front = np.cos(azimuth)[None, None, :]
    shade = 1.0 - 0.42 * smoothstep(-0.2, 0.7, front) * (1.0 - smoothstep(1.6, 4.4, position))
    shade = shade * (1.0 - 0.2 * (1.0 - smoothstep(0.5, 3.0, position)))
    batch = len(builds)
    skin_surface = Surface(
        points.reshape(batch, -1, 3),
        normals.reshape(batch, -1, 3),
        np.broadcast_to(skin[:, None], (batch, SKIN_ROWS * COLUMNS, 3)).astype(np.float32),
        shade.reshape(batch, -1).astype(np.float32),
        grid_faces(SKIN_ROWS, COLUMNS),
        label=2,
    )
    return skin_surface, _clothes_surface(clothes, keys, azimuth, rotation, shift, translation, lean)


def _clothes_surface(
    clothes: Sequence[Clothes],
    keys: FloatArray,
    azimuth: FloatArray,
    rotation: FloatArray,
    shift: FloatArray,
    translation: FloatArray,
    lean: FloatArray,
) -> Surface:
    """The shell from the collar's edge down."""
    batch = len(clothes)
    shapes = np.array([COLLAR_SHAPES[c.collar] for c in clothes], dtype=np.float32)[:, :, None]
    dip = np.exp(-(np.abs(azimuth[None] / shapes[:, 2]) ** 1.6))
    pointed = np.clip(1.0 - np.abs(azimuth[None]) / (2.2 * shapes[:, 2]), 0.0, 1.0)
    is_pointed = np.array([c.collar in ("v", "shirt") for c in clothes])[:, None]
    top = shapes[:, 0] + shapes[:, 1] * np.where(is_pointed, pointed, dip)
    along = np.linspace(0.0, 1.0, SHELL_ROWS, dtype=np.float32) ** 1.35
    position = top[:, None, :] + (len(KEYS) - 1.0 - top[:, None, :]) * along[None, :, None]
    rim = np.exp(-(((along - 0.05) / 0.06) ** 2))[None, :, None]
    inner = smoothstep(0.0, 0.02, along)[None, :, None]
    offset = 0.012 + inner * (0.03 + shapes[:, 3][:, None] * rim)
    phase = np.array([c.phase for c in clothes], dtype=np.float32)[:, None, None]
    folds = np.sin(5.0 * azimuth + phase + 1.3 * position) + 0.7 * np.sin(
        9.0 * azimuth - 2.0 * phase + 2.1 * position
    )
    offset = offset + 0.011 * folds * smoothstep(0.15, 0.5, along)[None, :, None]
    sections = _sections(keys, position, azimuth, offset.astype(np.float32))
    points = _pose(sections, position, rotation, shift, translation, lean)
    colour = np.stack([c.colour for c in clothes])[:, None, None]
    accent = np.stack([c.accent for c in clothes])[:, None, None]
    band = (1.0 - smoothstep(0.07, 0.12, along))[None, :, None, None]
    has_band = np.array([c.collar in ("crew", "shirt") for c in clothes], dtype=np.float32)[
        :, None, None, None
    ]
    colours = colour + (accent - colour) * band * has_band
    stripes = np.array([c.stripes for c in clothes], dtype=np.float32)[:, None, None]
    colours = colours * (1.0 + stripes * np.sin(9.0 * position))[..., None]
    crease = 0.93 + 0.035 * folds
    shade = crease * (0.82 + 0.18 * smoothstep(0.05, 0.3, along)[None, :, None])
    front = smoothstep(0.2, 0.9, np.cos(azimuth))[None, None]
    shade = shade * (1.0 - 0.3 * front * (1.0 - smoothstep(2.5, 5.0, position)))
    return Surface(
        points.reshape(batch, -1, 3),
        grid_normals(points).reshape(batch, -1, 3),
        np.clip(colours, 0.02, 0.95).reshape(batch, -1, 3).astype(np.float32),
        shade.reshape(batch, -1).astype(np.float32),
        grid_faces(SHELL_ROWS, COLUMNS),
        label=1,
    )


def _person_keys(builds: Sequence[Build], chin: FloatArray) -> FloatArray:
    """(B, K, 5) key sections of each person."""
    keys = np.repeat(KEYS[None].astype(np.float32), len(builds), axis=0)
    neck = np.array([b.neck for b in builds], dtype=np.float32)[:, None]
    shoulders = np.array([b.shoulders for b in builds], dtype=np.float32)[:, None]
    length = np.array([b.length for b in builds], dtype=np.float32)[:, None]
    slope = np.array([b.slope for b in builds], dtype=np.float32)[:, None]
    shoulder_share = smoothstep(3.0, 7.0, np.arange(len(KEYS), dtype=np.float32))[None]
    scale = neck + (shoulders - neck) * shoulder_share
    keys[..., 1] *= scale
    keys[..., 2] *= 1.0 + 0.6 * (scale - 1.0)
    keys[..., 0] += (chin[:, None] + 1.08) - length * smoothstep(
        1.0, 4.0, np.arange(len(KEYS), dtype=np.float32)
    )
    keys[..., 0] += 0.05 * slope * np.exp(-(((np.arange(len(KEYS)) - 5.2) / 1.2) ** 2))[None]
    return keys


def _sections(keys: FloatArray, position: FloatArray, azimuth: FloatArray, offset: FloatArray) -> FloatArray:
    """Points (B, R, C, 3) of the loft at fractional key positions (B, R, C), pushed outward by `offset`."""
    fine = catmull_rom(len(KEYS), np.linspace(0.0, len(KEYS) - 1.0, 161))
    table = np.einsum("fk,bkc->bfc", fine, keys)
    where = np.clip(position * (160.0 / (len(KEYS) - 1.0)), 0.0, 159.999)
    low = where.astype(np.int64)
    share = (where - low)[..., None]
    batch = np.arange(len(keys))[:, None, None]
    values = table[batch, low] * (1.0 - share) + table[batch, low + 1] * share
    height, width, depth, centre, power = np.moveaxis(values, -1, 0)
    sine, cosine = np.sin(azimuth), np.cos(azimuth)
    x = (width + offset) * np.sign(sine) * np.abs(sine) ** (2.0 / power)
    z = centre + (depth + offset) * np.sign(cosine) * np.abs(cosine) ** (2.0 / power)
    return np.stack([x, height + 0.6 * offset, z], axis=-1).astype(np.float32)


def _pose(
    points: FloatArray,
    position: FloatArray,
    rotation: FloatArray,
    shift: FloatArray,
    translation: FloatArray,
    lean: FloatArray,
) -> FloatArray:
    """Turn the trunk by `lean` (B,) about y and let the upper neck follow the head."""
    cosine, sine = np.cos(lean)[:, None, None], np.sin(lean)[:, None, None]
    x, y, z = points[..., 0], points[..., 1], points[..., 2] + 0.45
    trunk = np.stack([cosine * x + sine * z, y, cosine * z - sine * x - 0.45], axis=-1)
    trunk = trunk + translation[:, None, None]
    head = np.einsum("bij,brcj->brci", rotation, points) + shift[:, None, None]
    follow = (1.0 - smoothstep(0.2, NECK_ROOT, position))[..., None]
    result: FloatArray = (trunk + (head - trunk) * follow).astype(np.float32)
    return result
