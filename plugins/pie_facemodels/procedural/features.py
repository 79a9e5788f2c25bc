"""Eyes, nose, lips and the other relief modelled into the lofted head, in model units.

Eyelids: near an eye the skin lies at the eyeball's depth plus a constant times the signed distance to an almond, so
the depth buffer draws the outline of the eye smoothly wherever the grid's vertices are, and closing the eye moves
depths only. Relief elsewhere is a sum of Gaussians over the face's front.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pie_facemodels.procedural.fields import Array, bump, pair, smoothstep
from pie_facemodels.procedural.loft import MOUTH_ROW, loft

EYE_X = 0.365
EYE_HALF_WIDTH = 0.185
EYE_DEPTH = 0.765
MOUTH_HALF_WIDTH = 0.29
_EYE_SLOPE, _EYE_RADIUS = 0.28, 0.34
_LID_SLOPE = 0.75


def eyeball_depth(x: Array, y: Array) -> Array:
    """Depth z of the eyeball's paraboloid (that of the nearer eye) at (x, y)."""
    local = np.abs(x) - EYE_X
    return np.asarray(EYE_DEPTH - _EYE_SLOPE * local - (local**2 + y**2) / (2 * _EYE_RADIUS))


def lid_heights(s: Array, blink: float = 0.0) -> tuple[Array, Array]:
    """Upper and lower lid margin at ``s`` (-1 inner corner, 1 outer corner), for blink 0 (open) to 1 (closed)."""
    inside = np.clip(1.0 - np.abs(s) ** 2.3, 0.0, None)
    tilt = 0.014 * np.clip(s, -1.2, 1.2)
    upper = tilt + 0.086 * inside**0.72 * (1.0 - 0.08 * s)
    lower = tilt - 0.066 * inside**0.85 * (1.0 + 0.10 * s)
    return upper + blink * (lower + 0.002 - upper), lower


def _lid_distance(x: Array, y: Array, blink: float) -> tuple[Array, Array, Array]:
    """Distance outside the almond (negative inside), height above the upper margin, s."""
    s = (np.abs(x) - EYE_X) / EYE_HALF_WIDTH
    upper, lower = lid_heights(s, blink)
    beyond = np.clip(np.abs(s) - 1.0, 0.0, None) * EYE_HALF_WIDTH
    # Steeper inside at the lower lid: a half-closed eye, a mixture of open and closed depths, stays open there.
    under = lower - y
    vertical = np.maximum(y - upper, np.where(under < 0, 2.2 * under, under))
    outside = np.hypot(vertical, beyond)
    return np.where(beyond > 0, outside, vertical), y - upper, s


def _nose(x: Array, y: Array) -> Array:
    heights = [0.30, 0.16, 0.06, -0.05, -0.18, -0.30, -0.40, -0.455, -0.505, -0.545, -0.59]
    relief = [0.00, 0.022, 0.045, 0.085, 0.140, 0.190, 0.222, 0.210, 0.150, 0.070, 0.0]
    widths = [0.16, 0.12, 0.090, 0.086, 0.098, 0.116, 0.132, 0.140, 0.142, 0.140, 0.14]
    order = np.argsort(heights)
    height = np.interp(y, np.array(heights)[order], np.array(relief)[order])
    width = np.interp(y, np.array(heights)[order], np.array(widths)[order])
    across = np.asarray(x / width) ** 2
    ridge = height * (0.66 * np.exp(-0.95 * across) + 0.34 * np.exp(-0.23 * across))
    ball = 0.058 * bump(x, y, (0.0, -0.438), (0.076, 0.058))
    wings = 0.098 * pair(x, y, (0.146, -0.482), (0.040, 0.042))
    crease = -0.028 * pair(x, y, (0.226, -0.46), (0.022, 0.05))
    nostrils = -0.055 * pair(x, y, (0.072, -0.530), (0.028, 0.016))
    return np.asarray(ridge + ball + wings + crease + nostrils)


def lip_profile(x: Array) -> tuple[Array, Array]:
    """Heights of the upper and the lower lip at x."""
    inside = np.clip(1.0 - (x / MOUTH_HALF_WIDTH) ** 2, 0.0, None)
    bow = (
        1.0 - 0.16 * np.exp(-0.5 * (x / 0.028) ** 2) + 0.10 * np.exp(-0.5 * ((np.abs(x) - 0.065) / 0.04) ** 2)
    )
    return 0.088 * inside**0.75 * bow, 0.108 * inside**0.62


def _lips(x: Array, below: Array, lower_half: npt.NDArray[np.bool_]) -> Array:
    """Relief of the lips; ``below`` is the height over the mouth line."""
    upper, lower = lip_profile(x)
    reach = np.clip(1.0 - (x / MOUTH_HALF_WIDTH) ** 2, 0.0, None)
    up = np.clip(below / np.maximum(upper, 0.012), 0.0, 2.0)
    down = np.clip(-below / np.maximum(lower, 0.012), 0.0, 2.0)
    p = np.where(lower_half, down, up)
    swell = np.sin(np.pi * np.clip((p + 0.16) / 1.22, 0.0, 1.0)) ** 0.9
    amount = np.where(lower_half, 0.070, 0.056) * reach**0.6
    line = -0.045 * np.exp(-0.5 * (below / 0.009) ** 2) * smoothstep(np.abs(x), 1.12 * MOUTH_HALF_WIDTH, 0.2)
    corner = -0.020 * pair(x, below, (MOUTH_HALF_WIDTH + 0.01, 0.0), (0.03, 0.035))
    return np.asarray(amount * swell + line + corner)


def _relief(x: Array, y: Array) -> Array:
    ridge = 0.040 * pair(x, y, (0.34, 0.205), (0.17, 0.065)) + 0.012 * bump(x, y, (0.0, 0.22), (0.13, 0.09))
    cheekbone = 0.040 * pair(x, y, (0.50, -0.30), (0.19, 0.16)) + 0.022 * pair(
        x, y, (0.33, -0.40), (0.15, 0.14)
    )
    hollow = 0.012 * pair(x, y, (0.50, -0.66), (0.16, 0.16))
    fold = -0.008 * pair(x, y, (0.27, -0.58), (0.035, 0.09))
    muzzle = 0.030 * bump(x, y, (0.0, -0.74), (0.26, 0.16))
    chin = 0.056 * bump(x, y, (0.0, -1.14), (0.15, 0.095))
    labiomental = -0.024 * bump(x, y, (0.0, -0.965), (0.17, 0.042))
    philtrum = -0.010 * bump(x, y, (0.0, -0.64), (0.024, 0.05))
    beside_nose = -0.030 * pair(x, y, (0.20, 0.03), (0.055, 0.10))
    temple = -0.020 * pair(x, y, (0.70, 0.25), (0.12, 0.16))
    return np.asarray(
        ridge + cheekbone + hollow + fold + muzzle + chin + labiomental + philtrum + beside_nose + temple
    )


def skin(blink_left: float = 0.0, blink_right: float = 0.0) -> Array:
    """Vertices (ROWS, COLUMNS, 3) of the neutral skin; blink_left is the eye at positive x (image right)."""
    x, y, base = np.moveaxis(loft().points, -1, 0)
    front = smoothstep(base, 0.0, 0.45)
    rows = np.arange(len(x))[:, None]
    mouth = loft().mouth_line[None, :]
    lower_half = np.broadcast_to(rows > MOUTH_ROW + 2, x.shape)
    relief = np.asarray(_relief(x, y) + _nose(x, y) + _lips(x, y - mouth, lower_half))
    z = base + front * relief
    for sign, blink in ((1.0, blink_left), (-1.0, blink_right)):
        near = (sign * x > 0.02) & (base > 0.0)
        distance, above, s = _lid_distance(x, y, blink)
        distance_open, above_open, _ = _lid_distance(x, y, 0.0)
        # A closed lid rises from its margin and then follows the eyeball.
        distance = np.where(
            (distance > 0) & (above > 0),
            distance + blink * (0.072 * -np.expm1(-distance / 0.072) - distance),
            distance,
        )
        ball = eyeball_depth(x, y)
        window = smoothstep(np.abs(s), 1.25, 0.85)
        lid = ball + _LID_SLOPE * distance + 0.012 * np.tanh(distance / 0.010) + 0.004 * blink
        crease = -0.020 * (1.0 - 0.75 * blink) * np.exp(-0.5 * ((above_open - 0.050) / 0.013) ** 2) * window
        bag = -0.008 * np.exp(-0.5 * ((above_open + 0.235) / 0.025) ** 2) * window
        blend = smoothstep(distance_open, 0.015, 0.125)
        hull = np.maximum(z, np.where(np.hypot(np.abs(x) - EYE_X, y) < 0.27, ball + 0.012, -np.inf))
        shaped = lid + (hull - lid) * blend + crease + bag
        z = np.where(near & (distance_open < 0.3), shaped, z)
    reach = np.sqrt(np.clip(1.0 - (x / MOUTH_HALF_WIDTH) ** 2, 0.0, None)) * (base > 0)
    for offset, depth in ((1, 0.10), (2, 0.34), (3, 0.10)):
        z[MOUTH_ROW + offset] -= depth * reach[MOUTH_ROW + offset]
    return np.stack([x, y, z], -1)
