"""What StyleGAN2 and StyleGAN3 share: a prior over latents, and how their W+ is laid out.

Symbols: B batch, L layers, D latent width, Z width of the prior.
"""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor, nn

from .mapping import MappingConfig, MappingNetwork


class StyledConfig(MappingConfig, Protocol):
    """What the prior needs of an architecture."""

    @property
    def resolution(self) -> int: ...
    @property
    def num_layers(self) -> int: ...


class StyledPrior(nn.Module):
    """A generator's side of the latents: sampling, truncation, the mean.

    Attributes:
        resolution: side of the images, pixels.
        num_layers: L.
        latent_dim: D.
        prior_dim: Z.
        truncation: psi of the latents that `sample` draws.
        truncation_cutoff: how many of the first layers it applies to; None means all.
        mapping: z -> w; made by the subclass.
    """

    mapping: MappingNetwork

    def __init__(self, config: StyledConfig) -> None:
        super().__init__()
        self.resolution = config.resolution
        self.num_layers = config.num_layers
        self.latent_dim = config.latent_dim
        self.prior_dim = config.prior_dim
        self.truncation = 1.0
        self.truncation_cutoff: int | None = None

    def sample_z(self, n: int, rng: torch.Generator) -> Tensor:
        """n draws from the prior, (n, Z), standard normal."""
        z = torch.randn(n, self.prior_dim, generator=rng, device=rng.device)
        return z.to(self.mapping.w_avg)

    def map(self, z: Tensor, *, truncation: float = 1.0, cutoff: int | None = None) -> Tensor:
        """z (B, Z) -> W+ (B, L, D), one w repeated for every layer.

        Args:
            truncation: psi; each w is moved to mean + psi * (w - mean).
            cutoff: truncate only the first `cutoff` layers; None means all.
        """
        return self.truncate(self.broadcast(self.mapping(z)), truncation, cutoff)

    def truncate(self, w: Tensor, truncation: float, cutoff: int | None = None) -> Tensor:
        """Move the first `cutoff` layers of w (B, L, D) towards the mean latent, keeping the share `truncation`."""
        if truncation == 1.0:
            return w
        cutoff = self.num_layers if cutoff is None else cutoff
        near = self.mapping.w_avg.lerp(w[:, :cutoff], truncation)
        return torch.cat([near, w[:, cutoff:]], dim=1)

    def sample(self, n: int, rng: torch.Generator, *, truncation: float | None = None) -> Tensor:
        """n latents from the generator's own prior, (n, L, D).

        Args:
            truncation: psi; None means the generator's own `truncation`, of its first `truncation_cutoff` layers.
        """
        z = self.sample_z(n, rng)
        if truncation is None:
            return self.map(z, truncation=self.truncation, cutoff=self.truncation_cutoff)
        return self.map(z, truncation=truncation)

    def mean_latent(self) -> Tensor:
        """The mean of w over the prior, (D,), a copy."""
        return self.mapping.w_avg.clone()

    def broadcast(self, w: Tensor) -> Tensor:
        """w (B, D) -> W+ (B, L, D), the same latent for every layer."""
        return w[:, None, :].expand(-1, self.num_layers, -1)
