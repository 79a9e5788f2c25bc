"""How θ is sampled: pose, identity, skin and natural expressions of the procedural face model."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from pie_framework.api import Layout

FloatArray = NDArray[np.float32]

#: Standard deviations and limits of (pitch, yaw, roll), degrees.
ROTATION_SPREAD = np.array([6.0, 12.0, 3.0])
ROTATION_LIMIT = np.array([15.0, 32.0, 8.0])
#: What is left after alignment: (x, y, z) in model units; z acts as a change of scale.
TRANSLATION_SPREAD = np.array([0.035, 0.035, 0.18])
#: A little farther than the face model's origin, so that hair fits into the image.
TRANSLATION_MEAN = np.array([0.0, -0.02, -0.35])
#: Standard deviations of the identity coefficients without and with a name.
IDENTITY_SPREAD = (0.75, 0.75)
#: Names of coefficients whose extremes look like caricatures: half the spread.
CAREFUL = (
    "jaw_width", "jaw_angle", "jowls", "cheek_fullness", "chin_point", "nose_hump", "eye_bags", "lid_fold",
)  # fmt: skip
#: Change of identity coefficients, in standard deviations, from age 0 to age 1.
AGEING: Mapping[str, float] = {
    "eye_bags": 2.2, "lid_fold": 1.2, "jowls": 1.8, "nasolabial": 1.6, "upper_lip": -1.0, "lip_fullness": -1.0,
    "ear_size": 0.9, "cheek_fullness": -0.5, "nose_length": 0.6, "mouth_corners": -0.6, "eye_height": -0.7,
}  # fmt: skip
#: Change of identity coefficients, in standard deviations, per unit of softness.
SOFTENING: Mapping[str, float] = {
    "jaw_width": -0.7, "jaw_angle": -0.6, "chin_width": -0.8, "chin_length": -0.7, "chin_projection": -0.4,
    "brow_ridge": -1.0, "brow_height": 0.6, "eye_size": 0.7, "eye_height": 0.3, "nose_width": -0.6,
    "nose_projection": -0.4, "nose_tip_size": -0.5, "lip_fullness": 0.6, "neck_width": -0.7, "cheek_fullness": 0.3,
    "face_length": -0.3, "mouth_width": -0.4, "ear_size": -0.4,
}  # fmt: skip
#: Range of the melanin coefficient from the lightest to the darkest skin.
MELANIN = (-0.75, 2.5)
#: Colours of irises.
IRISES = np.array(
    [
        [0.13, 0.08, 0.05],
        [0.29, 0.18, 0.10],
        [0.38, 0.31, 0.16],
        [0.30, 0.39, 0.27],
        [0.30, 0.44, 0.58],
        [0.42, 0.47, 0.50],
    ]
)
#: Kinds of expression and how often they occur.
EXPRESSIONS: Mapping[str, float] = {
    "neutral": 0.20,
    "soft smile": 0.23,
    "broad smile": 0.18,
    "laugh": 0.06,
    "talking": 0.15,
    "surprise": 0.05,
    "sad": 0.04,
    "angry": 0.04,
    "pucker": 0.02,
    "smirk": 0.03,
}


def sample_rotation(rng: np.random.Generator) -> FloatArray:
    """(3,) pitch, yaw, roll in radians."""
    degrees = np.clip(rng.normal(0.0, ROTATION_SPREAD), -ROTATION_LIMIT, ROTATION_LIMIT)
    return np.deg2rad(degrees).astype(np.float32)


def sample_translation(rng: np.random.Generator) -> FloatArray:
    """(3,) in model units."""
    offset = TRANSLATION_SPREAD * np.clip(rng.normal(size=3), -2.5, 2.5)
    return np.asarray(TRANSLATION_MEAN + offset, dtype=np.float32)


def sample_age(rng: np.random.Generator) -> float:
    """Age in [0, 1]: 0 a young adult with smooth skin, 1 old with deep folds; most people lie between."""
    return float(rng.beta(1.1, 1.9))


def sample_softness(rng: np.random.Generator) -> float:
    """How soft (1) or angular (-1) the features are, about in [-1.3, 1.3]; hair and beards go with it."""
    return float(rng.choice([-0.6, 0.6]) + np.clip(rng.normal(0.0, 0.3), -0.7, 0.7))


def sample_identity(
    rng: np.random.Generator, layout: Layout, age: float = 0.3, softness: float = 0.0
) -> FloatArray:
    """(K,) identity coefficients in standard deviations, mildly clipped; `age` and `softness` shift some of them."""
    block = layout.block("identity")
    values = np.clip(rng.normal(size=block.size), -2.2, 2.2)
    values[: len(block.names)] *= IDENTITY_SPREAD[0]
    values[len(block.names) :] *= IDENTITY_SPREAD[1]
    for index, name in enumerate(block.names):
        if name in CAREFUL:
            values[index] *= 0.6
        values[index] += SOFTENING.get(name, 0.0) * softness
        values[index] += AGEING.get(name, 0.0) * (age - 0.3)
    return values.astype(np.float32)


def sample_albedo(
    rng: np.random.Generator,
    layout: Layout,
    darkness: float,
    hair: float,
    softness: float = 0.0,
    age: float = 0.3,
) -> FloatArray:
    """(K,) albedo coefficients of a natural skin.

    Args:
        rng: the generator every draw goes through.
        layout: of the face model.
        darkness: of the skin in [0, 1]; drawn uniformly it spreads skin tones evenly.
        hair: luminance of the hair in [0, 1], which brows follow.
        softness: of the features, see `sample_softness`; stubble grows below 0, lips redden above.
        age: in [0, 1]; shadows under the eyes deepen with it.
    """
    block = layout.block("albedo")
    values = np.clip(rng.normal(size=block.size), -2.0, 2.0) * 0.8
    low, high = MELANIN
    growth = float(rng.uniform(0.6, 2.4)) if softness < 0.0 and rng.uniform() < 0.4 else 0.0
    named = {
        "melanin": low + (high - low) * darkness,
        "haemoglobin": float(rng.normal(0.0, 0.6)) * (1.0 - 0.6 * darkness) - 0.5 * darkness,
        "warmth": float(rng.normal(0.3, 0.45)) - 0.9 * darkness,
        "brow_colour": float(np.clip(4.5 * (hair - 0.18) + rng.normal(0.0, 0.2), -1.0, 1.6)),
        "stubble": growth * (1.0 - 0.6 * darkness),
        "freckles": float(rng.uniform(0.5, 2.0)) if rng.uniform() < 0.12 * (1.0 - darkness) else 0.0,
        "eye_shadow": float(rng.uniform(-0.4, 0.6)),
        "under_eye": float(rng.uniform(-0.7, 0.5)) + 0.8 * age,
        "blush": float(rng.normal(0.1, 0.5)) * (1.0 - 0.7 * darkness) - 0.8 * darkness,
        "nose_redness": float(rng.normal(0.0, 0.4)) * (1.0 - 0.7 * darkness) - 0.6 * darkness,
        "lip_redness": float(rng.normal(0.0, 0.7)) + (1.0 if softness > 0.0 and rng.uniform() < 0.4 else 0.0),
        "brow_thickness": float(np.clip(rng.normal(-0.5 * softness, 0.6), -1.5, 2.0)),
    }
    for index, name in enumerate(block.names):
        values[index] = named.get(name, 0.9 * values[index])
    return values.astype(np.float32)


def skin_luminance(albedo: FloatArray, layout: Layout) -> float:
    """About the luminance in [0, 1] of the skin that the albedo coefficients (K,) describe."""
    melanin = float(albedo[layout.names("albedo").index("melanin")])
    return float(np.clip(0.56 - 0.148 * melanin, 0.08, 0.8))


def sample_iris(rng: np.random.Generator, darkness: float) -> FloatArray:
    """(3,) colour of the irises: dark brown, brown, hazel, green, blue or grey."""
    darkness = min(1.0, 1.6 * darkness)
    chance = (1.0 - darkness) * np.array([0.12, 0.24, 0.14, 0.12, 0.26, 0.12])
    chance += darkness * np.array([0.70, 0.25, 0.04, 0.005, 0.0, 0.005])
    colour = IRISES[rng.choice(len(IRISES), p=chance / chance.sum())]
    varied = colour * np.exp(rng.normal(0.0, 0.06, 3) + rng.normal(0.0, 0.12))
    return np.asarray(np.clip(varied, 0.02, 0.7), dtype=np.float32)


def sample_expression(
    rng: np.random.Generator, layout: Layout, yaw: float = 0.0, kind: str | None = None, pitch: float = 0.0
) -> FloatArray:
    """(K,) activations of one natural expression, with blinks and gaze.

    Args:
        rng: the generator every draw goes through.
        layout: of the face model; names it does not have are left out.
        yaw: of the head in radians; three quarters of all people look at the camera, whichever way they turn.
        kind: one of EXPRESSIONS; drawn if not given.
        pitch: of the head in radians.
    """
    if kind is None:
        kind = str(rng.choice(list(EXPRESSIONS), p=np.array(list(EXPRESSIONS.values()))))
    named = _mixture(rng, kind)
    for name, value in _eyes(rng, yaw, pitch).items():
        named[name] = named.get(name, 0.0) + value
    block = layout.block("expression")
    values = rng.normal(0.0, 0.35, block.size)
    for index, name in enumerate(block.names):
        values[index] = named.get(name, 0.0)
        if name in _ASYMMETRIC and named.get(name, 0.0) == 0.0 and rng.uniform() < 0.08:
            values[index] = rng.uniform(0.0, 0.2)
    return np.clip(values, -1.5, 1.5).astype(np.float32)


#: Shapes of the mouth while talking.
VISEMES = ("funnel", "pucker", "stretch", "upper_lip_raise", "lower_lip_down", "lip_press", "none")
_ASYMMETRIC = ("mouth_left", "mouth_right", "jaw_left", "jaw_right", "smirk_left", "smirk_right")


def _mixture(rng: np.random.Generator, kind: str) -> dict[str, float]:
    """Activations by name of one kind of expression at a random strength."""

    def between(low: float, high: float) -> float:
        return float(rng.uniform(low, high))

    values: dict[str, float] = {}
    if kind == "soft smile":
        smile = between(0.2, 0.65)
        values = {"smile": smile, "cheek_raise": 0.3 * smile * between(0, 1), "lip_press": between(0, 0.25)}
        values["dimple"] = between(0.0, 0.3)
    elif kind == "broad smile":
        smile = between(0.55, 1.0)
        values = {"smile": smile, "grin": between(0.0, 0.5), "cheek_raise": between(0.1, 0.5) * smile}
        values |= {"squint": between(0.0, 0.45) * smile, "jaw_open": max(0.0, between(-0.1, 0.25))}
        values["upper_lip_raise"] = between(0.0, 0.35)
    elif kind == "laugh":
        values = {"smile": between(0.5, 0.85), "grin": between(0.0, 0.4), "jaw_open": between(0.2, 0.6)}
        values |= {"cheek_raise": between(0.2, 0.6), "squint": between(0.1, 0.45)}
        values["brow_raise"] = between(-0.1, 0.4)
    elif kind == "talking":
        values = {"jaw_open": 0.65 * float(rng.beta(1.4, 2.2)), "smile": max(0.0, between(-0.3, 0.4))}
        shape = rng.choice(VISEMES)
        values[str(shape)] = between(0.15, 0.6)
        values["brow_raise"] = between(-0.3, 0.5)
    elif kind == "surprise":
        strength = between(0.4, 1.0)
        values = {"brow_raise": strength, "eyes_wide": strength * between(0.6, 1.1)}
        values |= {"jaw_open": strength * between(0.1, 0.85), "funnel": strength * between(0.0, 0.35)}
    elif kind == "sad":
        strength = between(0.3, 0.85)
        values = {"frown": 0.75 * strength, "brow_inner_up": strength * between(0.5, 1.0)}
        values |= {"chin_raise": between(0.0, 0.5) * strength, "squint": between(0.0, 0.3)}
    elif kind == "angry":
        strength = between(0.3, 0.85)
        values = {"brow_lower": strength, "squint": 0.35 * strength, "nostril_flare": 0.5 * strength}
        values[str(rng.choice(["lip_press", "sneer", "frown"]))] = strength * between(0.2, 0.5)
        values["nose_wrinkle"] = strength * between(0.0, 0.3)
    elif kind == "pucker":
        values = {"pucker": between(0.3, 0.9), "brow_raise": between(-0.2, 0.4)}
    elif kind == "smirk":
        values = {"smile": between(0.0, 0.3)}
        values[str(rng.choice(["smirk_left", "smirk_right"]))] = between(0.3, 0.8)
    raise_brows = values.pop("brow_raise", 0.0)
    raise_brows += float(rng.normal(0.0, 0.12))
    tilt = float(rng.normal(0.0, 0.08))
    values["brow_raise_left"] = raise_brows + tilt
    values["brow_raise_right"] = raise_brows - tilt
    for name in ("smile", "jaw_open", "brow_lower", "frown", "eyes_wide", "cheek_raise", "squint"):
        values[name] = max(values.get(name, 0.0) + float(rng.normal(0.0, 0.05)), -0.08)
    values["jaw_open"] = max(values["jaw_open"], 0.0)
    values.pop("none", None)
    return values


def _eyes(rng: np.random.Generator, yaw: float, pitch: float) -> dict[str, float]:
    """Lids and gaze: mostly open and at the camera or near it."""
    chance = rng.uniform()
    left = right = max(0.0, float(rng.normal(0.02, 0.05)))
    if chance < 0.025:
        left = right = float(rng.uniform(0.8, 1.0))
    elif chance < 0.06:
        left = right = float(rng.uniform(0.15, 0.5))
    elif chance < 0.072:
        left, right = (float(rng.uniform(0.8, 1.0)), 0.05)[:: int(rng.choice([-1, 1]))]
    horizontal = float(rng.normal(0.0, 0.08)) - yaw / 0.35
    vertical = float(rng.normal(0.0, 0.08)) + pitch / 0.45
    if rng.uniform() < 0.25:
        horizontal, vertical = float(rng.normal(0.0, 0.45)), float(rng.normal(0.0, 0.3))
    return {
        "blink_left": left,
        "blink_right": right,
        "gaze_horizontal": float(np.clip(horizontal, -1.0, 1.0)),
        "gaze_vertical": float(np.clip(vertical, -0.8, 0.8)),
    }
