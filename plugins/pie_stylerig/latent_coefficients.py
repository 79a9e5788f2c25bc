"""F on the latent: from w straight to θ, without an image (StyleRig, §4).

StyleRig's F is a three-layer perceptron with ELU. It stands for the image path (generator, then face encoder) while
a rig is trained, because it costs a thousandth of it. Added here: a linear path beside the perceptron, which most of
θ follows, and training against the face encoder's answers, which are already at hand, instead of by rendering.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from pie_framework.api import Layout


class LatentCoefficients(nn.Module):
    """w (B, L, D) -> θ (B, P).

    Args:
        layout: of θ.
        num_layers: L.
        latent_dim: D.
        hidden: width of the two hidden layers.
    """

    latent_mean: Tensor
    latent_scale: Tensor
    mean: Tensor
    scale: Tensor

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

    def set_statistics(self, latents: Tensor, theta: Tensor) -> None:
        """Take means and deviations from samples: latents (N, L, D), θ (N, P)."""
        flat = latents.reshape(-1, latents.shape[-1])
        self.latent_mean.copy_(flat.mean(0))
        self.latent_scale.copy_((flat - flat.mean(0)).square().mean().sqrt().clamp_min(1e-6))
        self.mean.copy_(theta.mean(0))
        self.scale.copy_(theta.std(0).clamp_min(1e-4))

    @torch.no_grad()
    def fit_linear(
        self, latents: Tensor, theta: Tensor, ridges: tuple[float, ...] = (1e-2, 1e-1, 1.0, 10.0)
    ) -> float:
        """Set the linear path by ridge regression, with the ridge that predicts the last tenth of the samples best.

        Args:
            latents: (N, L, D).
            theta: (N, P).
            ridges: to choose from, relative to the mean squared length of an input.

        Returns:
            Mean squared error on that tenth, in standard deviations; 1 is the mean's.
        """
        inputs = ((latents - self.latent_mean) / self.latent_scale).flatten(1)
        inputs = torch.cat([inputs, inputs.new_ones(len(inputs), 1)], dim=1)
        targets = (theta - self.mean) / self.scale
        train = len(inputs) - max(1, len(inputs) // 10)
        kernel = inputs[:train] @ inputs[:train].T
        best = (float("inf"), inputs.new_zeros(inputs.shape[1], targets.shape[1]))
        for ridge in ridges:
            regular = kernel.clone()
            regular.diagonal().add_(ridge * float(kernel.diagonal().mean()))
            weight = inputs[:train].T @ torch.cholesky_solve(targets[:train], torch.linalg.cholesky(regular))
            error = float((inputs[train:] @ weight - targets[train:]).square().mean())
            if error < best[0]:
                best = (error, weight)
        self.linear.weight.copy_(best[1][:-1].T)
        self.linear.bias.copy_(best[1][-1])
        return best[0]

    def forward(self, latent: Tensor) -> Tensor:
        inputs = ((latent - self.latent_mean) / self.latent_scale).flatten(1)
        raw: Tensor = self.linear(inputs) + self.perceptron(inputs)
        return raw * self.scale + self.mean

    def loss(self, latent: Tensor, theta: Tensor) -> Tensor:
        """Squared error in standard deviations, mean over batch and coefficients."""
        error: Tensor = ((self(latent) - theta) / self.scale).square().mean()
        return error
