from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from pie_framework.api import LatentView, Networks, TargetView
from pie_framework.errors import ConfigError
from pie_framework.objective import Objective, WeightedTerm
from pie_framework.prior import PriorSampler
from pie_framework.problem import Problem
from pie_framework.solver import solve
from pie_framework.stage import Stage
from pie_framework.state import Ending
from pie_framework.testing.toys import toy_networks
from pie_optimizers.adam import Adam


class Pixels:
    def energy(self, view: LatentView, target: TargetView) -> Tensor:
        return (view.image - target.image).square().sum(dim=(1, 2, 3))


class Exploding:
    """Finite for a few evaluations, then NaN."""

    def __init__(self, after: int) -> None:
        self.left = after

    def energy(self, view: LatentView, target: TargetView) -> Tensor:
        self.left -= 1
        value = view.latent.square().sum(dim=(1, 2))
        return value if self.left >= 0 else value * math.nan


def problem(networks: Networks, image: Tensor, stages: tuple[Stage, ...], **kwargs: object) -> Problem:
    objective = Objective({"pixels": WeightedTerm(Pixels())})
    return replace(
        Problem(networks, TargetView(networks, image), objective, stages, Adam()),
        **kwargs,  # type: ignore[arg-type]
    )


STAGES = (Stage("w", "w", 60, 0.1, cosine=True), Stage("w_plus", "w_plus", 40, 0.05, cosine=True))


def start(networks: Networks, batch: int) -> Tensor:
    g = networks.generator
    return g.mean_latent().expand(batch, g.num_layers, g.latent_dim)


def test_finds_the_latent_of_a_known_image() -> None:
    networks = toy_networks()
    truth = networks.generator.sample(1, torch.Generator().manual_seed(3)) * 0.3
    image = networks.generator.synthesize(truth)
    p = problem(networks, image, STAGES)
    solution = solve(p, p.start(start(networks, 1)))
    assert solution.ending is Ending.FINISHED
    assert solution.history.rows[-1].total[0] < 1e-4 * solution.history.rows[0].total[0]
    assert len(solution.history.rows) == 100
    assert solution.latent.shape == truth.shape


def test_a_batch_is_solved_as_one_by_one() -> None:
    networks = toy_networks(dtype=torch.float64)
    truth = networks.generator.sample(3, torch.Generator().manual_seed(4))
    images = networks.generator.synthesize(truth)
    sampler = PriorSampler(networks, seed=1, pool=4)
    together = problem(networks, images, STAGES, draw=sampler.draw, blocks=("rotation",))
    all_at_once = solve(together, together.start(start(networks, 3).double())).latent
    for i in range(3):
        alone = problem(networks, images[i : i + 1], STAGES, draw=sampler.draw, blocks=("rotation",))
        one = solve(alone, alone.start(start(networks, 1).double())).latent
        torch.testing.assert_close(one[0], all_at_once[i], rtol=1e-9, atol=1e-9)


def test_w_stage_keeps_layers_equal_and_w_plus_stage_frees_them() -> None:
    networks = toy_networks()
    image = networks.generator.synthesize(networks.generator.sample(1, torch.Generator().manual_seed(3)))
    w_only = problem(networks, image, STAGES[:1])
    latent = solve(w_only, w_only.start(start(networks, 1))).latent
    assert (latent == latent[:, :1]).all()

    class Tilted(Pixels):
        def energy(self, view: LatentView, target: TargetView) -> Tensor:
            return view.latent[:, 0].square().sum(dim=1) + super().energy(view, target)

    both = problem(networks, image, STAGES, objective=Objective({"tilted": WeightedTerm(Tilted())}))
    latent = solve(both, both.start(start(networks, 1))).latent
    assert not torch.allclose(latent[:, 0], latent[:, 1])


@pytest.mark.parametrize("at", [0, 7, 60, 75])
def test_resuming_from_any_step_is_exact(at: int) -> None:
    networks = toy_networks()
    image = networks.generator.synthesize(networks.generator.sample(1, torch.Generator().manual_seed(3)))
    p = problem(networks, image, STAGES)
    whole = solve(p, p.start(start(networks, 1))).latent
    state = p.start(start(networks, 1))
    while state.total_steps < at:
        state, _ = p.step(state)
        if state.step == p.stages[state.stage].steps and (following := p.next_stage(state)) is not None:
            state = following
    assert torch.equal(solve(p, state).latent, whole)


def test_a_non_finite_energy_is_named_and_the_last_finite_latent_kept() -> None:
    networks = toy_networks()
    image = networks.generator.synthesize(networks.generator.sample(1, torch.Generator().manual_seed(3)))
    terms = {"pixels": WeightedTerm(Pixels()), "exploding": WeightedTerm(Exploding(5), weight=1e-3)}
    p = problem(networks, image, STAGES, objective=Objective(terms))
    solution = solve(p, p.start(start(networks, 1)))
    assert solution.ending is Ending.NON_FINITE
    assert "'exploding'" in solution.message
    assert "step 6" in solution.message
    assert solution.latent.isfinite().all()
    assert not torch.equal(solution.latent, start(networks, 1))


def test_an_interrupt_keeps_the_latent_so_far() -> None:
    networks = toy_networks()
    image = networks.generator.synthesize(networks.generator.sample(1, torch.Generator().manual_seed(3)))

    class Interrupting(Pixels):
        calls = 0

        def energy(self, view: LatentView, target: TargetView) -> Tensor:
            self.calls += 1
            if self.calls == 9:
                raise KeyboardInterrupt
            return super().energy(view, target)

    p = problem(networks, image, STAGES, objective=Objective({"x": WeightedTerm(Interrupting())}))
    solution = solve(p, p.start(start(networks, 1)))
    assert solution.ending is Ending.INTERRUPTED
    assert solution.state.total_steps == 8
    assert len(solution.history.rows) == 8


def test_should_stop_is_asked_at_each_check() -> None:
    networks = toy_networks()
    image = networks.generator.synthesize(networks.generator.sample(1, torch.Generator().manual_seed(3)))
    p = problem(networks, image, STAGES)
    solution = solve(p, p.start(start(networks, 1)), check_every=5, should_stop=lambda: True)
    assert solution.ending is Ending.INTERRUPTED
    assert solution.state.total_steps == 5


def test_converges_when_the_energy_settles() -> None:
    networks = toy_networks()
    image = networks.generator.synthesize(networks.generator.sample(1, torch.Generator().manual_seed(3)))
    stage = Stage("w", "w", 5000, 0.05, tolerance=1e-3, window=20)
    p = problem(networks, image, (stage,))
    solution = solve(p, p.start(start(networks, 1)))
    assert solution.ending is Ending.CONVERGED
    assert solution.state.total_steps < 5000


def test_blocks_take_turns() -> None:
    networks = toy_networks()
    image = networks.generator.synthesize(networks.generator.sample(1, torch.Generator().manual_seed(3)))
    blocks = ("rotation", "expression", "illumination")
    p = problem(networks, image, STAGES, blocks=blocks, blocks_per_step=1)
    assert [p.blocks_at(i) for i in range(4)] == [
        ("rotation",),
        ("expression",),
        ("illumination",),
        ("rotation",),
    ]
    assert replace(p, blocks_per_step=2).blocks_at(1) == ("illumination", "rotation")
    assert replace(p, blocks_per_step=0).blocks_at(5) == blocks


def test_lr_schedules() -> None:
    assert Stage("w", "w", 3000, 50.0, decay=0.1).lr_at(2000) == pytest.approx(5.0)
    cosine = Stage("w", "w", 100, 2.0, cosine=True)
    assert cosine.lr_at(0) == 2.0
    assert cosine.lr_at(50) == pytest.approx(1.0)
    with pytest.raises(ConfigError, match="w_plus"):
        Stage("x", "z", 1, 1.0)
