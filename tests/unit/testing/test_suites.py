"""The suites of optimizers and starts, and the light runner, see what is wrong."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from pie_framework.api import Networks
from pie_framework.cli.plugins.authoring.outcomes import Status
from pie_framework.cli.plugins.authoring.running import run
from pie_framework.testing.conformance import InitializerTests, OptimizerTests
from pie_framework.testing.suites.base import Suite

State = tuple[Tensor, ...]


class Descent:
    """Gradient descent with momentum, right but for what a subclass changes."""

    def init(self, variable: Tensor) -> State:
        return (torch.zeros_like(variable),)

    def update(
        self, variable: Tensor, gradient: Tensor, state: State, lr: float, step: int
    ) -> tuple[Tensor, State]:
        mean = 0.9 * state[0] + gradient
        return -lr * mean, (mean,)


class Coupled(Descent):
    def update(
        self, variable: Tensor, gradient: Tensor, state: State, lr: float, step: int
    ) -> tuple[Tensor, State]:
        return super().update(variable, gradient / gradient.norm(), state, lr, step)


class Hidden(Descent):
    calls = 0

    def update(
        self, variable: Tensor, gradient: Tensor, state: State, lr: float, step: int
    ) -> tuple[Tensor, State]:
        self.calls += 1
        return super().update(variable, gradient, state, lr / self.calls, step)


class InPlace(Descent):
    def update(
        self, variable: Tensor, gradient: Tensor, state: State, lr: float, step: int
    ) -> tuple[Tensor, State]:
        state[0].mul_(0.9).add_(gradient)
        return -lr * state[0], state


class Scalar(Descent):
    def init(self, variable: Tensor) -> State:
        return (torch.zeros(()),)


class Uphill(Descent):
    def update(
        self, variable: Tensor, gradient: Tensor, state: State, lr: float, step: int
    ) -> tuple[Tensor, State]:
        return super().update(variable, -gradient, state, lr, step)


class Noisy(Descent):
    def update(
        self, variable: Tensor, gradient: Tensor, state: State, lr: float, step: int
    ) -> tuple[Tensor, State]:
        return -lr * (gradient + 0.01 * torch.randn(gradient.shape)), state


class Divides(Descent):
    def update(
        self, variable: Tensor, gradient: Tensor, state: State, lr: float, step: int
    ) -> tuple[Tensor, State]:
        length = gradient.square().mean(dim=(1, 2), keepdim=True).sqrt()
        return -lr * gradient / length, state


def failed(base: type[Suite], make: Callable[[], Any]) -> set[str]:
    """The checks that a component fails."""
    suite = type("Checks", (base,), {"build": lambda self: make()})
    return {outcome.check for outcome in run(suite) if outcome.status is Status.FAIL}


@pytest.mark.parametrize(
    ("optimizer", "check"),
    [
        (Coupled, "rows are independent"),
        (Hidden, "function of what it is given"),
        (Hidden, "goes on from its state"),
        (InPlace, "function of what it is given"),
        (Scalar, "change and state"),
        (Uphill, "lowers a quadratic"),
        (Noisy, "function of what it is given"),
        (Divides, "no gradient no step"),
    ],
)
def test_faulty_optimizers(optimizer: type[Descent], check: str) -> None:
    assert failed(OptimizerTests, Descent) == set()
    assert check in failed(OptimizerTests, optimizer)


def mean(networks: Networks, images: Tensor) -> Tensor:
    generator = networks.generator
    return generator.mean_latent().expand(len(images), generator.num_layers, generator.latent_dim)


STARTS: dict[str, Callable[[Networks, Tensor, torch.Generator], Tensor]] = {
    "gives away nothing of its own": lambda n, i, rng: mean(n, i),
    "follows the random generator given": lambda n, i, rng: mean(n, i) + torch.randn(len(i), 1, 1),
    "each portrait starts for itself": lambda n, i, rng: mean(n, i) + i.mean(),
    "latents": lambda n, i, rng: mean(n, i).mean(dim=1),
}


@pytest.mark.parametrize("check", list(STARTS))
def test_faulty_starts(check: str) -> None:
    class Start:
        def start(self, networks: Networks, images: Tensor, rng: torch.Generator) -> Tensor:
            return STARTS[check](networks, images, rng)

    assert check in failed(InitializerTests, Start)


def test_a_start_that_needs_what_it_does_not_require() -> None:
    class Start:
        def start(self, networks: Networks, images: Tensor, rng: torch.Generator) -> Tensor:
            return networks.need_inverter().invert(images)

    assert "latents" in failed(InitializerTests, Start)


class Told(Suite):
    def build(self) -> None:
        return None

    def test_passes(self) -> None:
        self.notes.append("3 apples")

    def test_fails_without_a_message(self) -> None:
        raise AssertionError

    def test_is_left_out(self) -> None:
        self.skip("there is nothing")

    def test_advises(self) -> None:
        self.advise(False, "eat more apples")

    def test_leaves(self) -> None:
        raise SystemExit(3)

    def test_changes_everything(self) -> None:
        torch.manual_seed(1234)
        torch.set_default_dtype(torch.float64)
        torch.set_grad_enabled(False)
        torch.use_deterministic_algorithms(True)


def test_the_runner_tells_what_became_of_each_check() -> None:
    before = torch.random.get_rng_state()
    found = {outcome.check: (outcome.status, outcome.reason) for outcome in run(Told)}
    assert found == {
        "passes": (Status.PASS, "3 apples"),
        "fails without a message": (Status.FAIL, "raise AssertionError"),
        "is left out": (Status.SKIP, "there is nothing"),
        "advises": (Status.WARN, "eat more apples"),
        "leaves": (Status.FAIL, "SystemExit: 3"),
        "changes everything": (Status.PASS, ""),
    }
    assert torch.equal(torch.random.get_rng_state(), before)
    assert torch.get_default_dtype() == torch.float32
    assert torch.is_grad_enabled()
    assert not torch.are_deterministic_algorithms_enabled()
