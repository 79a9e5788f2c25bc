"""F on the latent: from w straight to θ, without an image (StyleRig, §4).

StyleRig's F is a three-layer perceptron with ELU. It stands for the image path (generator, then face encoder) while
a rig is trained, because it costs a thousandth of it. Added here: a linear path beside the perceptron, which most of
θ follows, and training against the face encoder's answers, which are already at hand, instead of by rendering.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from pie_framework.api import Layout
from pie_stylerig.regression import RIDGES, ridge_regression

if TYPE_CHECKING:
    from jaxtyping import Float


class LatentCoefficients(nn.Module):
    """w -> θ.

    Args:
        layout: of θ.
        num_layers: L.
        latent_dim: D.
        hidden: width of the two hidden layers.
    """

    latent_mean: Float[Tensor, "D"]
    latent_scale: Float[Tensor, ""]
    mean: Float[Tensor, "P"]
    scale: Float[Tensor, "P"]

    def __init__(self, layout: Layout, num_layers: int, latent_dim: int, hidden: int = 256) -> None:
        super().__init__()
        self.layout = layout
        inputs = num_layers * latent_dim
        self.linear = nn.Linear(inputs, layout.size)
        self.perceptron = nn.Sequential(
            nn.Linear(inputs, hidden),
            nn.ELU(),
            nn.Linear(hidden, hidden),
            nn.ELU(),
            nn.Linear(hidden, layout.size),
        )
        with torch.no_grad():
            self.linear.weight.zero_()
            self.linear.bias.zero_()
            for weight in self.perceptron[4].parameters():
                weight.mul_(0.1)
        self.register_buffer("latent_mean", torch.zeros(latent_dim))
        self.register_buffer("latent_scale", torch.ones(()))
        self.register_buffer("mean", torch.zeros(layout.size))
        self.register_buffer("scale", torch.ones(layout.size))

    def set_statistics(self, latents: Float[Tensor, "N L D"], theta: Float[Tensor, "N P"]) -> None:
        """Take means and deviations from samples."""
        flat = latents.reshape(-1, latents.shape[-1])
        self.latent_mean.copy_(flat.mean(0))
        self.latent_scale.copy_((flat - flat.mean(0)).square().mean().sqrt().clamp_min(1e-6))
        self.mean.copy_(theta.mean(0))
        self.scale.copy_(theta.std(0).clamp_min(1e-4))

    def fit_linear(
        self, latents: Float[Tensor, "N L D"], theta: Float[Tensor, "N P"], ridges: tuple[float, ...] = RIDGES
    ) -> float:
        """Set the linear path by ridge regression (see `ridge_regression`).

        Returns:
            Mean squared error on the last tenth, in standard deviations; 1 is the mean's.
        """
        inputs = ((latents - self.latent_mean) / self.latent_scale).flatten(1)
        error, weight, bias = ridge_regression(inputs, (theta - self.mean) / self.scale, ridges)
        self.linear.weight.data.copy_(weight)
        self.linear.bias.data.copy_(bias)
        return error

    def forward(self, latent: Float[Tensor, "B L D"]) -> Float[Tensor, "B P"]:
        inputs = ((latent - self.latent_mean) / self.latent_scale).flatten(1)
        raw: Tensor = self.linear(inputs) + self.perceptron(inputs)
        return raw * self.scale + self.mean

    def loss(self, latent: Float[Tensor, "B L D"], theta: Float[Tensor, "B P"]) -> Float[Tensor, ""]:
        """Squared error in standard deviations, mean over batch and coefficients."""
        error: Tensor = ((self(latent) - theta) / self.scale).square().mean()
        return error
