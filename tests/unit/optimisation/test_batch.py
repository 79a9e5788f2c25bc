"""A portrait in a batch behaves as if it were alone: it settles, fails and stops for itself."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from pie_framework.api import LatentView, Networks, TargetView
from pie_framework.optimisation.objective import Objective, WeightedTerm
from pie_framework.optimisation.prior import PriorSampler
from pie_framework.optimisation.problem import Problem
from pie_framework.optimisation.schedule import Stage
from pie_framework.optimisation.solver import Solution, solve
from pie_framework.optimisation.state import Termination
from pie_framework.testing.toys import toy_networks
from pie_optimizers.adam import Adam

BLOCKS = ("rotation", "expression")
#: Rounding of float32 sums in another batch, over some hundred steps of Adam.
ROUNDING = {"rtol": 1e-3, "atol": 1e-4}


class Pixels:
    """Squared differences, and a push of the image towards the v of the step, so that v matters."""

    def energy(self, view: LatentView, target: TargetView) -> Tensor:
        own = (view.image - target.image).square().sum(dim=(1, 2, 3))
        drawn = (view.theta - view.prior.theta.mean(dim=0)).square().mean(dim=1)
        return own + 0.01 * drawn


class NanFor(Pixels):
    """Not finite for portraits whose target is bright, once they come near it."""

    def energy(self, view: LatentView, target: TargetView) -> Tensor:
        value = super().energy(view, target)
        bad = (target.image.mean(dim=(1, 2, 3)) > 5) & (value.detach() < 1e6)
        return value * torch.where(bad, math.nan, 1.0)


class RaisingFor(Pixels):
    """Raises when a bright portrait is in the batch."""

    def energy(self, view: LatentView, target: TargetView) -> Tensor:
        if bool((target.image.mean(dim=(1, 2, 3)) > 5).any()):
            raise ArithmeticError("too bright")
        return super().energy(view, target)


def portraits(networks: Networks, count: int = 3) -> Tensor:
    latent = networks.generator.sample(count, torch.Generator().manual_seed(4))
    return networks.generator.synthesize(latent)


def run(networks: Networks, images: Tensor, term: Any, stages: tuple[Stage, ...], **changes: Any) -> Solution:
    sampler = PriorSampler(networks, seed=1, per_step=1, pool=5)
    problem = Problem(
        networks,
        TargetView(networks, images),
        Objective({"pixels": WeightedTerm(term)}),
        stages,
        Adam(),
        BLOCKS,
        blocks_per_step=1,
        draw=sampler.draw,
    )
    g = networks.generator
    start = g.mean_latent().expand(len(images), g.num_layers, g.latent_dim)
    return solve(replace(problem, **changes), problem.start(start), check_every=10)


STAGES = (Stage("w", "w", 60, 0.1), Stage("w_plus", "w_plus", 60, 0.05, cosine=True))


def test_a_nan_portrait_leaves_the_others_as_they_would_be_alone() -> None:
    networks = toy_networks()
    images = portraits(networks)
    images[1] = 9.0
    together = run(networks, images, NanFor(), STAGES)
    assert together.ending is Termination.NON_FINITE
    assert [p.ending for p in together.portraits] == [
        Termination.FINISHED,
        Termination.NON_FINITE,
        Termination.FINISHED,
    ]
    assert "of 3 portraits 1 non-finite, 2 finished; portrait 1: " in together.message
    for row in range(3):
        alone = run(networks, images[row : row + 1], NanFor(), STAGES)
        assert alone.portraits[0].ending is together.portraits[row].ending
        assert alone.portraits[0].message == together.portraits[row].message
        torch.testing.assert_close(alone.latent[0], together.latent[row], **ROUNDING)
    last = together.history.rows[-1]
    assert last.portraits == (0, 2)
    assert len(last.total) == len(last.raw["pixels"]) == 2


class NanLater(Pixels):
    """Not finite for bright portraits from the first step on, for dark ones from the 15th."""

    calls = 0

    def energy(self, view: LatentView, target: TargetView) -> Tensor:
        self.calls += 1
        level = target.image.mean(dim=(1, 2, 3))
        bad = (level > 5) | ((level < -5) & (self.calls >= 15))
        return super().energy(view, target) * torch.where(bad, math.nan, 1.0)


def test_portraits_that_end_one_after_another_leave_the_last_as_it_would_be_alone() -> None:
    networks = toy_networks()
    images = portraits(networks)
    images[0], images[1] = -9.0, 9.0
    together = run(networks, images, NanLater(), STAGES)
    assert [p.ending for p in together.portraits] == [
        Termination.NON_FINITE,
        Termination.NON_FINITE,
        Termination.FINISHED,
    ]
    taken = [rows for rows, _ in itertools.groupby(row.portraits for row in together.history.rows)]
    assert taken == [(0, 1, 2), (0, 2), (2,)]
    alone = run(networks, images[2:], NanLater(), STAGES)
    torch.testing.assert_close(alone.latent[0], together.latent[2], **ROUNDING)


def test_a_portrait_that_raises_is_found_and_the_others_go_on() -> None:
    networks = toy_networks()
    images = portraits(networks)
    images[2] = 9.0
    together = run(networks, images, RaisingFor(), STAGES)
    assert [p.ending for p in together.portraits] == [
        Termination.FINISHED,
        Termination.FINISHED,
        Termination.FAILED,
    ]
    assert "the energy term 'pixels' failed: ArithmeticError: too bright" in together.portraits[2].message
    assert "at step 1 of stage 'w'" in together.portraits[2].message
    assert isinstance(together.error, Exception)
    for row in range(2):
        alone = run(networks, images[row : row + 1], RaisingFor(), STAGES)
        torch.testing.assert_close(alone.latent[0], together.latent[row], **ROUNDING)


def test_what_fails_only_together_fails_for_all() -> None:
    class Lonely(Pixels):
        def energy(self, view: LatentView, target: TargetView) -> Tensor:
            if view.batch > 1:
                raise ValueError("one at a time")
            return super().energy(view, target)

    networks = toy_networks()
    solution = run(networks, portraits(networks), Lonely(), STAGES)
    assert [p.ending for p in solution.portraits] == [Termination.FAILED] * 3
    assert solution.message.count("one at a time") == 1


def test_each_portrait_settles_for_itself_and_waits_for_the_next_stage() -> None:
    networks = toy_networks()
    images = portraits(networks)
    images[0] = networks.generator.synthesize(
        networks.generator.sample(1, torch.Generator().manual_seed(9)) * 0
    )
    stages = (
        Stage("w", "w", 400, 0.05, tolerance=1e-2, window=10),
        Stage("w_plus", "w_plus", 30, 0.02),
    )
    together = run(networks, images, Pixels(), stages)
    taken = [sum(r.stage == "w" and i in r.portraits for r in together.history.rows) for i in range(3)]
    assert taken[0] < min(taken[1:]), "the portrait that starts at its answer settles first"
    assert max(taken) < 400
    for row in range(3):
        alone = run(networks, images[row : row + 1], Pixels(), stages)
        assert len(alone.history.totals("w", 0)) == taken[row]
        torch.testing.assert_close(alone.latent[0], together.latent[row], **ROUNDING)


def test_those_that_are_done_are_left_out_of_the_batch() -> None:
    sizes: list[int] = []

    class Counting(NanFor):
        def energy(self, view: LatentView, target: TargetView) -> Tensor:
            sizes.append(view.batch)
            assert len(target.image) == view.batch
            return super().energy(view, target)

    networks = toy_networks()
    images = portraits(networks)
    images[1] = 9.0
    run(networks, images, Counting(), STAGES)
    assert sizes[:10] == [3] * 10
    assert sizes[10:] == [2] * (len(sizes) - 10)
    assert len(sizes) == 120


def test_given_landmarks_follow_their_portraits() -> None:
    networks = toy_networks()
    images = portraits(networks)
    given = torch.arange(36.0).reshape(3, 6, 2)
    target = TargetView(networks, images, given)
    given += 100
    assert torch.equal(target.take([2, 0]).landmarks, (given - 100)[[2, 0]])
    assert torch.equal(target.take([2, 0]).image, images[[2, 0]])
    networks_alone: Any = toy_networks()
    found = TargetView(networks_alone, images)
    torch.testing.assert_close(found.take([1]).landmarks, found.landmarks[1:2])
    assert networks_alone.landmarks.calls == 2


@pytest.mark.parametrize("kind", [Termination.FINISHED, Termination.INTERRUPTED])
def test_a_batch_that_ends_alike_says_it_once(kind: Termination) -> None:
    networks = toy_networks()
    images = portraits(networks)
    sampler = PriorSampler(networks, seed=1, per_step=1, pool=5)
    problem = Problem(
        networks,
        TargetView(networks, images),
        Objective({"pixels": WeightedTerm(Pixels())}),
        STAGES[:1],
        Adam(),
        draw=sampler.draw,
    )
    g = networks.generator
    state = problem.start(g.mean_latent().expand(3, g.num_layers, g.latent_dim))
    solution = solve(problem, state, should_stop=lambda: kind is Termination.INTERRUPTED)
    assert solution.ending is kind
    assert "portrait" not in solution.message
