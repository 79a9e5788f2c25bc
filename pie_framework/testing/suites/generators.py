"""Conformance suite of image generators."""

from __future__ import annotations

import torch

from pie_framework.api import Generator
from pie_framework.testing.suites.base import Suite


class GeneratorTests(Suite):
    """Override `build` to return a `Generator`."""

    def test_satisfies_the_protocol(self) -> None:
        self.check_protocol(Generator)
        for name in ("resolution", "num_layers", "latent_dim"):
            value = getattr(self.component, name)
            assert isinstance(value, int) and value > 0, f"{name} is {value!r}"

    def test_sample_follows_the_generator_given(self) -> None:
        with self.untouched():
            first, again = self.component.sample(3, self.rng()), self.component.sample(3, self.rng())
            other = self.component.sample(3, self.rng(1))
        self.check_shape(first, (3, self.component.num_layers, self.component.latent_dim), "the sample")
        self.check_place(first)
        self.same(first, again, "the same state of rng must give the same latents")
        assert not torch.equal(first, other), "another state of rng must give other latents"
        assert not first.requires_grad, "samples carry a gradient"

    def test_rng_goes_on(self) -> None:
        rng = self.rng()
        assert not torch.equal(self.component.sample(1, rng), self.component.sample(1, rng)), (
            "rng does not advance"
        )

    def test_mean_latent(self) -> None:
        mean = self.component.mean_latent()
        self.check_shape(mean, (self.component.latent_dim,), "the mean latent")
        self.check_place(mean)
        mean.add_(1.0)
        assert not torch.equal(mean, self.component.mean_latent()), "mean_latent gives its own state away"

    def test_image(self) -> None:
        with torch.no_grad():
            image = self.component.synthesize(self.component.sample(2, self.rng()))
        side = self.component.resolution
        self.check_shape(image, (2, 3, side, side), "the image")
        self.check_place(image)

    def test_synthesis_is_a_function_of_each_latent(self) -> None:
        self.check_function(self.component.synthesize, self.component.sample(3, self.rng()).contiguous())

    def test_gradient_reaches_the_latent(self) -> None:
        self.check_gradient(self.component.synthesize, self.component.sample(2, self.rng()).contiguous())

    def test_frozen(self) -> None:
        self.check_frozen(self.component)
