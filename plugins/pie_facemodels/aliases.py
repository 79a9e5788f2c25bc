"""The procedural model's expression names for models that have others, so that one edit serves all of them."""

from __future__ import annotations

from collections.abc import Mapping

from pie_facemodels.procedural.ranges import coefficient_range


def _both(name: str, amount: float = 1.0) -> dict[str, float]:
    return {f"{name}_L": amount, f"{name}_R": amount}


#: Control -> amount of each ICT-FaceKit blendshape. "left" and "_L" are the person's own left.
ICT_ALIASES: Mapping[str, Mapping[str, float]] = {
    "smile": _both("mouthSmile"),
    "jaw_open": {"jawOpen": 1.0},
    "blink_left": {"eyeBlink_L": 1.0},
    "blink_right": {"eyeBlink_R": 1.0},
    "blink": _both("eyeBlink"),
    "brow_raise_left": {"browInnerUp_L": 1.0, "browOuterUp_L": 1.0},
    "brow_raise_right": {"browInnerUp_R": 1.0, "browOuterUp_R": 1.0},
    "brow_raise": {**_both("browInnerUp"), **_both("browOuterUp")},
    "brow_lower": _both("browDown"),
    "brow_inner_up": _both("browInnerUp"),
    "frown": _both("mouthFrown"),
    "grin": {**_both("mouthSmile", 0.7), **_both("mouthUpperUp", 0.5), **_both("mouthLowerDown", 0.5)},
    "pucker": {"mouthPucker": 1.0},
    "funnel": {"mouthFunnel": 1.0},
    "mouth_left": {"mouthLeft": 1.0},
    "mouth_right": {"mouthRight": 1.0},
    "lip_press": _both("mouthPress"),
    "upper_lip_raise": _both("mouthUpperUp"),
    "lower_lip_down": _both("mouthLowerDown"),
    "stretch": _both("mouthStretch"),
    "dimple": _both("mouthDimple"),
    "sneer": _both("noseSneer"),
    "cheek_puff": _both("cheekPuff"),
    "cheek_raise": _both("cheekSquint"),
    "squint": _both("eyeSquint"),
    "eyes_wide": _both("eyeWide"),
    "gaze_horizontal": {"eyeLookOut_L": 0.5, "eyeLookIn_R": 0.5, "eyeLookIn_L": -0.5, "eyeLookOut_R": -0.5},
    "gaze_vertical": {**_both("eyeLookUp", 0.5), **_both("eyeLookDown", -0.5)},
    "jaw_left": {"jawLeft": 1.0},
    "jaw_right": {"jawRight": 1.0},
    "jaw_forward": {"jawForward": 1.0},
    "chin_raise": {"mouthShrugLower": 1.0},
    "smirk_left": {"mouthSmile_L": 1.0},
    "smirk_right": {"mouthSmile_R": 1.0},
}


def alias_ranges(aliases: Mapping[str, object]) -> dict[str, tuple[float, float]]:
    """Sensible range of each control of another model: none below zero but for the gaze, whose shapes are signed."""
    ranges = {name: coefficient_range("expression", name) for name in aliases}
    return {
        f"expression.{name}": (low if name.startswith("gaze") else 0.0, high)
        for name, (low, high) in ranges.items()
    }
