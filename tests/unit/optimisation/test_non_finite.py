"""What is not finite ends a run by name: energies, gradients, steps; and a run in which nothing moved says so."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from pie_framework.api import LatentView, Networks, TargetView
from pie_framework.optimisation.objective import Objective, WeightedTerm
from pie_framework.optimisation.problem import Problem
from pie_framework.optimisation.schedule import Stage
from pie_framework.optimisation.solver import Solution, solve
from pie_framework.optimisation.state import Termination
from pie_framework.testing.toys import toy_networks
from pie_optimizers.adam import Adam

STAGES = (Stage("w", "w", 40, 0.1), Stage("w_plus", "w_plus", 20, 0.05))


class Pixels:
    def energy(self, view: LatentView, target: TargetView) -> Tensor:
        return (view.image - target.image).square().sum(dim=(1, 2, 3))


class RootAtZero:
    """Finite everywhere, with an infinite slope at 0, where 0 times it is NaN."""

    def energy(self, view: LatentView, target: TargetView) -> Tensor:
        return (0 * view.latent).square().sum(dim=(1, 2)).sqrt()


class NanGradientAt:
    """A gradient that is NaN once, and a finite value always."""

    def __init__(self, call: int) -> None:
        self.left = call

    def energy(self, view: LatentView, target: TargetView) -> Tensor:
        self.left -= 1
        value = view.latent.square().sum(dim=(1, 2))
        if self.left == 0:
            value = value + (0 * view.latent).square().sum(dim=(1, 2)).sqrt()
        return value


def solved(terms: dict[str, Any], stages: tuple[Stage, ...] = STAGES, **changes: Any) -> Solution:
    networks: Networks = toy_networks()
    image = networks.generator.synthesize(networks.generator.sample(1, torch.Generator().manual_seed(3)))
    objective = changes.pop("objective", None) or Objective(
        {name: WeightedTerm(term) for name, term in terms.items()}
    )
    problem = replace(Problem(networks, TargetView(networks, image), objective, stages, Adam()), **changes)
    g = networks.generator
    return solve(problem, problem.start(g.mean_latent().expand(1, g.num_layers, g.latent_dim)))


def test_a_gradient_that_is_not_finite_ends_the_run_and_names_its_term() -> None:
    solution = solved({"pixels": Pixels(), "root": RootAtZero()})
    assert solution.ending is Termination.NON_FINITE
    assert "the gradient of the energy term 'root' is not finite at step 1 of stage 'w'" in solution.message
    assert "(10 steps undone)" in solution.message
    assert solution.state.undone.tolist() == [10]
    assert solution.latent.abs().max() == 0
    assert solution.state.total_steps == 10, "it is noticed at the first check"


class Slope:
    """0 everywhere, with a gradient of that size."""

    def __init__(self, size: float) -> None:
        self.size = size

    def energy(self, view: LatentView, target: TargetView) -> Tensor:
        return self.size * (view.latent - view.latent.detach()).sum(dim=(1, 2))


class Parts:
    def energy(self, view: LatentView, target: TargetView) -> dict[str, Tensor]:
        root = RootAtZero().energy(view, target)
        return {"measured": root, "fine": root.detach() + view.latent.sum(dim=(1, 2)), "root": root}


def test_the_term_is_found_by_its_weighted_gradient() -> None:
    terms = {"pixels": WeightedTerm(Pixels()), "steep": WeightedTerm(Slope(1e20), 1e30)}
    solution = solved({}, objective=Objective(terms))
    assert "the gradient of the energy term 'steep' is not finite" in solution.message
    parts = Objective({"odd": WeightedTerm(Parts(), parts={"measured": 0.0})})
    assert "the gradient of the energy term 'odd.root' is not finite" in solved({}, objective=parts).message


class NanFor:
    """A gradient that is NaN where the step is about one block."""

    def energy(self, view: LatentView, target: TargetView) -> Tensor:
        value = view.latent.square().sum(dim=(1, 2))
        return value + RootAtZero().energy(view, target) if view.blocks == ("expression",) else value


def test_the_term_is_asked_again_at_the_step_where_it_was() -> None:
    blocks = ("rotation", "expression", "illumination")
    solution = solved({"picky": NanFor()}, blocks=blocks, blocks_per_step=1)
    assert "the energy term 'picky' is not finite at step 2 of stage 'w'" in solution.message
    assert "(9 steps undone)" in solution.message


class OnlyTwice(NanGradientAt):
    def energy(self, view: LatentView, target: TargetView) -> Tensor:
        if self.left < -4:
            raise ArithmeticError("never again")
        return super().energy(view, target)


def test_a_term_that_fails_when_asked_again_is_told_as_that() -> None:
    solution = solved({"odd": OnlyTwice(5)})
    assert solution.ending is Termination.NON_FINITE
    assert "(it fails when asked again: " in solution.message and "never again)" in solution.message


def test_one_step_is_undone() -> None:
    message = solved({"root": RootAtZero()}, (replace(STAGES[0], steps=1),)).message
    assert "(1 step undone)" in message


def test_one_nan_gradient_is_enough_and_the_latent_before_it_is_kept() -> None:
    whole = solved({"pixels": Pixels()}, (replace(STAGES[0], steps=6),))
    once = NanGradientAt(7)
    solution = solved({"pixels": Pixels(), "once": once})
    assert solution.ending is Termination.NON_FINITE
    assert "at step 7 of stage 'w'" in solution.message
    assert solution.state.undone.tolist() == [4]
    assert solution.latent.isfinite().all()
    assert solution.latent.abs().max() > 0
    assert whole.latent.shape == solution.latent.shape


def test_a_gradient_that_only_the_sum_lacks_is_told_as_that() -> None:
    class Huge:
        """Its gradient is finite, twice it is not."""

        def energy(self, view: LatentView, target: TargetView) -> Tensor:
            return 2e38 * view.latent.sum(dim=(1, 2))

    solution = solved({"one": Huge(), "other": Huge()}, stages=(Stage("p", "w_plus", 20, 1e-3),))
    assert solution.ending is Termination.NON_FINITE
    assert "the gradient of E(w), of no term alone, is not finite at step 1" in solution.message


def test_an_energy_that_overflows_only_in_the_sum_is_the_total() -> None:
    class Large:
        def energy(self, view: LatentView, target: TargetView) -> Tensor:
            return 3e38 + view.latent.sum(dim=(1, 2))

    solution = solved({"one": Large(), "other": Large()})
    assert "the energy term 'total' is not finite at step 1" in solution.message


def test_a_step_that_is_not_finite_names_the_optimizer() -> None:
    class Leaping(Adam):
        def update(self, variable: Any, gradient: Any, state: Any, lr: float, step: int) -> Any:
            change, state = super().update(variable, gradient, state, lr, step)
            return (change * math.inf if step == 3 else change), state

    solution = solved({"pixels": Pixels()}, optimizer=Leaping(), optimizer_origin="the optimizer 'leaping'")
    assert solution.ending is Termination.NON_FINITE
    assert "the step of the optimizer 'leaping' is not finite at step 3 of stage 'w'" in solution.message
    assert solution.state.undone.tolist() == [8]
    assert all(value.isfinite().all() for value in solution.state.optimizer)


def test_a_run_in_which_nothing_moved_is_not_finished() -> None:
    class Flat:
        def energy(self, view: LatentView, target: TargetView) -> Tensor:
            return 0 * view.latent.sum(dim=(1, 2))

    solution = solved({"flat": Flat()})
    assert solution.ending is Termination.STALLED
    assert "none of the 60 steps moved the latent" in solution.message
    assert solved({"flat": Flat(), "pixels": Pixels()}).ending is Termination.FINISHED
    none = solved({"pixels": Pixels()}, (replace(STAGES[0], steps=0),))
    assert none.ending is Termination.FINISHED
    assert "no step was asked for" in none.message


class Along:
    """Every coordinate the same way."""

    def __init__(self, sign: float) -> None:
        self.sign = sign

    def init(self, variable: Tensor) -> tuple[Tensor, ...]:
        return ()

    def update(
        self, variable: Tensor, gradient: Tensor, state: tuple[Tensor, ...], lr: float, step: int
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        return torch.full_like(variable, self.sign * lr), ()


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_moving_one_way_is_moving(sign: float) -> None:
    solution = solved({"pixels": Pixels()}, (replace(STAGES[0], steps=1),), optimizer=Along(sign))
    assert solution.ending is Termination.FINISHED
    assert solution.state.moved.tolist() == [True]


def test_moving_in_the_first_stage_alone_is_moving() -> None:
    class FirstOnly:
        def energy(self, view: LatentView, target: TargetView) -> Tensor:
            return view.latent.sum(dim=(1, 2))

    networks = toy_networks()
    image = networks.generator.synthesize(networks.generator.sample(1, torch.Generator().manual_seed(3)))
    terms = {
        "first": WeightedTerm(FirstOnly(), {"w": 1.0}),
        "flat": WeightedTerm(Pixels(), {"w_plus": 1e-30}),
    }
    problem = Problem(networks, TargetView(networks, image), Objective(terms), STAGES, Adam())
    g = networks.generator
    solution = solve(problem, problem.start(g.mean_latent().expand(1, g.num_layers, g.latent_dim)))
    assert solution.ending is Termination.FINISHED


def test_what_does_not_depend_on_the_latent_is_said() -> None:
    class Detached:
        def energy(self, view: LatentView, target: TargetView) -> Tensor:
            return view.image.detach().square().sum(dim=(1, 2, 3))

    class Elsewhere:
        weight = torch.ones(1, requires_grad=True)

        def energy(self, view: LatentView, target: TargetView) -> Tensor:
            return view.image.detach().mean(dim=(1, 2, 3)) * self.weight

    for term in (Detached(), Elsewhere()):
        solution = solved({"lone": term})
        assert solution.ending is Termination.FAILED
        assert "does not depend on the latent: no gradient comes from 'lone'" in solution.message


@pytest.mark.parametrize(
    "fault", [RuntimeError("no way back"), KeyError("no way back"), SystemExit("no way back")]
)
def test_a_gradient_that_cannot_be_computed_names_its_term(fault: BaseException) -> None:
    class Broken(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Tensor) -> Tensor:
            return x.clone()

        @staticmethod
        def backward(ctx: Any, *grads: Tensor) -> Any:
            raise fault

    class OneWay:
        def energy(self, view: LatentView, target: TargetView) -> Tensor:
            through: Tensor = Broken.apply(view.latent)  # type: ignore[no-untyped-call]
            return through.square().sum(dim=(1, 2))

    terms = {"pixels": WeightedTerm(Pixels()), "one_way": WeightedTerm(OneWay(), origin="odd-dist 1.0")}
    solution = solved({}, objective=Objective(terms))
    assert solution.ending is Termination.FAILED
    said = "the gradient of the energy term 'one_way' of odd-dist 1.0 cannot be computed"
    assert said in solution.message
    assert "no way back" in solution.message
