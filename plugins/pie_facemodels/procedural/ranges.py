"""Sensible range of each named coefficient, for controls and for sampling.

Identity and albedo: standard deviations of a varied population, drawn independently and symmetrically unless a prior
knows better; within the range a face stays plausible when the other coefficients are near zero. Expression: the
activations that look natural; beyond them lids or lips pass through each other.
"""

from __future__ import annotations

from collections.abc import Iterable

IDENTITY_RANGE = (-2.5, 2.5)
ALBEDO_RANGE = (-2.0, 2.0)
EXPRESSION_RANGE = (0.0, 1.0)

#: Degrees either way within which an aligned portrait shows the face.
ROTATION_RANGES = {"pitch": 15.0, "yaw": 32.0, "roll": 8.0}

_SPECIAL: dict[str, tuple[float, float]] = {
    "melanin": (-1.6, 2.1),
    "haemoglobin": (-1.5, 1.5),
    "warmth": (-1.5, 1.5),
    "stubble": (0.0, 2.5),
    "freckles": (0.0, 2.5),
    "eye_shadow": (-0.5, 2.0),
    "under_eye": (-1.0, 2.0),
    "brow_thickness": (-1.5, 2.5),
    "brow_density": (-2.0, 1.5),
    "brow_colour": (-1.0, 3.0),
    "lip_redness": (-1.5, 2.5),
    "eye_size": (-1.8, 2.0),
    "eye_height": (-1.5, 1.8),
    "jaw_angle": (-2.0, 2.0),
    "build": (-1.8, 2.5),
    "smile": (-0.4, 1.0),
    "jaw_open": (0.0, 1.0),
    "blink_left": (-0.15, 1.0),
    "blink_right": (-0.15, 1.0),
    "brow_raise_left": (-0.5, 1.0),
    "brow_raise_right": (-0.5, 1.0),
    "brow_lower": (-0.4, 1.0),
    "frown": (-0.4, 1.0),
    "pucker": (-0.4, 1.0),
    "lip_press": (-0.5, 1.0),
    "cheek_puff": (-0.5, 1.0),
    "gaze_horizontal": (-1.0, 1.0),
    "gaze_vertical": (-1.0, 1.0),
    "eyes_wide": (-0.4, 1.0),
    "jaw_forward": (-0.5, 1.0),
    "chin_raise": (-0.3, 1.0),
}


def coefficient_range(block: str, name: str) -> tuple[float, float]:
    """(least, greatest) sensible value of a coefficient of "identity", "albedo" or "expression"."""
    default = {"identity": IDENTITY_RANGE, "albedo": ALBEDO_RANGE}.get(block, EXPRESSION_RANGE)
    if name.startswith("expression_"):
        default = (-1.0, 1.0)
    return _SPECIAL.get(name, default)


def control_ranges(expressions: Iterable[str]) -> dict[str, tuple[float, float]]:
    """Sensible range of every control of an edit, "rotation.yaw" in degrees and "expression.NAME"."""
    ranges = {f"rotation.{name}": (-limit, limit) for name, limit in ROTATION_RANGES.items()}
    return ranges | {f"expression.{name}": coefficient_range("expression", name) for name in expressions}
