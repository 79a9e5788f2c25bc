"""Expression: named displacement fields, 1 = the full expression, and small smooth ones for the rest.

Most controls are linear in their activation. Those whose negative would push lips or lids through each other turn
into another field below zero: the natural opposite of what they do above it (``opposite_fields``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from pie_facemodels.procedural.features import EYE_X, MOUTH_HALF_WIDTH
from pie_facemodels.procedural.fields import Array, bump, pair, side_weight, smoothstep
from pie_facemodels.procedural.identity import FieldSet, smooth_field
from pie_facemodels.procedural.template import Template, neutral

if TYPE_CHECKING:
    from jaxtyping import Float

SIZE = 64
REST_SMILE = 0.2
#: Activation within which a one-sided control turns from its own field into its opposite's.
TURN = 0.025
GAZE_SHIFT = (0.062, 0.040)


def _jaw(t: Template) -> Array:
    """(V,) how far each vertex follows the jaw: 1 on chin, lower lip and lower teeth, 0 on the skull."""
    corner = 0.40
    h = t.height
    above = corner * (1.0 - t.reach) * smoothstep(h, 0.36, 0.0)
    below = corner + (1.0 - corner) * np.maximum(t.reach, smoothstep(-h, 0.0, 0.34))
    weight = t.upper * above + t.lower * below
    skin = t.mask("skin")
    weight = skin * weight * smoothstep(t.z, -0.05, 0.42) + (1 - skin) * 0.0
    return np.asarray(np.maximum(weight, t.mask("teeth_lower")))


def named_fields(t: Template) -> dict[str, Array]:
    """Fields (V, 3) of the named expression coefficients, in their order; "rest" is no coefficient but the mean's."""
    f, r = FieldSet(t), _Regions(t)
    for part in (_smiles_and_brows, _puckers, _lips, _cheeks_and_eyes, _gaze_and_jaw):
        part(f, r)
    return f.fields


class _Regions:
    """How much each vertex takes part, (V,) each: `move` for the skin in front, and parts of the face."""

    def __init__(self, t: Template) -> None:
        x, y, h, w = t.x, t.y, t.height, MOUTH_HALF_WIDTH
        teeth, eyes = t.mask("teeth_upper", "teeth_lower"), t.mask("eye_left", "eye_right")
        self.move = move = t.front * (1 - teeth) * (1 - eyes)
        self.left, self.right = side_weight(x), side_weight(-x)
        self.corner = pair(x, h, (w + 0.01, 0.0), (0.115, 0.12)) * move
        self.up = t.upper * np.exp(-((h / 0.17) ** 2)) * move * np.sqrt(t.reach)
        self.low = t.lower * np.exp(-((h / 0.19) ** 2)) * move * np.sqrt(t.reach)
        self.lips = np.exp(-0.5 * ((x / 0.26) ** 2 + (h / 0.14) ** 2)) * move
        self.cheek = pair(x, y, (0.47, -0.36), (0.16, 0.13)) * move
        self.fold = pair(x, y, (0.335, -0.58), (0.045, 0.09)) * move
        self.chin = bump(x, y, (0.0, -1.14), (0.20, 0.11)) * move
        self.brow = pair(x, y, (0.37, 0.27), (0.19, 0.085)) * move
        self.inner = pair(x, y, (0.16, 0.25), (0.09, 0.09)) * move
        self.upper_lid = pair(x, y, (EYE_X, 0.085), (0.19, 0.045)) * move
        self.lower_lid = pair(x, y, (EYE_X, -0.085), (0.19, 0.05)) * move
        self.jaw = _jaw(t)


def _smiles_and_brows(f: FieldSet, r: _Regions) -> None:
    """Smile, jaw, blinks, brows, frown and grin."""
    t = f.t
    x, y, z, side, reach = t.x, t.y, t.z, np.sign(t.x), t.reach
    w = MOUTH_HALF_WIDTH
    f.add(
        "smile",
        dx=0.080 * side * r.corner,
        dy=0.105 * r.corner - 0.014 * r.lips * (1 - (x / w) ** 2),
        dz=-0.045 * r.corner,
    )
    f.add("smile", dy=0.055 * r.cheek + 0.016 * r.lower_lid, dz=0.036 * r.cheek - 0.018 * r.fold)
    f.fields["rest"] = REST_SMILE * f.fields["smile"]
    f.add("smile", dy=(0.010 * r.up - 0.008 * r.low) * reach)
    f.add("jaw_open", dy=-0.30 * (z + 0.1) * r.jaw, dz=0.13 * (y + 0.15) * r.jaw)
    base = neutral()
    f.fields["blink_left"] = neutral(blink=(1.0, 0.0)) - base
    f.fields["blink_right"] = neutral(blink=(0.0, 1.0)) - base
    raised = 0.085 * r.brow + 0.014 * r.upper_lid
    f.add("brow_raise_left", dy=raised * r.left)
    f.add("brow_raise_right", dy=raised * r.right)
    f.add("brow_lower", dx=-0.030 * side * r.inner, dy=-0.050 * r.brow - 0.030 * r.inner - 0.008 * r.upper_lid,
          dz=0.018 * bump(x, y, (0.0, 0.19), (0.14, 0.07)) * r.move)  # fmt: skip
    f.add("brow_inner_up", dx=-0.012 * side * r.inner, dy=0.090 * r.inner - 0.018 * r.brow)
    f.add(
        "frown",
        dx=0.010 * side * r.corner,
        dy=-0.085 * r.corner + 0.012 * r.lips * (1 - (x / w) ** 2),
        dz=-0.015 * r.corner,
    )
    f.add("frown", dy=0.02 * r.chin, dz=0.02 * r.chin)
    f.add(
        "grin",
        dx=0.070 * side * r.corner,
        dy=0.075 * r.corner + (0.052 * r.up - 0.040 * r.low) * reach,
        dz=-0.040 * r.corner,
    )
    f.add("grin", dy=0.055 * r.cheek + 0.020 * r.lower_lid, dz=0.034 * r.cheek - 0.020 * r.fold)


def _puckers(f: FieldSet, r: _Regions) -> None:
    """Lips that pucker, open or go to one side."""
    t = f.t
    x, z, h, reach = t.x, t.z, t.height, t.reach
    teeth = t.mask("teeth_upper", "teeth_lower")
    narrow = np.exp(-0.5 * ((x / 0.30) ** 2 + (h / 0.15) ** 2)) * r.move
    f.add("pucker", dx=-0.42 * x * narrow, dz=0.085 * r.lips * np.exp(-0.5 * (x / 0.2) ** 2),
          dy=(0.014 * r.up - 0.018 * r.low) * smoothstep(np.abs(h), 0.0, 0.06))  # fmt: skip
    f.add("funnel", dx=-0.30 * x * narrow, dz=0.070 * r.lips, dy=0.050 * r.up * reach - 0.060 * r.low * reach)
    f.add("funnel", dy=-0.10 * (z + 0.1) * r.jaw)
    f.add("funnel", dy=0.060 * t.mask("teeth_upper") - 0.060 * t.mask("teeth_lower"), dz=-0.06 * teeth)
    wide = np.exp(-0.5 * ((x / 0.31) ** 2 + (h / 0.17) ** 2)) * r.move
    for name, outward in (("mouth_left", 1.0), ("mouth_right", -1.0)):
        f.add(name, dx=outward * (0.20 * wide + 0.035 * r.chin), dz=-0.02 * r.corner,
              dy=0.02 * r.corner * np.where(outward * x > 0, 1.0, -0.6))  # fmt: skip


def _lips(f: FieldSet, r: _Regions) -> None:
    """Lips that press, raise and stretch."""
    t = f.t
    h, side, reach = t.height, np.sign(t.x), t.reach
    thin_up = t.upper * np.exp(-((h / 0.13) ** 2)) * smoothstep(h, 0.0, 0.08) * r.move * np.sqrt(reach)
    thin_low = t.lower * np.exp(-((h / 0.15) ** 2)) * smoothstep(-h, 0.0, 0.09) * r.move * np.sqrt(reach)
    f.add("lip_press", dy=-0.040 * thin_up + 0.050 * thin_low, dz=-0.030 * r.lips * np.exp(-((h / 0.1) ** 2)))
    f.add("upper_lip_raise", dy=0.060 * r.up * reach + 0.02 * r.up)
    f.add("lower_lip_down", dy=-0.068 * r.low * reach - 0.02 * r.low)
    f.add("stretch", dx=0.115 * side * r.corner, dy=-0.030 * r.corner - 0.006 * thin_up + 0.010 * thin_low,
          dz=-0.05 * r.corner)  # fmt: skip


def _cheeks_and_eyes(f: FieldSet, r: _Regions) -> None:
    """Dimples, nose, cheeks and lids."""
    t = f.t
    x, y, z, h, side, reach = t.x, t.y, t.z, t.height, np.sign(t.x), t.reach
    skin = t.mask("skin")
    w = MOUTH_HALF_WIDTH
    narrow = np.exp(-0.5 * ((x / 0.30) ** 2 + (h / 0.15) ** 2)) * r.move
    dent = pair(x, h, (w + 0.075, 0.005), (0.032, 0.055)) * r.move
    f.add("dimple", dx=0.060 * side * r.corner, dy=0.022 * r.corner, dz=-0.055 * r.corner - 0.055 * dent)
    wings = pair(x, y, (0.13, -0.46), (0.07, 0.08)) * r.move
    f.add("sneer",
          dy=0.045 * wings + 0.050 * t.upper * pair(x, h, (0.15, 0.04), (0.09, 0.10)) * r.move * np.sqrt(reach),
          dz=-0.018 * r.fold + 0.012 * r.cheek)  # fmt: skip
    f.add("sneer", dy=0.020 * r.cheek - 0.020 * r.inner)
    f.add(
        "nose_wrinkle",
        dy=0.060 * wings + 0.04 * bump(x, y, (0.0, -0.2), (0.1, 0.15)) * r.move - 0.050 * r.inner,
        dx=-0.020 * side * r.inner,
        dz=0.022 * bump(x, y, (0.0, -0.02), (0.11, 0.06)) * r.move - 0.012 * r.fold,
    )
    puff = pair(x, y, (0.47, -0.66), (0.16, 0.17)) * skin * smoothstep(z, -0.1, 0.3)
    f.add("cheek_puff", dx=0.150 * side * puff, dz=0.135 * puff)
    f.add("cheek_puff", dx=-0.12 * x * narrow)
    f.add("cheek_raise", dy=0.060 * r.cheek + 0.022 * r.lower_lid, dz=0.035 * r.cheek)
    f.add(
        "squint",
        dy=0.036 * r.lower_lid - 0.030 * r.upper_lid - 0.018 * r.brow + 0.02 * r.cheek,
        dz=0.012 * r.cheek,
    )
    f.add("eyes_wide", dy=0.032 * r.upper_lid - 0.010 * r.lower_lid + 0.025 * r.brow)


def _gaze_and_jaw(f: FieldSet, r: _Regions) -> None:
    """Gaze, jaw, chin and smirks."""
    t = f.t
    x, y, z, h, side = t.x, t.y, t.z, t.height, np.sign(t.x)
    for name, axis in (("gaze_horizontal", 0), ("gaze_vertical", 1)):
        shift = [0.0, 0.0]
        shift[axis] = GAZE_SHIFT[axis]
        back = [-shift[0], -shift[1]]
        f.fields[name] = 0.5 * (neutral(gaze=(shift[0], shift[1])) - neutral(gaze=(back[0], back[1])))
    f.add("gaze_vertical", dy=0.022 * r.upper_lid + 0.008 * r.lower_lid)
    slide = np.maximum(r.jaw, 0.55 * r.lips) * smoothstep(z, 0.0, 0.6)
    f.add("jaw_left", dx=0.185 * slide)
    f.add("jaw_right", dx=-0.185 * slide)
    f.add(
        "jaw_forward",
        dy=-0.045 * r.jaw * smoothstep(-h, 0.05, 0.34) + 0.030 * r.lips,
        dz=0.20 * r.jaw + 0.03 * r.low,
    )
    f.add("chin_raise", dy=0.105 * r.chin + 0.050 * r.lips)
    f.add("chin_raise", dz=0.045 * r.chin + 0.040 * r.low)
    flare = pair(x, y, (0.15, -0.475), (0.06, 0.065)) * r.move
    f.add("nostril_flare", dx=0.062 * side * flare, dy=0.022 * flare, dz=0.020 * flare)
    for name, half, outward in (("smirk_left", r.left, 1.0), ("smirk_right", r.right, -1.0)):
        pull = half * r.corner
        f.add(name, dx=0.085 * outward * pull, dy=0.125 * pull + 0.05 * r.cheek * half, dz=-0.035 * pull)


def opposite_fields(t: Template, named: dict[str, Array]) -> dict[str, Array]:
    """What one-sided controls do at -1: displacements (V, 3), all of them with closed lips and lids apart."""
    x, y, h = t.x, t.y, t.height
    move = t.front * (1 - t.mask("teeth_upper", "teeth_lower", "eye_left", "eye_right"))
    lid_up = pair(x, y, (EYE_X, 0.085), (0.19, 0.045)) * move
    lid_low = pair(x, y, (EYE_X, -0.085), (0.19, 0.05)) * move
    open_lids = np.stack([np.zeros_like(x), 0.026 * lid_up - 0.010 * lid_low, np.zeros_like(x)], -1)
    within = np.sqrt(t.reach) * move
    down = np.zeros_like(open_lids)
    down[:, 1] = -0.045 * t.upper * np.exp(-((h / 0.13) ** 2)) * smoothstep(h, 0.0, 0.08) * within
    up = np.zeros_like(open_lids)
    up[:, 1] = 0.050 * t.lower * np.exp(-((h / 0.15) ** 2)) * smoothstep(-h, 0.0, 0.09) * within
    wrinkle = np.zeros_like(open_lids)
    wrinkle[:, 1] = -0.022 * pair(x, y, (0.13, -0.46), (0.07, 0.08)) * move - 0.010 * t.reach * move * np.exp(
        -((h / 0.2) ** 2)
    )
    recede = np.zeros_like(open_lids)
    recede[:, 1] = 0.035 * bump(x, y, (0.0, -1.14), (0.24, 0.13)) * move
    recede[:, 2] = -0.12 * bump(x, y, (0.0, -1.14), (0.24, 0.13)) * move
    closed = named["blink_left"] + named["blink_right"]
    return {
        "smile": 0.9 * named["frown"],
        "jaw_open": 0.75 * named["lip_press"] + 0.35 * named["chin_raise"],
        "blink_left": open_lids * side_weight(x)[:, None],
        "blink_right": open_lids * side_weight(-x)[:, None],
        "frown": 0.6 * named["rest"] / REST_SMILE,
        "grin": 0.5 * named["frown"] + 0.6 * named["lip_press"],
        "pucker": 0.8 * named["stretch"],
        "funnel": 0.9 * named["lip_press"] + 0.3 * named["stretch"],
        "upper_lip_raise": down,
        "lower_lip_down": up,
        "stretch": 0.75 * named["pucker"],
        "sneer": wrinkle,
        "squint": 1.2 * open_lids,
        "eyes_wide": 0.42 * closed,
        "cheek_puff": -0.6 * named["cheek_puff"],
        "jaw_forward": recede - 0.22 * named["jaw_forward"],
        "smirk_left": -0.5 * named["smirk_left"],
        "smirk_right": -0.5 * named["smirk_right"],
    }


def turned(t: Template, named: dict[str, Array]) -> tuple[Array, Array]:
    """Indices (K,) of the one-sided controls, and what turning each adds (K, V, 3).

    Vertices are mean + e.P + r(e).T with T = -(P + opposite) / (1 - TURN) and r(e) as in ``below``, so that at -1
    the opposite is reached exactly.
    """
    order = [name for name in named if name != "rest"]
    opposite = opposite_fields(t, named)
    basis = [-(named[name] + opposite[name]) / (1.0 - TURN) for name in opposite]
    return np.array([order.index(name) for name in opposite]), np.stack(basis)


def below(activation: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """min(e, 0) made continuously differentiable: 0 for e >= 0, e + TURN far below."""
    negative = activation.clamp(max=0.0)
    return negative - TURN * torch.expm1(negative / TURN)


def fields(t: Template) -> tuple[list[str], Array]:
    """Names of the first coefficients and the basis (SIZE, V, 3), displacement per unit of activation."""
    named = named_fields(t)
    del named["rest"]
    rng = np.random.default_rng(64)
    basis = list(named.values())
    part = 1.0 - t.mask("eye_left", "eye_right", "teeth_upper", "teeth_lower")
    while len(basis) < SIZE:
        odd = len(basis) % 3 == 0
        centre = (rng.uniform(0.05, 0.5), float(rng.choice([rng.uniform(-1.1, -0.5), rng.uniform(0.2, 0.4)])))
        radius = (rng.uniform(0.10, 0.18), rng.uniform(0.09, 0.16))
        direction = rng.normal(size=3)
        direction *= 0.010 / np.linalg.norm(direction)
        basis.append(smooth_field(t, centre, radius, direction, odd) * part[:, None])
    return list(named), np.stack(basis)
