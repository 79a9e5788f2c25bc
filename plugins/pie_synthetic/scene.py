"""Scenes: who is shown (Person) and how (Shot); together they determine a portrait and its θ."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from pie_synthetic.background import Background, FloatArray, sample_background
from pie_synthetic.beard import Beard, sample_beard
from pie_synthetic.body import Build, Clothes, sample_build, sample_clothes
from pie_synthetic.glasses import Glasses, sample_glasses
from pie_synthetic.hair import Hair, sample_hair
from pie_synthetic.lighting import sample_illumination
from pie_synthetic.model import face_model
from pie_synthetic.priors import (
    sample_age,
    sample_albedo,
    sample_expression,
    sample_identity,
    sample_iris,
    sample_rotation,
    sample_softness,
    sample_translation,
    skin_luminance,
)


@dataclass(frozen=True)
class Person:
    """What stays the same between a person's portraits.

    identity and albedo (80,) belong to θ; the irises' colour (3,) in [0, 1], hair, build, glasses, beard and age
    (0 young to 1 old: the depth of the skin's folds) do not.
    """

    identity: FloatArray
    albedo: FloatArray
    hair: Hair
    build: Build
    iris: FloatArray
    glasses: Glasses | None
    beard: Beard | None
    age: float


@dataclass(frozen=True)
class Shot:
    """What differs: rotation (3,) radians, translation (3,), expression, illumination (27,), surroundings."""

    rotation: FloatArray
    translation: FloatArray
    expression: FloatArray
    illumination: FloatArray
    background: Background
    clothes: Clothes


@dataclass(frozen=True)
class Scene:
    """One portrait to be rendered."""

    person: Person
    shot: Shot

    @property
    def theta(self) -> Tensor:
        """(P,) float32 in the procedural face model's layout."""
        return stack_theta([self])[0]


def stack_theta(scenes: Sequence[Scene]) -> Tensor:
    """θ of every scene, (B, P) float32."""
    blocks = {
        "rotation": [s.shot.rotation for s in scenes],
        "translation": [s.shot.translation for s in scenes],
        "identity": [s.person.identity for s in scenes],
        "albedo": [s.person.albedo for s in scenes],
        "expression": [s.shot.expression for s in scenes],
        "illumination": [s.shot.illumination for s in scenes],
    }
    tensors = {name: torch.from_numpy(np.stack(values)).float() for name, values in blocks.items()}
    return face_model().layout.join(tensors)


def sample_person(rng: np.random.Generator) -> Person:
    """Draw a person; the colours of hair, brows and eyes go with the skin."""
    layout = face_model().layout
    age, softness = sample_age(rng), sample_softness(rng)
    identity = sample_identity(rng, layout, age, softness)
    darkness = float(rng.uniform())
    hair = sample_hair(rng, darkness, age, softness)
    shaved = hair.hangs or hair.style == "tied" or softness > 0.15
    beard = None if shaved else sample_beard(rng, hair.colour)
    stoutness = float(identity[layout.names("identity").index("build")])
    return Person(
        identity=identity,
        albedo=sample_albedo(rng, layout, darkness, float(hair.colour.mean()), softness, age),
        hair=hair,
        build=sample_build(rng, stoutness - softness),
        iris=sample_iris(rng, darkness),
        glasses=sample_glasses(rng, 0.07 + 0.10 * age),
        beard=beard,
        age=age,
    )


def sample_shot(rng: np.random.Generator, person: Person | None = None) -> Shot:
    """Draw pose, expression, light and surroundings; the exposure suits the person's skin if given."""
    layout = face_model().layout
    luminance = 0.5 if person is None else skin_luminance(person.albedo, layout)
    rotation = sample_rotation(rng)
    return Shot(
        rotation=rotation,
        translation=sample_translation(rng),
        expression=sample_expression(rng, layout, yaw=float(rotation[1]), pitch=float(rotation[0])),
        illumination=sample_illumination(rng, face_luminance=luminance),
        background=sample_background(rng),
        clothes=sample_clothes(rng),
    )


def sample_scenes(rng: np.random.Generator, count: int) -> list[Scene]:
    """Draw `count` scenes of different persons."""
    scenes = []
    for _ in range(count):
        person = sample_person(rng)
        scenes.append(Scene(person, sample_shot(rng, person)))
    return scenes
