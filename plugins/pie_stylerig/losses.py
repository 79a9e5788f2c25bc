"""StyleRig's losses (§4), each a mean over the batch.

As published: reconstruction, edit and consistency with ℓ over landmarks and rendered colours. Added here: where a
rendering per sample would cost too much, the photometric part of ℓ is its quadratic form around typical coefficients,
measured once (Gauss-Newton); a small distance of coefficients; and the terms named "added" in `RigWeights`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from pie_framework.api import FaceModel, photometric_loss
from pie_stylerig.settings import RigWeights

if TYPE_CHECKING:
    from jaxtyping import Float


@torch.no_grad()
def photometric_metric(
    face_model: FaceModel, theta: Float[Tensor, "S P"], scale: Float[Tensor, "P"], size: int, batch: int = 8
) -> Float[Tensor, "P P"]:
    """The quadratic form of the photometric loss: loss(θ + Δ against θ) ≈ Δᵀ M Δ.

    Colours are differenced one coefficient at a time, over the pixels that both renderings cover.

    Args:
        face_model: renders.
        theta: coefficients at which the form is measured and averaged.
        scale: typical deviations; a tenth is the step.
        size: side in pixels.
        batch: renderings at a time.

    Returns:
        M: mean over covered pixels and channels, per unit of each coefficient.
    """
    count = theta.shape[1]
    total = theta.new_zeros(count, count)
    steps = 0.1 * scale
    for sample in theta:
        rest = face_model.render(sample[None], size)
        changes = []
        for rows in torch.split(torch.arange(count), batch):
            moved = sample.repeat(len(rows), 1)
            moved[torch.arange(len(rows)), rows] += steps[rows]
            seen = face_model.render(moved, size)
            both = seen.mask * rest.mask
            changes.append(((seen.image - rest.image) * both).flatten(1) / steps[rows, None])
        matrix = torch.cat(changes)
        total += matrix @ matrix.T / (rest.mask.sum() * rest.image.shape[1]).clamp_min(1.0)
    return total / len(theta)


@dataclass(frozen=True)
class Analysis:
    """What ℓ is measured with.

    Attributes:
        face_model: landmarks and renderings.
        metric: M of `photometric_metric`.
        scale: standard deviations of θ.
        weights: of the parts of ℓ.
        size: side in pixels of renderings.
    """

    face_model: FaceModel
    metric: Float[Tensor, "P P"]
    scale: Float[Tensor, "P"]
    weights: RigWeights
    size: int

    def distance(
        self,
        theta: Float[Tensor, "B P"],
        truth: Float[Tensor, "B P"],
        images: Float[Tensor, "n 3 s s"] | None = None,
    ) -> Float[Tensor, ""]:
        """ℓ(I', θ) for an image whose coefficients are known as θ': mean over the batch.

        Args:
            theta: θ; equals θ' except in the blocks that are compared.
            truth: θ' of the image, without gradient; its landmarks stand for the image's.
            images: I' of the first samples, of side `size`: they are rendered, the others use the metric.
        """
        points = self.face_model.landmarks(torch.cat([theta, truth]), 10)
        found, wanted = torch.split(points, len(theta))
        total = self.weights.landmark * (found - wanted).square().sum(dim=-1).mean()
        difference = theta - truth
        quadratic = ((difference @ self.metric) * difference).sum(dim=1)
        if images is not None:
            n = len(images)
            rendering = self.face_model.render(theta[:n], self.size)
            rendered = photometric_loss(images, rendering.image, rendering.mask)
            quadratic = torch.cat([rendered, quadratic[n:]])
        total = total + self.weights.photometric * quadratic.mean()
        normalised = (difference / self.scale).square()
        compared = (difference != 0).any(dim=0).sum().clamp_min(1)
        coefficients: Tensor = self.weights.coefficients * normalised.sum(dim=1).mean() / compared
        return total + coefficients


def rig_losses(
    block: str,
    analysis: Analysis,
    theta_rigged: Float[Tensor, "B P"],
    theta_w: Float[Tensor, "B P"],
    theta_v: Float[Tensor, "B P"],
    images_w: Float[Tensor, "n 3 s s"] | None = None,
    images_v: Float[Tensor, "n 3 s s"] | None = None,
) -> dict[str, Float[Tensor, ""]]:
    """Edit and consistency of ŵ = RigNet(w, θ_v^τ).

    Args:
        block: τ.
        analysis: measures ℓ.
        theta_rigged: θ_ŵ, carries the gradient.
        theta_w: θ_w.
        theta_v: θ_v.
        images_w: I_w of the first samples, for rendering.
        images_v: I_v of the first samples, for rendering.

    Returns:
        {"edit": ℓ(I_v, [θ_v^τ̄, θ_ŵ^τ]), "consistency": ℓ(I_w, [θ_ŵ^τ̄, θ_w^τ])}.
    """
    layout = analysis.face_model.layout
    return {
        "edit": analysis.distance(layout.replace(theta_v, theta_rigged, block), theta_v, images_v),
        "consistency": analysis.distance(layout.replace(theta_rigged, theta_w, block), theta_w, images_w),
    }


def latent_distance(
    first: Float[Tensor, "B L D"], second: Float[Tensor, "B L D"], scale: Float[Tensor, ""]
) -> Float[Tensor, ""]:
    """Mean squared difference of latents in standard deviations."""
    return ((first - second) / scale).square().mean()


def background_loss(
    edited: Float[Tensor, "B 3 s s"],
    original: Float[Tensor, "B 3 s s"],
    faces: tuple[Float[Tensor, "B 1 s s"], Float[Tensor, "B 1 s s"]],
) -> Float[Tensor, ""]:
    """Squared colour difference outside two face masks, mean over pixels."""
    outside = (1 - faces[0]) * (1 - faces[1])
    squared = (edited - original).square().mean(dim=1, keepdim=True)
    return (squared * outside).sum() / outside.sum().clamp_min(1.0)


def landmark_pixels(
    face_model: FaceModel, first: Float[Tensor, "B P"], second: Float[Tensor, "B P"], size: int = 128
) -> Float[Tensor, "B"]:
    """Mean distance of the landmarks of two θ in pixels of an image of `size`."""
    apart = face_model.landmarks(first, size) - face_model.landmarks(second, size)
    pixels: Tensor = apart.square().sum(dim=-1).sqrt().mean(dim=1)
    return pixels
