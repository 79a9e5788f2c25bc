"""The mapping network of StyleGAN2 and StyleGAN3, with and without classes."""

from __future__ import annotations

import itertools
from typing import Protocol

import torch
from torch import Tensor, nn

from pie_framework.errors import ConfigError

from .layers import FullyConnected, normalize_second_moment


class MappingConfig(Protocol):
    """What the mapping network needs of an architecture; see `StyleGAN2Config`."""

    @property
    def prior_dim(self) -> int: ...
    @property
    def latent_dim(self) -> int: ...
    @property
    def mapping_layers(self) -> int: ...
    @property
    def mapping_lr_multiplier(self) -> float: ...


class MappingNetwork(nn.Module):
    """z -> w: second-moment normalisation, then leaky-ReLU layers; keeps the running mean of w for truncation.

    A conditional network embeds the class (one-hot, a linear layer), normalises that too and puts it behind z.

    Args:
        hidden: width of the layers between, D by default.
        classes: number of classes, 0 for an unconditional network.
        embed_dim: width of the class's embedding, D by default.
    """

    w_avg: Tensor

    def __init__(
        self,
        config: MappingConfig,
        *,
        hidden: int | None = None,
        classes: int = 0,
        embed_dim: int | None = None,
    ) -> None:
        super().__init__()
        d, hidden = config.latent_dim, hidden or config.latent_dim
        embed_dim = (embed_dim or d) if classes else 0
        self.classes = classes
        self.class_index: int | None = None
        self.embed = FullyConnected(classes, embed_dim) if classes else None
        widths = [config.prior_dim + embed_dim, *[hidden] * (config.mapping_layers - 1), d]
        self.layers = nn.ModuleList(
            FullyConnected(a, b, activation="lrelu", lr_multiplier=config.mapping_lr_multiplier)
            for a, b in itertools.pairwise(widths)
        )
        self.register_buffer("w_avg", torch.zeros(d))

    def choose_class(self, index: int | None) -> None:
        """The class that every z is mapped with.

        Raises:
            ConfigError: a conditional network is given none, an unconditional one is given one, or there is no such.
        """
        if self.classes and index is None:
            raise ConfigError(
                f"the generator is conditional with {self.classes} classes and none is given",
                f"Set generator.class_index to 0 ... {self.classes - 1}.",
            )
        if not self.classes and index is not None:
            raise ConfigError(
                f"class_index is {index} but the generator is not conditional",
                "Leave generator.class_index at null.",
            )
        if index is not None and not 0 <= index < self.classes:
            raise ConfigError(
                f"class_index is {index} but the generator has {self.classes} classes",
                f"Use 0 ... {self.classes - 1}.",
            )
        self.class_index = index

    def forward(self, z: Tensor) -> Tensor:
        """z (B, Z), any scale -> w (B, D)."""
        x = normalize_second_moment(z)
        if self.embed is not None:
            self.choose_class(self.class_index)
            label = z.new_zeros(1, self.classes)
            label[:, self.class_index] = 1.0
            x = torch.cat([x, normalize_second_moment(self.embed(label)).expand(len(z), -1)], dim=1)
        for layer in self.layers:
            x = layer(x)
        return x

    @torch.no_grad()
    def estimate_mean(self, draws: int = 10_000, seed: int = 0) -> Tensor:
        """The mean of w over `draws` draws of the prior, (D,), for files that do not hold it."""
        rng = torch.Generator().manual_seed(seed)
        first = self.layers[0]
        assert isinstance(first, FullyConnected)
        width = first.weight.shape[1] - (0 if self.embed is None else self.embed.weight.shape[0])
        chosen, total, parts = self.class_index, torch.zeros_like(self.w_avg), 100
        for part in range(parts):
            self.class_index = part % self.classes if self.classes else None
            z = torch.randn(draws // parts, width, generator=rng).to(self.w_avg)
            total += self.forward(z).mean(dim=0) / parts
        self.class_index = chosen
        return total
