"""Conformance suite of energy terms, in the toy world of `pie_framework.testing.toys`."""

from __future__ import annotations

import weakref
from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor

from pie_framework.api import EnergyTerm, LatentView, Networks, TargetView
from pie_framework.composition.plan import PRIOR_REQUIRES
from pie_framework.errors import ComponentError
from pie_framework.optimisation.objective import PART
from pie_framework.testing.suites._watching import Snapshot, untouched_globals
from pie_framework.testing.suites._worlds import (
    WatchedNetworks,
    WatchedPrior,
    drawn,
    everything,
    inexact_world,
    limited,
)
from pie_framework.testing.suites.base import Suite, seconds
from pie_framework.testing.toys import TOY_LAYOUT, toy_networks

BLOCKS = TOY_LAYOUT.editable


class EnergyTermTests(Suite):
    """Override `build` to return an `EnergyTerm`, and set `requires` to what its declaration requires.

    Values and gradients are checked in float64 and in float32, each with a term of its own: `build` makes it in
    `dtype`, which `context` follows.

    Attributes:
        requires: as in the declaration; the term is given these components and no others.
        zero_at_target: whether the term must be 0 for a latent that shows the target exactly.
        float32_tolerance: largest difference between both precisions, as a share of the largest value or gradient.
        cost_limit: how many times the toy world's own networks a call may cost before there is a warning.
        in_one_precision: checks that look at both precisions by themselves, or at none; `pie plugins check` runs the
            others in each.
    """

    dtype: ClassVar[torch.dtype] = torch.float64
    requires: ClassVar[frozenset[str]] = frozenset()
    zero_at_target: ClassVar[bool] = False
    float32_tolerance: ClassVar[float] = 2e-4
    cost_limit: ClassVar[float] = 20.0
    in_one_precision: ClassVar[tuple[str, ...]] = (
        "test_finite_wherever_a_run_may_be",
        "test_float32_agrees_with_float64",
        "test_cost",
    )

    @property
    def networks(self) -> Networks:
        """A toy world in which no energy is 0 everywhere, reduced to what the term requires."""
        return limited(inexact_world(self.dtype, self.device), self.requires)

    def view(
        self, networks: Networks, latent: Tensor, blocks: tuple[str, ...] = BLOCKS, count: int = 2
    ) -> LatentView:
        """A fresh view of the latent, with `count` v if the term requires the prior."""
        prior = self.prior(count) if "prior" in self.requires else None
        return LatentView(networks, latent, prior, blocks)

    def prior(self, count: int) -> WatchedPrior:
        """`count` v with all that is known of them, fresh copies each time."""
        known: dict[str, Tensor] = self._once(
            f"v {count}", lambda: drawn(count, self.rng(7), self.dtype, self.device)
        )
        return WatchedPrior(**{name: value.clone() for name, value in known.items()})

    def latents(self, networks: Networks, count: int = 2, number: int = 0) -> Tensor:
        """Latents of the toy world, (count, L, D)."""
        return networks.generator.sample(count, self.rng(number)).contiguous()

    def target(self, networks: Networks, count: int = 2, number: int = 3) -> TargetView:
        """Portraits that the toy world can show exactly."""
        with torch.no_grad():
            image = networks.generator.synthesize(self.latents(networks, count, number))
        return TargetView(networks, image)

    def energy(
        self, term: EnergyTerm, networks: Networks, latent: Tensor, rows: slice = slice(None), number: int = 3
    ) -> dict[str, Tensor]:
        """The parts of the term for some of three portraits."""
        image = self.target(networks, 3, number).image[rows]
        return self.parts(term.energy(self.view(networks, latent), TargetView(networks, image)))

    def parts(self, value: Any) -> dict[str, Tensor]:
        """What a term gave by the names of its parts; AssertionError where it is not of the contract's form."""
        assert isinstance(value, (Tensor, Mapping)), (
            f"the term gives a {type(value).__name__}, neither a tensor nor named parts"
        )
        parts: dict[str, Tensor] = {"": value} if isinstance(value, Tensor) else dict(value)
        assert parts, "the term gives no value"
        for name, part in parts.items():
            assert isinstance(part, Tensor), f"the part {name!r} is a {type(part).__name__}, no tensor"
        return parts

    def gradient(self, networks: Networks, latent: Tensor, target: TargetView) -> Tensor:
        """∂ sum of all parts / ∂w; 0 where no gradient flows."""
        leaf = latent.detach().clone().requires_grad_(True)
        parts = self.parts(self.component.energy(self.view(networks, leaf), target))
        total = torch.stack([part.sum() for part in parts.values()]).sum()
        if not total.requires_grad:
            return torch.zeros_like(leaf)
        (gradient,) = torch.autograd.grad(total, leaf, allow_unused=True)
        return torch.zeros_like(leaf) if gradient is None else gradient

    def test_satisfies_the_protocol(self) -> None:
        self.check_protocol(EnergyTerm)

    def test_asks_only_for_what_it_requires(self) -> None:
        networks = self.networks
        try:
            self.component.energy(self.view(networks, self.latents(networks)), self.target(networks))
        except (ComponentError, AttributeError) as error:
            raise AssertionError(f"with only what is declared in `requires`: {error}") from error

    def test_uses_what_it_requires(self) -> None:
        networks = WatchedNetworks.of(self.networks)
        view = self.view(networks, self.latents(networks))
        self.component.energy(view, self.target(networks))
        used = networks.looked_at | set(getattr(self.context, "used", ()))
        if "prior" in self.requires:
            prior = view.prior
            if isinstance(prior, WatchedPrior) and prior.looked_at:
                used |= {"prior", *PRIOR_REQUIRES}
        left = sorted({*self.requires} - used - {"generator"})  # every view shows what the generator makes
        self.advise(not left, f"it requires but does not use: {', '.join(left)}")

    def test_one_finite_value_per_portrait(self) -> None:
        networks = self.networks
        for count in (2, 1, 3):
            view, target = self.view(networks, self.latents(networks, count)), self.target(networks, count)
            parts = self.parts(self.component.energy(view, target))
            self.check_place(parts)
            for name, part in parts.items():
                assert part.shape == (count,), (
                    f"{name or 'the term'} has the shape {tuple(part.shape)} for {count} portraits, not ({count},)"
                )

    def test_one_block_and_one_v(self) -> None:
        networks = self.networks
        for block in BLOCKS:
            view = self.view(networks, self.latents(networks), (block,), 1)
            parts = self.parts(self.component.energy(view, self.target(networks)))
            self.check_place(parts)
            for name, part in parts.items():
                self.check_shape(part, (2,), f"{name or 'the term'}, for the block '{block}' alone,")

    def test_part_names(self) -> None:
        networks = self.networks
        names = []
        for count in (2, 2, 1):
            view, target = self.view(networks, self.latents(networks, count)), self.target(networks, count)
            value = self.component.energy(view, target)
            names.append(() if isinstance(value, Tensor) else tuple(self.parts(value)))
        assert names[0] == names[1] == names[2], f"the names of the parts change: {names}"
        for name in names[0]:
            assert isinstance(name, str) and PART.fullmatch(name), (
                f"{name!r} is no name of a part: letters, digits and underscores, no digit first"
            )

    def test_batch_equals_single_and_asking_again(self) -> None:
        networks = self.networks
        latent = self.latents(networks, 3)
        with self.untouched():
            whole = self.energy(self.component, networks, latent)
            self.energy(self.component, networks, self.latents(networks, 3, 5))
            again = self.energy(self.component, networks, latent)
        for name, value in whole.items():
            self.same(again[name], value, f"{name or 'the term'} differs when asked again")
            for i in range(3):
                one = slice(i, i + 1)
                alone = self.energy(self.component, networks, latent[one], one)[name]
                self.close(alone, value[one], "batch against one by one")

    def test_remembers_nothing_of_other_portraits(self) -> None:
        networks = self.networks
        latent = self.latents(networks, 3)
        self.energy(self.component, networks, latent)
        found = self.energy(self.component, networks, latent, number=11)
        fresh = self.energy(self.build(), networks, latent, number=11)
        assert set(found) == set(fresh), "the names of the parts change after another portrait"
        for name, value in found.items():
            self.close(value, fresh[name], f"{name or 'the term'} after another portrait against a new term")

    def test_changes_nothing_that_it_is_given(self) -> None:
        networks, term = self.networks, self.component
        target = self.target(networks)
        view = self.view(networks, self.latents(networks).requires_grad_(True))
        before = Snapshot(**everything(networks, view, target))
        with untouched_globals():
            parts = self.parts(term.energy(view, target))
        before.check()
        total = torch.stack([part.sum() for part in parts.values()]).sum()
        if total.requires_grad:
            torch.autograd.grad(total, view.latent, allow_unused=True)
        before.check()

    def test_leaves_the_gradients_of_others(self) -> None:
        networks = self.networks
        view = self.view(networks, self.latents(networks).requires_grad_(True))
        self.component.energy(view, self.target(networks))
        assert view.image.requires_grad, "view.image was cut from its gradient, for everybody"
        if "encoder" in self.requires:
            assert view.theta.requires_grad, "view.theta was cut from its gradient, for everybody"

    def test_keeps_nothing_alive(self) -> None:
        networks = self.networks
        view = self.view(networks, self.latents(networks).requires_grad_(True))
        target = self.target(networks)
        parts = self.parts(self.component.energy(view, target))
        kept: dict[str, weakref.ref[Any]] = {
            "the view": weakref.ref(view),
            "the target": weakref.ref(target),
            "G(w)": weakref.ref(view.image),
            **{f"its value {name}".rstrip(): weakref.ref(part) for name, part in parts.items()},
        }
        del view, target, parts  # no cycle holds them, so that their memory is free at once
        alive = [name for name, reference in kept.items() if reference() is not None]
        assert not alive, f"it keeps after the step: {', '.join(alive)}"

    def test_gradient_equals_finite_differences(self) -> None:
        networks = self.networks
        target = self.target(networks)
        self.check_gradient(
            lambda latent: self.parts(self.component.energy(self.view(networks, latent), target)),
            self.latents(networks),
        )

    def test_no_gradient_flows_between_portraits(self) -> None:
        networks = self.networks
        latent = self.latents(networks).requires_grad_(True)
        value = self.parts(self.component.energy(self.view(networks, latent), self.target(networks)))
        first = torch.stack([part[0] for part in value.values()]).sum()
        (gradient,) = torch.autograd.grad(first, latent)
        assert float(gradient[1].abs().max()) == 0.0, "a portrait's energy has a gradient in another's latent"

    def test_finite_wherever_a_run_may_be(self) -> None:
        """At the mean latent, where a run may start; where w shows the portrait exactly; for a uniform portrait."""
        for dtype in (torch.float64, torch.float32):
            suite = self.twin(dtype)
            exact = limited(toy_networks(dtype=dtype, device=self.device), self.requires)
            for name, networks, latent, target in suite.places(exact):
                where = f"in {str(dtype).removeprefix('torch.')} {name}"
                parts = suite.parts(suite.component.energy(suite.view(networks, latent), target))
                for part, value in parts.items():
                    assert torch.isfinite(value).all(), f"{part or 'the value'} is not finite {where}"
                gradient = suite.gradient(networks, latent, target)
                assert torch.isfinite(gradient).all(), f"the gradient is not finite {where}"

    def places(self, exact: Networks) -> list[tuple[str, Networks, Tensor, TargetView]]:
        """Latents and portraits that are special and legal, each in the world it is special in."""
        networks, target = self.networks, self.target(exact)
        shape = (2, networks.generator.num_layers, networks.generator.latent_dim)
        mean = networks.generator.mean_latent().expand(shape).contiguous()
        uniform = TargetView(networks, torch.zeros_like(target.image))
        return [
            ("at the mean latent", networks, mean, self.target(networks)),
            ("where the latent shows the portrait", exact, self.latents(exact, 2, 3), target),
            ("for a uniform portrait", networks, self.latents(networks), uniform),
            ("at the mean latent for a uniform portrait", networks, mean, uniform),
        ]

    def test_float32_agrees_with_float64(self) -> None:
        found = {}
        for dtype in (torch.float64, torch.float32):
            suite = self.twin(dtype)
            networks = suite.networks
            latent, target = self.latents(networks, 3).to(dtype), suite.target(networks, 3)
            parts = suite.parts(suite.component.energy(suite.view(networks, latent), target))
            suite.check_place(parts)
            found[dtype] = {
                **{f"the value {name}".rstrip(): value.detach() for name, value in parts.items()},
                "the gradient": suite.gradient(networks, latent, target),
            }
        exact, single = found[torch.float64], found[torch.float32]
        assert set(exact) == set(single), "the names of the parts change with the precision"
        for name, value in exact.items():
            scale = max(float(value.abs().max()), 1e-6)
            apart = float((single[name].double() - value).abs().max()) / scale
            assert apart <= self.float32_tolerance, (
                f"{name} in float32 differs from that in float64 by {100 * apart:.2g} %"
            )

    def test_zero_at_the_target(self) -> None:
        if not self.zero_at_target:
            self.skip("it need not be 0 at the target")
        networks = limited(toy_networks(dtype=self.dtype, device=self.device), self.requires)
        latent = self.latents(networks, 2, 3)
        found = self.parts(self.component.energy(self.view(networks, latent), self.target(networks)))
        allowed = 1e-9 if self.dtype == torch.float64 else 1e-5
        for name, part in found.items():
            assert float(part.abs().max()) < allowed, (
                f"{name or 'the term'} is {float(part.abs().max()):.2g} where the latent shows the portrait"
            )

    def test_cost(self) -> None:
        networks, whole = self.networks, inexact_world(self.dtype, self.device)
        target, latent, portrait = self.target(networks), self.latents(networks), self.target(whole)
        own = seconds(lambda: self.gradient(networks, latent, target))

        def world() -> None:
            view = LatentView(whole, latent.clone().requires_grad_(True), self.prior(2), BLOCKS)
            everything(whole, view, portrait)
            torch.autograd.grad(torch.stack([view.edited(b).image.sum() for b in BLOCKS]).sum(), view.latent)

        ratio = own / seconds(world, 10)
        self.notes.append(f"{1000 * own:.1f} ms a call, {ratio:.1f} times the toy world's networks")
        self.advise(
            ratio < self.cost_limit, f"a call takes {own:.2f} s, {ratio:.0f} times the toy world's networks"
        )
