"""Conformance suite of image generators."""

from __future__ import annotations

import torch

from pie_framework.api import Generator
from pie_framework.testing.suites.base import Suite


class GeneratorTests(Suite):
    """Override `build` to return a `Generator`."""

    def test_satisfies_the_protocol(self, component: Generator) -> None:
        assert isinstance(component, Generator)
        for name in ("resolution", "num_layers", "latent_dim"):
            value = getattr(component, name)
            assert isinstance(value, int) and value > 0, f"{name} is {value!r}"

    def test_sample_follows_the_generator_given(self, component: Generator) -> None:
        state = torch.random.get_rng_state()
        first, again = component.sample(3, self.rng()), component.sample(3, self.rng())
        other = component.sample(3, self.rng(1))
        assert first.shape == (3, component.num_layers, component.latent_dim)
        self.check_place(first)
        assert torch.equal(first, again), "the same state of rng must give the same latents"
        assert not torch.equal(first, other), "another state of rng must give other latents"
        assert not first.requires_grad
        assert torch.equal(torch.random.get_rng_state(), state), "the global random generator was used"

    def test_rng_goes_on(self, component: Generator) -> None:
        rng = self.rng()
        assert not torch.equal(component.sample(1, rng), component.sample(1, rng)), "rng does not advance"

    def test_mean_latent(self, component: Generator) -> None:
        mean = component.mean_latent()
        assert mean.shape == (component.latent_dim,)
        self.check_place(mean)
        mean.add_(1.0)
        assert not torch.equal(mean, component.mean_latent()), "mean_latent gives its own state away"

    def test_image(self, component: Generator) -> None:
        with torch.no_grad():
            image = component.synthesize(component.sample(2, self.rng()))
        assert image.shape == (2, 3, component.resolution, component.resolution)
        self.check_place(image)

    def test_synthesis_is_a_function_of_each_latent(self, component: Generator) -> None:
        self.check_function(component.synthesize, component.sample(3, self.rng()).contiguous())

    def test_gradient_reaches_the_latent(self, component: Generator) -> None:
        self.check_gradient(component.synthesize, component.sample(2, self.rng()).contiguous())

    def test_frozen(self, component: Generator) -> None:
        self.check_frozen(component)
