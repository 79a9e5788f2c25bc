"""Conformance suite of initializers, where w starts."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from pie_framework.api import Initializer, Networks
from pie_framework.testing.suites._worlds import inexact_world, limited
from pie_framework.testing.suites.base import Suite


class InitializerTests(Suite):
    """Override `build` to return an `Initializer`, and set `requires` to what its declaration requires."""

    dtype: ClassVar[torch.dtype] = torch.float64
    requires: ClassVar[frozenset[str]] = frozenset()

    @property
    def networks(self) -> Networks:
        """The toy world, reduced to what is required."""
        return limited(inexact_world(self.dtype, self.device), self.requires)

    def images(self, networks: Networks, count: int = 3) -> Tensor:
        """Portraits of the toy world, (count, 3, R, R)."""
        with torch.no_grad():
            return networks.generator.synthesize(networks.generator.sample(count, self.rng(3)))

    def start(self, networks: Networks, images: Tensor, number: int = 0) -> Tensor:
        """w, (B, L, D), with a random generator of its own."""
        with torch.no_grad():
            found: Tensor = self.component.start(networks, images, self.rng(number))
        return found

    def test_satisfies_the_protocol(self) -> None:
        self.check_protocol(Initializer)

    def test_latents(self) -> None:
        networks = self.networks
        generator = networks.generator
        for count in (1, 3):
            latents = self.start(networks, self.images(networks, count))
            self.check_shape(latents, (count, generator.num_layers, generator.latent_dim), "the start")
            self.check_place(latents)
            assert not latents.requires_grad, "the start carries a gradient"

    def test_follows_the_random_generator_given(self) -> None:
        networks = self.networks
        images = self.images(networks)
        with self.untouched(images=images, networks=networks):
            first = self.start(networks, images)
            self.start(networks, images.flip(0) * 0.5, 1)
            again = self.start(networks, images)
        self.same(first, again, "the same portraits and state of rng must give the same start")

    def test_each_portrait_starts_for_itself(self) -> None:
        networks = self.networks
        images = self.images(networks)
        whole = self.start(networks, images)
        alone = torch.cat([self.start(networks, images[i : i + 1]) for i in range(len(images))])
        self.close(alone, whole, "batch against one by one")

    def test_gives_away_nothing_of_its_own(self) -> None:
        networks = self.networks
        images = self.images(networks)
        first = self.start(networks, images)
        kept = first.clone()
        first.add_(1.0)
        self.same(self.start(networks, images), kept, "changing a start in place changes the next one")

    def test_frozen(self) -> None:
        self.check_frozen(self.component)
