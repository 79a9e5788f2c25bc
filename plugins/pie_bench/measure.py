"""How near a made picture comes to the true one, which the world can render.

What a picture shows is read by a judge: networks that no method has optimised against, other than the features
which are shared. An error of pose, expression or light is the difference between what the judge reads in the made
picture and what it reads in the true one, so that the true picture scores 0 whatever the judge's own bias.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from pie_bench.columns import COLUMNS
from pie_framework.api import (
    FaceEncoder,
    FaceModel,
    FeatureNetwork,
    KnownPortraits,
    Layout,
    RecognitionNetwork,
)
from pie_framework.errors import InputError
from pie_framework.images.metrics import feature_distance, psnr, ssim
from pie_framework.rendering.illumination import shading

#: Side of the picture that landmark errors refer to.
LANDMARK_SIZE = 128
#: Directions at which the shading of two lights is compared.
NORMALS = 512


@dataclass(frozen=True)
class Judge:
    """The networks that read the pictures.

    Attributes:
        encoder: reads pose, expression and light; trained apart from the one that the methods use.
        face_model: projects the landmarks of what was read; of the encoder's layout.
        perceptual: Φ.
        recognition: Ψ.
    """

    encoder: FaceEncoder
    face_model: FaceModel
    perceptual: FeatureNetwork
    recognition: RecognitionNetwork


@dataclass(frozen=True)
class _Shown:
    """What the judge's networks say of N pictures: θ (N, P), Φ's maps, Ψ's embedding (N, E)."""

    theta: Tensor
    features: dict[str, Tensor]
    embedding: Tensor


@dataclass(frozen=True)
class TruthReadings:
    """The true pictures and what the judge reads in them: made once and used for every method.

    Holds the feature maps of Φ, about 1 MB per picture of 128 pixels.

    Attributes:
        images: (N, 3, R, R) in [-1, 1].
        face, background: (N, 1, R, R) masks of these parts.
        theta: true coefficients, (N, P).
    """

    images: Tensor
    face: Tensor
    background: Tensor
    theta: Tensor
    _shown: _Shown

    @classmethod
    @torch.no_grad()
    def read(cls, truth: KnownPortraits, judge: Judge, batch: int = 32) -> TruthReadings:
        """Read the true pictures, `batch` at a time."""
        images = truth.images.clamp(-1, 1)
        shown = _read(images, judge, batch)
        return cls(images, truth.face.to(images), truth.background.to(images), truth.theta, shown)


@torch.no_grad()
def measure(
    made: Tensor, truth: KnownPortraits | TruthReadings, judge: Judge, batch: int = 32
) -> dict[str, Tensor]:
    """Every column of `COLUMNS` for each picture.

    Args:
        made: (N, 3, R, R); values outside [-1, 1] are clipped, as they are when a picture is saved.
        truth: the N true pictures; their readings, when several methods are measured against them.
        judge: reads the pictures, each once.
        batch: pictures that are read at a time; bounds the memory.

    Returns:
        {column: (N,)} in the columns' order. Of the masked columns those of an empty region are NaN.

    Raises:
        InputError: when the shapes differ.
    """
    truth = truth if isinstance(truth, TruthReadings) else TruthReadings.read(truth, judge, batch)
    if made.shape != truth.images.shape:
        raise InputError(
            f"pictures of shape {tuple(made.shape)} cannot be measured against {tuple(truth.images.shape)}"
        )
    made = made.to(truth.images).clamp(-1, 1)
    shown, real = _read(made, judge, batch), truth._shown
    regions = {"": None, "_face": truth.face, "_background": truth.background}
    found: dict[str, Tensor] = {}
    for suffix, mask in regions.items():
        found[f"psnr{suffix}"] = psnr(made, truth.images, mask)
        found[f"ssim{suffix}"] = ssim(made, truth.images, mask)
        found[f"perceptual{suffix}"] = feature_distance(shown.features, real.features, mask)
    # Of unit vectors: their dot product, exactly 1 for equal ones.
    found["identity"] = 1 - 0.5 * (shown.embedding - real.embedding).square().sum(dim=1)
    found |= _judged_errors(shown.theta, real.theta, truth.theta, judge.face_model)
    return {name: found[name] for name in COLUMNS}


def _read(images: Tensor, judge: Judge, batch: int) -> _Shown:
    if not len(images):
        raise InputError("there is no picture to measure")
    parts = [
        _Shown(
            judge.encoder.encode(some),
            dict(judge.perceptual.features(some)),
            judge.recognition.embed(some),
        )
        for some in torch.split(images, batch)
    ]
    return _Shown(
        torch.cat([part.theta for part in parts]),
        {name: torch.cat([part.features[name] for part in parts]) for name in parts[0].features},
        torch.cat([part.embedding for part in parts]),
    )


def _judged_errors(made: Tensor, real: Tensor, theta: Tensor, face_model: FaceModel) -> dict[str, Tensor]:
    """Errors of what was judged in the made picture; all (N, P) -> (N,).

    Args:
        made: judged in the made picture.
        real: judged in the true picture.
        theta: the true coefficients, which hold everything but the expression for the column `expression_px`.
    """
    layout = face_model.layout
    mixed = [layout.replace(theta, value, "expression") for value in (made, real)]
    points = face_model.landmarks(torch.cat([made, real, *mixed]), LANDMARK_SIZE)
    found, wanted, expressed, wanted_expressed = points.chunk(4)
    return {
        "yaw_error": angle_error(made, real, "yaw", layout),
        "pitch_error": angle_error(made, real, "pitch", layout),
        "landmark_px": (found - wanted).norm(dim=-1).mean(dim=1),
        "expression_px": (expressed - wanted_expressed).norm(dim=-1).mean(dim=1),
        "light_error": light_error(layout.get(made, "illumination"), layout.get(real, "illumination")),
    }


def angle_error(theta: Tensor, reference: Tensor, angle: str, layout: Layout) -> Tensor:
    """Absolute difference of an angle of the rotation, degrees, (B, P) -> (B,)."""
    return (theta - reference)[:, layout.index("rotation", angle)].abs() * (180 / math.pi)


def expression_px(theta: Tensor, reference: Tensor, held: Tensor, face_model: FaceModel) -> Tensor:
    """Mean distance of the landmarks when only the expression differs, pixels at 128, (B,).

    Args:
        theta, reference: (B, P), whose expressions are compared.
        held: (B, P), whose other blocks (pose, place, identity) both are given.
    """
    layout = face_model.layout
    mixed = torch.cat([layout.replace(held, value, "expression") for value in (theta, reference)])
    found, wanted = face_model.landmarks(mixed, LANDMARK_SIZE).chunk(2)
    distance: Tensor = (found - wanted).norm(dim=-1).mean(dim=1)
    return distance


def light_error(gamma: Tensor, reference: Tensor) -> Tensor:
    """Root mean square of the difference in shading over that of the reference's shading, (B,).

    Over the three colours and the normals of a sphere's half that faces the viewer: what lights the other half no
    portrait shows.

    Args:
        gamma, reference: illuminations, (B, 27).
    """
    normals = visible_normals(NORMALS).to(gamma)[None]
    wrong = shading(normals, gamma - reference).square().mean(dim=(1, 2)).sqrt()
    right = shading(normals, reference).square().mean(dim=(1, 2)).sqrt()
    return wrong / right.clamp_min(1e-6)


def visible_normals(count: int) -> Tensor:
    """Unit vectors (count, 3) spread evenly over the half sphere z > 0, on a Fibonacci spiral."""
    index = torch.arange(count, dtype=torch.float64) + 0.5
    z = 1 - index / count
    radius = (1 - z.square()).sqrt()
    turn = index * (math.pi * (3 - math.sqrt(5)))
    return torch.stack((radius * turn.cos(), radius * turn.sin(), z), dim=1)
