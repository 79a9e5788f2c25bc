"""The losses that train the face encoder, each a mean over the batch; the settings tell their units."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

from pie_framework.api import FaceModel, photometric_loss
from pie_mofa.effects import Effects

PRIOR_BLOCKS = ("identity", "expression", "albedo", "illumination")


def distance(first: Tensor, second: Tensor, size: float) -> Tensor:
    """Mean distance of landmarks (B, K, 2) in hundredths of the image side: a smooth norm, scalar."""
    squared = ((first - second) * (100.0 / size)).square().sum(dim=-1)
    return ((squared + 1e-2).sqrt() - 1e-1).mean()


def known_losses(
    theta: Tensor, truth: Tensor, face_model: FaceModel, effects: Effects, scale: Tensor
) -> dict[str, Tensor]:
    """The losses against known coefficients, by their names in `LossWeights`.

    Args:
        theta: the encoder's, (B, P).
        truth: (B, P).
        face_model: for the landmarks.
        effects: what the coefficients change.
        scale: (P,) standard deviations.
    """
    layout, batch = face_model.layout, len(theta)
    mixed = {
        "landmark": theta,
        "expression_landmark": layout.replace(truth, theta, "expression"),
        "rotation_landmark": layout.replace(truth, theta, "rotation"),
    }
    together = face_model.landmarks(torch.cat([truth, *mixed.values()]), 100)
    points = torch.split(together, batch)
    losses = {
        name: distance(found, points[0].detach(), 100) for name, found in zip(mixed, points[1:], strict=True)
    }
    difference = theta - truth
    degrees = layout.get(difference, "rotation") * (180 / math.pi)
    losses["rotation"] = functional.smooth_l1_loss(degrees, torch.zeros_like(degrees))
    losses["effect"] = torch.stack([error.mean() for error in effects.errors(difference).values()]).mean()
    losses["coefficients"] = (difference / scale).square().mean()
    return losses


def sample_losses(
    theta: Tensor, points: Tensor, face_model: FaceModel, mean: Tensor, scale: Tensor
) -> dict[str, Tensor]:
    """MoFA's losses without the photometric one, by their names in `SampleTraining`.

    Args:
        theta: the encoder's, (B, P).
        points: landmarks detected in the images, (B, K, 2), as fractions of the side.
        face_model: projects the landmarks.
        mean: (P,) centre of the prior.
        scale: (P,) standard deviations of the prior.
    """
    losses = {"landmark": distance(face_model.landmarks(theta, 100), 100 * points, 100)}
    layout = face_model.layout
    parts = layout.split((theta - mean) / scale)
    for name in PRIOR_BLOCKS:
        if name in parts and parts[name].shape[1]:
            losses[name] = parts[name].square().mean()
    return losses


def rendered_loss(image: Tensor, theta: Tensor, face_model: FaceModel, size: int) -> Tensor:
    """The photometric part of ℓ (§2) at `size` pixels, mean over the portraits; scalar."""
    rendering = face_model.render(theta, size)
    if image.shape[-1] != size:
        image = functional.interpolate(image, (size, size), mode="area")
    return photometric_loss(image, rendering.image, rendering.mask).mean()
