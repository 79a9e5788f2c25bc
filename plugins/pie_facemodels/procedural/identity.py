"""Identity: named displacement fields, one standard deviation each, and small smooth ones for the rest."""

from __future__ import annotations

import numpy as np

from pie_facemodels.procedural.features import EYE_X, MOUTH_HALF_WIDTH
from pie_facemodels.procedural.fields import Array, bump, pair, plateau, smoothstep
from pie_facemodels.procedural.template import Template

SIZE = 80
STANDARD_DEVIATION = 0.62


class FieldSet:
    """Displacement fields (V, 3) collected by name."""

    def __init__(self, shape: Template) -> None:
        self.t = shape
        self.fields: dict[str, Array] = {}

    def add(
        self, name: str, dx: Array | float = 0.0, dy: Array | float = 0.0, dz: Array | float = 0.0
    ) -> None:
        """Add a field; called again with the same name it adds up."""
        zero = np.zeros_like(self.t.x)
        field = np.stack([zero + dx, zero + dy, zero + dz], -1)
        self.fields[name] = self.fields[name] + field if name in self.fields else field


def named_fields(t: Template) -> dict[str, Array]:
    """Fields (V, 3) of the named identity coefficients, in their order."""
    f = FieldSet(t)
    for part in (_skull, _eyes, _nose, _mouth, _sides):
        part(f)
    return {name: STANDARD_DEVIATION * field for name, field in f.fields.items()}


def _skull(f: FieldSet) -> None:
    """Skull, jaw, cheeks and forehead."""
    t = f.t
    x, y, z, side, front = t.x, t.y, t.z, np.sign(t.x), t.front
    ears = t.mask("ear_left", "ear_right")
    skin = t.mask("skin")
    neck = smoothstep(y, -1.25, -1.6)
    chin = bump(x, y, (0.0, -1.20), (0.30, 0.15)) * front
    f.add("face_width", dx=0.045 * x * (1 - 0.6 * neck))
    f.add("head_height", dy=0.085 * smoothstep(y, 0.15, 1.3))
    f.add("head_depth", dz=-0.08 * smoothstep(z, 0.1, -1.2) * (1 - neck))
    f.add("face_length", dy=-0.065 * smoothstep(y, -0.05, -1.25))
    f.add("jaw_width", dx=0.10 * x * smoothstep(y, -0.30, -0.85) * (1 - 0.8 * neck))
    f.add(
        "jaw_angle", dx=0.065 * x * np.exp(-0.5 * ((y + 0.82) / 0.22) ** 2) * smoothstep(np.abs(x), 0.25, 0.6)
    )
    f.add("jaw_angle", dy=-0.04 * smoothstep(np.abs(x), 0.25, 0.6) * np.exp(-0.5 * ((y + 0.9) / 0.22) ** 2))
    f.add("chin_length", dy=-0.065 * smoothstep(y, -0.88, -1.22) * front)
    f.add(
        "chin_width",
        dx=0.20 * x * bump(x, y, (0.0, -1.18), (0.30, 0.13)) * front,
        dy=-0.02 * chin * (x / 0.3) ** 2,
    )
    f.add("chin_projection", dz=0.055 * chin)
    f.add("chin_point", dx=-0.12 * x * chin, dz=0.03 * bump(x, y, (0.0, -1.17), (0.10, 0.08)) * front)
    f.add("cheekbones", dx=0.030 * side * pair(x, y, (0.60, -0.26), (0.20, 0.13)) * front,
          dz=0.030 * pair(x, y, (0.50, -0.27), (0.15, 0.12)) * front)  # fmt: skip
    full = pair(x, y, (0.50, -0.60), (0.19, 0.22)) * smoothstep(z, -0.2, 0.3)
    f.add("cheek_fullness", dx=0.042 * side * full, dz=0.038 * full)
    build = smoothstep(y, 0.2, -0.7)
    f.add("build", dx=0.045 * x * build + 0.05 * x * neck, dy=-0.045 * bump(x, y, (0.0, -1.32), (0.4, 0.12)),
          dz=0.05 * bump(x, y, (0.0, -1.34), (0.35, 0.12)) * skin)  # fmt: skip
    f.add("forehead_width", dx=0.055 * x * np.exp(-0.5 * ((y - 0.5) / 0.28) ** 2) * (1 - ears))
    f.add("forehead_height", dy=0.05 * smoothstep(y, 0.30, 0.75))
    f.add("forehead_slope", dz=-0.06 * smoothstep(y, 0.32, 1.0) * front)


def _eyes(f: FieldSet) -> None:
    """Brows, eyes and lids."""
    t = f.t
    x, y, side, front = t.x, t.y, np.sign(t.x), t.front
    skin = t.mask("skin")
    eyes = (plateau(x, y, (EYE_X, 0.0), 0.20, 0.50) + plateau(x, y, (-EYE_X, 0.0), 0.20, 0.50)) * front
    eyes = np.minimum(eyes, 1.0)
    lateral = side * eyes * smoothstep(np.abs(x), 0.0, 0.17)
    local_x, local_y = np.abs(x) - EYE_X, y
    f.add("brow_ridge", dz=0.030 * (pair(x, y, (0.30, 0.20), (0.20, 0.06))) * front)
    brows = plateau(np.abs(x), y * 1.6, (0.37, 0.255 * 1.6), 0.16, 0.34)
    f.add("brow_height", dy=0.026 * np.clip(brows, 0, 1) * front)
    f.add("brow_tilt", dy=0.10 * (np.abs(x) - 0.37) * np.clip(brows, 0, 1) * front)
    f.add("eye_size", dx=0.075 * lateral * local_x, dy=0.085 * local_y * eyes)
    f.add("eye_height", dy=0.15 * local_y * eyes)
    f.add("eye_width", dx=0.08 * lateral * local_x)
    f.add("eye_spacing", dx=0.028 * lateral)
    f.add("eye_tilt", dy=0.075 * local_x * eyes)
    f.add("eye_depth", dz=-0.028 * eyes)
    f.add("eye_level", dy=0.022 * eyes)
    f.add("lid_fold", dz=0.014 * pair(x, y, (EYE_X, 0.135), (0.15, 0.022)) * front * skin,
          dy=-0.010 * pair(x, y, (EYE_X, 0.12), (0.15, 0.03)) * front * skin)  # fmt: skip
    f.add("eye_bags", dz=0.008 * pair(x, y, (0.35, -0.155), (0.11, 0.025)) * front * skin)


def _nose(f: FieldSet) -> None:
    """The nose."""
    t = f.t
    x, y, side, front = t.x, t.y, np.sign(t.x), t.front
    eyes = (plateau(x, y, (EYE_X, 0.0), 0.20, 0.50) + plateau(x, y, (-EYE_X, 0.0), 0.20, 0.50)) * front
    eyes = np.minimum(eyes, 1.0)
    nose = plateau(x, y / 1.35, (0.0, -0.26), 0.20, 0.42) * front
    low_nose = bump(x, y, (0.0, -0.46), (0.17, 0.10)) * front
    f.add("nose_length", dy=-0.042 * nose * smoothstep(y, 0.10, -0.50))
    f.add("nose_width", dx=0.17 * x * low_nose)
    f.add("nose_bridge_width", dx=0.15 * x * bump(x, y, (0.0, -0.15), (0.13, 0.18)) * front)
    f.add("nose_bridge", dz=0.034 * bump(x, y, (0.0, -0.08), (0.085, 0.16)) * front * (1 - eyes * 0.5))
    f.add("nose_hump", dz=0.026 * bump(x, y, (0.0, -0.20), (0.07, 0.075)) * front)
    f.add("nose_projection", dz=0.055 * bump(x, y, (0.0, -0.44), (0.11, 0.12)) * front)
    f.add("nose_tip_size", dz=0.022 * bump(x, y, (0.0, -0.43), (0.085, 0.06)) * front,
          dx=0.16 * x * bump(x, y, (0.0, -0.43), (0.09, 0.06)) * front)  # fmt: skip
    f.add("nose_tip_height", dy=0.034 * bump(x, y, (0.0, -0.46), (0.11, 0.075)) * front)
    f.add("nostril_size", dx=0.10 * side * pair(x, y, (0.13, -0.485), (0.05, 0.05)) * front * 0.16,
          dz=0.018 * pair(x, y, (0.13, -0.475), (0.045, 0.05)) * front)  # fmt: skip


def _mouth(f: FieldSet) -> None:
    """Mouth, lips and the folds beside them."""
    t = f.t
    x, y, side, front = t.x, t.y, np.sign(t.x), t.front
    skin = t.mask("skin")
    mouth = plateau(x, y * 1.4, (0.0, -0.79 * 1.4), 0.34, 0.62) * front
    h = t.height
    f.add("mouth_width", dx=0.080 * x * mouth)
    f.add("mouth_height", dy=0.026 * mouth)
    lip_up = t.upper * np.exp(-((h / 0.16) ** 2)) * smoothstep(h, 0.0, 0.07)
    lip_low = t.lower * np.exp(-((h / 0.18) ** 2)) * smoothstep(-h, 0.0, 0.08)
    within = smoothstep(np.abs(x), MOUTH_HALF_WIDTH, 0.05) * front * skin
    f.add("lip_fullness", dy=(0.020 * lip_up - 0.024 * lip_low) * within,
          dz=0.018 * within * np.exp(-((h / 0.10) ** 2)))  # fmt: skip
    f.add("upper_lip", dy=0.018 * lip_up * within, dz=0.012 * lip_up * within)
    f.add("lower_lip", dy=-0.022 * lip_low * within, dz=0.014 * lip_low * within)
    f.add("philtrum", dy=-0.024 * bump(x, y, (0.0, -0.80), (0.36, 0.16)) * front)
    f.add("mouth_projection", dz=0.030 * bump(x, y, (0.0, -0.78), (0.26, 0.16)) * front)
    corner = pair(x, h, (MOUTH_HALF_WIDTH, 0.0), (0.09, 0.09)) * front
    f.add("mouth_corners", dy=0.016 * corner)
    f.add("nasolabial", dz=-0.012 * pair(x, y, (0.275, -0.60), (0.035, 0.10)) * front * skin)
    f.add("jowls", dx=0.02 * side * pair(x, y, (0.48, -0.98), (0.12, 0.12)) * front,
          dy=-0.03 * pair(x, y, (0.45, -1.03), (0.13, 0.12)) * front)  # fmt: skip


def _sides(f: FieldSet) -> None:
    """Temples, ears and neck."""
    t = f.t
    x, y, z, side = t.x, t.y, t.z, np.sign(t.x)
    ears = t.mask("ear_left", "ear_right")
    neck = smoothstep(y, -1.25, -1.6)
    f.add("temples", dx=-0.030 * side * pair(x, y, (0.82, 0.25), (0.14, 0.18)) * (1 - ears))
    pivot = np.stack([np.abs(x) - 0.83, y + 0.16, z + 0.20], -1)
    f.add(
        "ear_size",
        dx=0.10 * side * pivot[:, 0] * ears,
        dy=0.10 * pivot[:, 1] * ears,
        dz=0.10 * pivot[:, 2] * ears,
    )
    f.add("ear_protrusion", dx=0.045 * side * ears * smoothstep(-z, 0.10, 0.42))
    f.add("neck_width", dx=0.10 * x * neck, dz=0.06 * (z + 0.27) * neck)


def fields(t: Template) -> tuple[list[str], Array]:
    """Names of the first coefficients and the basis (SIZE, V, 3), displacement per standard deviation."""
    named = named_fields(t)
    rng = np.random.default_rng(80)
    basis = list(named.values())
    while len(basis) < SIZE:
        odd = len(basis) % 3 == 0
        centre = (rng.uniform(0.05, 0.65), rng.uniform(-1.2, 0.6))
        radius = (rng.uniform(0.13, 0.24), rng.uniform(0.13, 0.24))
        direction = rng.normal(size=3) * np.array([0.6, 0.6, 1.0])
        direction *= 0.005 / np.linalg.norm(direction)
        basis.append(smooth_field(t, centre, radius, direction, odd))
    return list(named), np.stack(basis)


def smooth_field(
    t: Template, centre: tuple[float, float], radius: tuple[float, float], direction: Array, odd: bool
) -> Array:
    """A Gaussian displacement (V, 3) and its mirror image; ``odd`` gives the two sides opposite signs."""
    right, left = bump(t.x, t.y, centre, radius), bump(-t.x, t.y, centre, radius)
    sign = -1.0 if odd else 1.0
    amount = right[:, None] * direction + sign * left[:, None] * direction * np.array([-1.0, 1.0, 1.0])
    return np.asarray(amount * t.front[:, None])
