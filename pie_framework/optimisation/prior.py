"""Where the v of E_v come from: latents of the generator's prior, with their images, coefficients and landmarks."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from pie_framework.api import Networks, PriorDraw

if TYPE_CHECKING:
    from jaxtyping import Float


def step_rng(seed: int, step: int) -> torch.Generator:
    """The random generator of one step. It depends on nothing else, so a resumed run draws what it would have."""
    return torch.Generator().manual_seed((seed * 1_000_003 + step) % (2**63))


@torch.no_grad()
def describe(networks: Networks, latent: Float[Tensor, "N L D"], batch: int = 8) -> PriorDraw:
    """Latents with their images, θ and landmarks, `batch` at a time."""
    images, thetas, landmarks = [], [], []
    for part in torch.split(latent, batch):
        image = networks.synthesize(part)
        images.append(image)
        thetas.append(networks.encode(image))
        landmarks.append(networks.detect(image))
    return PriorDraw(latent, torch.cat(images), torch.cat(thetas), torch.cat(landmarks))


class PriorSampler:
    """Draws new v for every step.

    Args:
        networks: generator, encoder and landmark detector are used.
        seed: with the step number it fixes every draw.
        per_step: N, how many v a step draws.
        pool: how many v are made once and drawn from; 0 makes new ones at every step, which costs N more passes of
            the generator, the encoder and the detector per step.
    """

    def __init__(self, networks: Networks, seed: int, per_step: int, pool: int) -> None:
        self.networks = networks
        self.seed = seed
        self.per_step = per_step
        self._size = pool

    @cached_property
    def pool(self) -> PriorDraw | None:
        """The v made once, when the first is drawn, or None when every step makes new ones."""
        if not self._size:
            return None
        rng = torch.Generator().manual_seed(self.seed)
        latent = self.networks.sample(max(self._size, self.per_step), rng)
        return describe(self.networks, latent)

    def draw(self, step: int) -> PriorDraw:
        """The v of a step, counted over the whole run; the same step always gets the same."""
        rng = step_rng(self.seed, step)
        pool = self.pool
        if pool is None:
            return describe(self.networks, self.networks.sample(self.per_step, rng))
        chosen = torch.randperm(len(pool), generator=rng)[: self.per_step].to(pool.latent.device)
        return PriorDraw(pool.latent[chosen], pool.image[chosen], pool.theta[chosen], pool.landmarks[chosen])
