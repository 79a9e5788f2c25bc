"""Starts that look at no candidates: the prior's mean, and what an inverter says."""

from __future__ import annotations

import torch
from torch import Tensor

from pie_framework.api import BuildContext, EmptyConfig, Networks


class Mean:
    """The mean of the generator's prior, the same for every portrait (§3). Satisfies `Initializer`."""

    def __init__(self, config: EmptyConfig, context: BuildContext) -> None:
        pass

    def start(self, networks: Networks, images: Tensor, rng: torch.Generator) -> Tensor:
        """(B, L, D)."""
        generator = networks.generator
        shape = (images.shape[0], generator.num_layers, generator.latent_dim)
        return networks.call("generator", generator.mean_latent).expand(shape).clone()


class Inverted:
    """What the inverter network says of each portrait. Satisfies `Initializer`."""

    def __init__(self, config: EmptyConfig, context: BuildContext) -> None:
        pass

    def start(self, networks: Networks, images: Tensor, rng: torch.Generator) -> Tensor:
        """(B, L, D)."""
        return networks.invert(images).clone()
