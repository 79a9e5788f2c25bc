"""Albedo: the mean colours of the head and named colour fields, one standard deviation each."""

from __future__ import annotations

import numpy as np

from pie_facemodels.procedural import parts
from pie_facemodels.procedural.features import EYE_X, MOUTH_HALF_WIDTH, lid_heights, lip_profile
from pie_facemodels.procedural.fields import Array, bump, pair, smoothstep
from pie_facemodels.procedural.loft import COLUMNS, MOUTH_ROW
from pie_facemodels.procedural.template import Template

SIZE = 80
SKIN, SKIN_PER_MELANIN = np.array([0.700, 0.530, 0.445]), np.array([-0.160, -0.146, -0.136])
LIPS, LIPS_PER_MELANIN = np.array([0.665, 0.375, 0.350]), np.array([-0.142, -0.092, -0.082])
BROW = np.array([0.205, 0.145, 0.110])
MOUTH_INSIDE = np.array([0.17, 0.055, 0.055])
SCLERA, PUPIL = np.array([0.83, 0.80, 0.78]), np.array([0.02, 0.02, 0.025])
DEFAULT_IRIS, DEFAULT_TEETH = np.array([0.30, 0.20, 0.12]), np.array([0.90, 0.87, 0.80])
TONGUE, LASH = np.array([0.60, 0.27, 0.26]), np.array([0.085, 0.060, 0.055])


def lip_mask(t: Template) -> Array:
    """(V,) 1 on the vermilion of the lips."""
    upper, lower = lip_profile(t.x)
    edge = np.where(t.lower > 0.5, lower, upper)
    p = np.abs(t.height) / np.maximum(edge, 0.014)
    inside = smoothstep(p, 1.10, 0.86) * smoothstep(
        np.abs(t.x), MOUTH_HALF_WIDTH * 1.02, MOUTH_HALF_WIDTH * 0.93
    )
    return np.asarray(inside * t.mask("skin") * (t.z > 0))


def brow_mask(t: Template, thicker: float = 0.0) -> Array:
    """(V,) coverage of the eyebrows, with strokes; ``thicker`` widens them, in model units."""
    a = np.abs(t.x)
    centre = np.interp(a, [0.12, 0.20, 0.33, 0.44, 0.53, 0.60], [0.215, 0.232, 0.262, 0.272, 0.250, 0.205])
    half = np.interp(a, [0.12, 0.22, 0.40, 0.60], [0.036, 0.041, 0.033, 0.014]) + thicker
    ends = smoothstep(a, 0.105, 0.17) * smoothstep(a, 0.625, 0.53)
    strokes = 0.93 + 0.07 * np.sin(170.0 * (a + 0.7 * t.y))
    cover = np.exp(-(np.abs((t.y - centre) / half) ** 2.6)) * ends * strokes
    return np.asarray(cover * t.mask("skin") * (t.z > 0))


def _fixed(t: Template) -> Array:
    """(V,) 1 where the colour is not skin: eyes, teeth, lashes, inside of the mouth."""
    fixed = t.mask("eye_left", "eye_right", "teeth_upper", "teeth_lower")
    for name in ("lash_left", "lash_right"):
        start = t.slices[name].start
        fixed[start : start + 2 * parts.LASH_POINTS] = 1.0
    for row in (1, 2, 3):
        inner = slice((MOUTH_ROW + row) * COLUMNS, (MOUTH_ROW + row + 1) * COLUMNS)
        fixed[inner] = (t.reach[inner] > 0).astype(float)
    return fixed


def _darkening(t: Template) -> Array:
    """(V,) factor on the skin: nostrils, lid creases, the mouth's line."""
    skin = t.mask("skin") * t.front
    nostril = 0.74 * pair(t.x, t.y, (0.074, -0.527), (0.023, 0.011))
    wing = 0.22 * pair(t.x, t.y, (0.198, -0.480), (0.018, 0.042))
    wing = wing + 0.10 * bump(t.x, t.y, (0.0, -0.545), (0.11, 0.022))
    s = (np.abs(t.x) - EYE_X) / 0.185
    upper, lower = lid_heights(s)
    along = smoothstep(np.abs(s), 1.15, 0.8)
    crease = 0.24 * np.exp(-0.5 * ((t.y - upper - 0.046) / 0.011) ** 2) * along
    margin = 0.30 * np.exp(-0.5 * ((t.y - upper - 0.004) / 0.010) ** 2) * along
    under = 0.10 * np.exp(-0.5 * ((t.y - lower + 0.055) / 0.03) ** 2) * along
    line = (
        0.28 * np.exp(-0.5 * (t.height / 0.008) ** 2) * smoothstep(np.abs(t.x), MOUTH_HALF_WIDTH * 1.1, 0.22)
    )
    return np.asarray(1.0 - np.clip(nostril + wing + crease + margin + under + line, 0.0, 0.85) * skin)


def skin_colours(t: Template) -> Array:
    """(V, 3) mean colour of skin, lips and brows, a function of the canonical coordinates alone."""
    lips, brow = lip_mask(t)[:, None], 0.80 * brow_mask(t)[:, None]
    colour = (SKIN * (1 - lips) + LIPS * lips) * _darkening(t)[:, None]
    warm = (
        pair(t.x, t.y, (0.46, -0.38), (0.16, 0.13)) + bump(t.x, t.y, (0.0, -0.42), (0.13, 0.12))
    ) * t.front
    colour = colour + warm[:, None] * np.array([0.026, -0.014, -0.012]) * (1 - lips)
    return np.asarray(colour * (1 - brow) + BROW * brow)


def mean_colours(t: Template) -> Array:
    """(V, 3) mean albedo in [0, 1] with brown irises."""
    colour = skin_colours(t)
    for name in ("lash_left", "lash_right"):
        start = t.slices[name].start
        n = parts.LASH_POINTS
        colour[start : start + 2 * n] = LASH
        colour[start + 2 * n : start + 4 * n] *= np.array([0.80, 0.72, 0.70])
    for row in (1, 2, 3):
        inner = np.arange((MOUTH_ROW + row) * COLUMNS, (MOUTH_ROW + row + 1) * COLUMNS)
        inner = inner[t.reach[inner] > 0]
        tongue = smoothstep(np.abs(t.x[inner]), 0.25, 0.14)[:, None] * (row == 3)
        colour[inner] = MOUTH_INSIDE * (1 - tongue) + 0.8 * TONGUE * tongue
    for name in ("eye_left", "eye_right"):
        colour[t.slices[name]] = eye_colours(DEFAULT_IRIS[None])[0]
    for name in ("teeth_upper", "teeth_lower"):
        colour[t.slices[name]] = tooth_weight(t, name)[:, None] * DEFAULT_TEETH
    return np.asarray(np.clip(colour, 0.0, 1.0))


def tooth_weight(t: Template, name: str) -> Array:
    """(V_part,) how bright each vertex of a strip of teeth is: darker towards the cheeks and the gums."""
    x = t.x[t.slices[name]]
    row, column = np.divmod(np.arange(len(x)), parts.TOOTH_COLUMNS)
    gap = np.where((column - parts.TOOTH_COLUMNS // 2) % 3 == 0, 0.90, 1.0)
    root = np.where(row == (0 if name == "teeth_upper" else parts.TOOTH_ROWS - 1), 0.72, 1.0)
    whole = 1.0 if name == "teeth_upper" else 0.84
    return np.asarray(whole * gap * root * (1.0 - 0.55 * smoothstep(np.abs(x), 0.10, 0.235)))


def iris_weights() -> tuple[Array, Array]:
    """Per vertex of one eyeball: weight (V_eye,) of the iris colour, and the rest of its colour (V_eye, 3)."""
    r = np.repeat(parts.EYE_RINGS, parts.EYE_SECTORS)
    angle = np.tile(2 * np.pi * np.arange(parts.EYE_SECTORS) / parts.EYE_SECTORS, len(parts.EYE_RINGS))
    iris = ((r > 0.0375) & (r < 0.092)).astype(float)
    shade = np.interp(r, [0.040, 0.058, 0.080, 0.088], [0.95, 1.25, 1.0, 0.42]) * (1.0 - 0.22 * np.sin(angle))
    rest = np.where((r < 0.0375)[:, None], PUPIL, SCLERA * (1 - 0.16 * smoothstep(r, 0.11, 0.22))[:, None])
    rest = rest * (1 - iris)[:, None]
    glint = ((r > 0.05) & (r < 0.085) & (np.abs(angle - 1.6) < 0.30)).astype(float)
    lid = 1.0 - 0.38 * smoothstep(r * np.sin(angle), 0.015, 0.085)
    weight = iris * shade * (1 - glint) * lid
    return np.asarray(weight), np.asarray(rest * ((1 - glint) * lid)[:, None] + glint[:, None])


def eye_colours(iris: Array) -> Array:
    """Colours (B, V_eye, 3) of one eyeball for iris colours (B, 3)."""
    weight, rest = iris_weights()
    return np.asarray(weight[None, :, None] * iris[:, None] + rest)


def skin_fields(t: Template) -> dict[str, Array]:
    """Fields (V, 3) of the named coefficients on skin, lips and brows, functions of the canonical coordinates alone."""
    lips, brow = lip_mask(t)[:, None], brow_mask(t)[:, None]
    dark, x, y, h = _darkening(t)[:, None], t.x, t.y, t.height
    front = t.front[:, None]
    plain = (1 - lips) * (1 - 0.80 * brow)
    cheeks = (pair(x, y, (0.46, -0.38), (0.15, 0.12)))[:, None] * front
    nose = bump(x, y, (0.0, -0.43), (0.12, 0.10))[:, None] * front
    around = pair(x, y, (EYE_X, 0.07), (0.17, 0.07))[:, None] * front
    under = pair(x, y, (EYE_X - 0.02, -0.13), (0.13, 0.04))[:, None] * front
    moustache = np.exp(-0.5 * ((x / 0.24) ** 2 + ((h - 0.13) / 0.05) ** 2)) * (h > 0.02)
    below = smoothstep(h, 0.10, -0.10) * smoothstep(np.hypot(x / 0.20, (h + 0.03) / 0.13), 0.9, 1.25)
    beard = np.clip(moustache + below * smoothstep(y, -1.52, -1.25), 0.0, 1.0)
    side = smoothstep(y, -0.20, -0.55) * smoothstep(np.abs(x), 0.50, 0.68) * smoothstep(t.z, -0.15, 0.15)
    beard = (np.clip(beard * smoothstep(t.z, -0.1, 0.2) + 0.9 * side, 0.0, 1.0) * t.mask("skin"))[:, None] * (
        1 - lips
    )
    freckle = np.sin(61 * np.abs(x) + 3 * np.sin(37 * y)) * np.sin(67 * y + 2 * np.sin(41 * np.abs(x)))
    freckles = np.clip(freckle, 0.0, 1.0)[:, None] * np.clip(cheeks * 1.2 + nose, 0.0, 1.0)
    forehead = bump(x, y, (0.0, 0.58), (0.42, 0.17))[:, None] * front
    wide = (brow_mask(t, 0.011) - brow_mask(t, -0.006))[:, None]
    contrast = BROW - SKIN
    ring = lips * (1 - lips) * 4.0
    return {
        "melanin": SKIN_PER_MELANIN * plain * dark + LIPS_PER_MELANIN * lips * dark,
        "haemoglobin": np.array([0.007, -0.013, -0.010]) * plain * (1 + 0.6 * cheeks + 0.6 * nose),
        "warmth": np.array([0.004, 0.004, -0.018]) * plain,
        "lip_redness": np.array([0.030, -0.045, -0.030]) * lips,
        "lip_darkness": np.array([-0.070, -0.050, -0.045]) * lips,
        "brow_colour": np.array([0.110, 0.085, 0.060]) * brow,
        "brow_thickness": 0.55 * contrast * wide,
        "brow_density": 0.13 * contrast * brow,
        "blush": np.array([0.030, -0.022, -0.014]) * cheeks * plain,
        "nose_redness": np.array([0.022, -0.020, -0.014]) * nose,
        "stubble": np.array([-0.062, -0.050, -0.036]) * beard,
        "under_eye": np.array([-0.034, -0.034, -0.022]) * under,
        "eye_shadow": np.array([-0.045, -0.045, -0.032]) * around * (1 - 0.8 * brow),
        "freckles": np.array([-0.040, -0.044, -0.040]) * freckles * plain,
        "forehead_light": np.array([0.018, 0.016, 0.014]) * forehead * plain,
        "cheek_light": np.array([0.018, 0.015, 0.013]) * cheeks * plain,
        "lip_outline": np.array([-0.040, -0.040, -0.036]) * ring,
        "lip_lightness": np.array([0.030, 0.025, 0.024]) * lips,
    }


def named_fields(t: Template) -> dict[str, Array]:
    """Fields (V, 3) of the named albedo coefficients, in their order; zero on eyes and teeth."""
    free = (1.0 - _fixed(t))[:, None]
    return {name: field * free for name, field in skin_fields(t).items()}


def fields(t: Template) -> tuple[list[str], Array]:
    """Names of the first coefficients and the basis (SIZE, V, 3), colour per standard deviation."""
    named = named_fields(t)
    rng = np.random.default_rng(81)
    basis = list(named.values())
    free = (1.0 - _fixed(t))[:, None] * (1 - 0.8 * brow_mask(t)[:, None])
    while len(basis) < SIZE:
        sign = -1.0 if len(basis) % 3 == 0 else 1.0
        centre = (rng.uniform(0.0, 0.6), rng.uniform(-1.2, 0.7))
        radius = (rng.uniform(0.12, 0.24), rng.uniform(0.12, 0.24))
        tone = rng.normal(1.0, 0.25, size=3) * rng.choice([-1.0, 1.0])
        tone *= 0.007 / np.abs(tone).max()
        shape = bump(t.x, t.y, centre, radius) + sign * bump(-t.x, t.y, centre, radius)
        basis.append((shape * t.front)[:, None] * tone * free)
    return list(named), np.stack(basis)
