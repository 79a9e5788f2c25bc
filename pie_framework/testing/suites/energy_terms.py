"""Conformance suite of energy terms, in the toy world of `pie_framework.testing.toys`."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import ClassVar

import pytest
import torch
from torch import Tensor

from pie_framework.api import EnergyTerm, LatentView, Networks, PriorDraw, TargetView
from pie_framework.testing.suites.base import Suite, Values, named
from pie_framework.testing.toys import TOY_LAYOUT, toy_networks


class EnergyTermTests(Suite):
    """Override `build` to return an `EnergyTerm`, and set `requires` to what its declaration requires.

    Attributes:
        requires: as in the declaration; the term is given these components and no others.
        zero_at_target: whether the term must be 0 for a latent that shows the target exactly.
    """

    dtype: ClassVar[torch.dtype] = torch.float64
    requires: ClassVar[frozenset[str]] = frozenset()
    zero_at_target: ClassVar[bool] = False

    @pytest.fixture
    def networks(self) -> Networks:
        """The toy world, reduced to what the term requires."""
        whole = toy_networks(strength=0.7, dtype=self.dtype)
        roles = {name.partition(".")[2] for name in self.requires if name.startswith("features.")}
        return dataclasses.replace(
            whole,
            encoder=whole.encoder if self._needs("encoder") else None,
            face_model=whole.face_model if self._needs("face_model") else None,
            rigs=whole.rigs if self._needs("rig") else {},
            features={role: whole.features[role] for role in roles},
            landmarks=whole.landmarks if self._needs("landmarks") else None,
            editor=whole.editor if self._needs("editor") else None,
        )

    def _needs(self, kind: str) -> bool:
        return kind in self.requires

    def view(self, networks: Networks, latent: Tensor) -> LatentView:
        """A fresh view of the latent, with two v if the term requires the prior."""
        prior = None
        if self._needs("prior"):
            whole = toy_networks(dtype=self.dtype)
            v = whole.generator.sample(2, self.rng(7))
            image = whole.generator.synthesize(v)
            theta, points = whole.need_encoder().encode(image), whole.need_landmarks().detect(image)
            prior = PriorDraw(v, image, theta, points)
        return LatentView(networks, latent, prior, TOY_LAYOUT.editable)

    def latents(self, networks: Networks, count: int = 2, number: int = 0) -> Tensor:
        """Latents of the toy world, (count, L, D)."""
        return networks.generator.sample(count, self.rng(number)).contiguous()

    def target(self, networks: Networks, count: int = 2) -> TargetView:
        """Portraits that the toy world can show exactly."""
        return TargetView(networks, networks.generator.synthesize(self.latents(networks, count, 3)))

    def energy(
        self, term: EnergyTerm, networks: Networks, latent: Tensor, rows: slice = slice(None)
    ) -> Values:
        """The term for some of the portraits."""
        image = self.target(networks, 3).image[rows]
        return term.energy(self.view(networks, latent), TargetView(networks, image))

    def test_satisfies_the_protocol(self, component: EnergyTerm) -> None:
        assert isinstance(component, EnergyTerm)

    def test_one_finite_value_per_portrait(self, component: EnergyTerm, networks: Networks) -> None:
        value = component.energy(self.view(networks, self.latents(networks)), self.target(networks))
        assert isinstance(value, (Tensor, Mapping))
        parts = named(value)
        assert parts, "the term gives no value"
        self.check_place(parts)
        for name, part in parts.items():
            assert part.shape == (2,), f"{name or 'the term'} has the shape {tuple(part.shape)}, not (2,)"

    def test_batch_equals_single_and_asking_again(self, component: EnergyTerm, networks: Networks) -> None:
        latent = self.latents(networks, 3)
        kept = latent.clone()
        state = torch.random.get_rng_state()
        whole = named(self.energy(component, networks, latent))
        self.energy(component, networks, self.latents(networks, 3, 5))
        again = named(self.energy(component, networks, latent))
        assert torch.equal(latent, kept), "the latent was changed in place"
        assert torch.equal(torch.random.get_rng_state(), state), "the global random generator was used"
        for name, value in whole.items():
            assert torch.equal(value, again[name]), f"{name or 'the term'} differs when asked again"
            for i in range(3):
                one = slice(i, i + 1)
                alone = named(self.energy(component, networks, latent[one], one))[name]
                self.close(alone, value[one], "batch against one by one")

    def test_the_target_stays_as_it_is(self, component: EnergyTerm, networks: Networks) -> None:
        target = self.target(networks)
        kept = target.image.clone()
        component.energy(self.view(networks, self.latents(networks)), target)
        assert torch.equal(target.image, kept)

    def test_gradient_equals_finite_differences(self, component: EnergyTerm, networks: Networks) -> None:
        target = self.target(networks)
        self.check_gradient(
            lambda latent: component.energy(self.view(networks, latent), target), self.latents(networks)
        )

    def test_no_gradient_flows_between_portraits(self, component: EnergyTerm, networks: Networks) -> None:
        latent = self.latents(networks).requires_grad_(True)
        value = named(component.energy(self.view(networks, latent), self.target(networks)))
        first = torch.stack([part[0] for part in value.values()]).sum()
        (gradient,) = torch.autograd.grad(first, latent)
        assert float(gradient[1].abs().max()) == 0.0

    def test_zero_at_the_target(self, component: EnergyTerm) -> None:
        if not self.zero_at_target:
            return
        networks = toy_networks(dtype=self.dtype)
        latent = self.latents(networks, 2, 3)
        for part in named(component.energy(self.view(networks, latent), self.target(networks))).values():
            assert float(part.abs().max()) < 1e-9
