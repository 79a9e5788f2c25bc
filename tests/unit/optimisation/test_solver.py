from __future__ import annotations

import math
import re
import time
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from pie_framework.api import LatentView, Networks, PriorDraw, TargetView
from pie_framework.errors import ConfigError
from pie_framework.optimisation.history import History
from pie_framework.optimisation.objective import Objective, WeightedTerm
from pie_framework.optimisation.prior import PriorSampler
from pie_framework.optimisation.problem import Problem
from pie_framework.optimisation.schedule import Stage
from pie_framework.optimisation.solver import solve
from pie_framework.optimisation.state import SolverState, Termination
from pie_framework.testing.toys import toy_networks
from pie_optimizers.adam import Adam
from pie_optimizers.settings import TorchConfig
from pie_optimizers.torch_optim import TorchOptim


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
    assert solution.ending is Termination.FINISHED
    assert solution.history.rows[-1].total[0] < 1e-4 * solution.history.rows[0].total[0]
    assert len(solution.history.rows) == 100
    assert solution.latent.shape == truth.shape


def test_a_batch_is_solved_as_one_by_one() -> None:
    networks = toy_networks(dtype=torch.float64)
    truth = networks.generator.sample(3, torch.Generator().manual_seed(4))
    images = networks.generator.synthesize(truth)
    sampler = PriorSampler(networks, seed=1, per_step=1, pool=4)
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
    assert solution.ending is Termination.NON_FINITE
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
    assert solution.ending is Termination.INTERRUPTED
    assert solution.message == "interrupted after 8 steps; the latent so far was kept"
    assert [portrait.ending for portrait in solution.portraits] == [Termination.INTERRUPTED]
    assert solution.state.total_steps == 8
    assert len(solution.history.rows) == 8


def test_should_stop_is_asked_at_each_check() -> None:
    networks = toy_networks()
    image = networks.generator.synthesize(networks.generator.sample(1, torch.Generator().manual_seed(3)))
    p = problem(networks, image, STAGES)
    solution = solve(p, p.start(start(networks, 1)), check_every=5, should_stop=lambda: True)
    assert solution.ending is Termination.INTERRUPTED
    assert solution.message == "stopped on request after 5 steps"
    assert [portrait.ending for portrait in solution.portraits] == [Termination.INTERRUPTED]
    assert solution.state.total_steps == 5


def test_converges_when_the_energy_settles() -> None:
    networks = toy_networks()
    image = networks.generator.synthesize(networks.generator.sample(1, torch.Generator().manual_seed(3)))
    stage = Stage("w", "w", 5000, 0.05, tolerance=1e-3, window=20)
    p = problem(networks, image, (stage,))
    solution = solve(p, p.start(start(networks, 1)))
    assert solution.ending is Termination.CONVERGED
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
    for every in (0, 3, 4):
        assert replace(p, blocks_per_step=every).blocks_at(5) == blocks
    assert Problem(networks, p.target, p.objective, STAGES, Adam(), blocks).blocks_at(5) == blocks


def test_lr_schedules() -> None:
    assert Stage("w", "w", 3000, 50.0, decay=0.1).lr_at(2000) == pytest.approx(5.0)
    cosine = Stage("w", "w", 100, 2.0, cosine=True)
    assert cosine.lr_at(0) == 2.0
    assert cosine.lr_at(50) == pytest.approx(1.0)


class Recording(Adam):
    """Remembers the step sizes and numbers it is given."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[tuple[float, int]] = []

    def update(self, variable: Tensor, gradient: Tensor, state: Any, lr: float, step: int) -> Any:
        self.asked.append((lr, step))
        return super().update(variable, gradient, state, lr, step)


def toy_image(networks: Networks, batch: int = 1) -> Tensor:
    return networks.generator.synthesize(networks.generator.sample(batch, torch.Generator().manual_seed(3)))


def test_the_step_size_and_its_count_restart_in_w_plus() -> None:
    networks = toy_networks()
    optimizer = Recording()
    stages = (
        Stage("w", "w", 3, 0.4, decay=0.1, decay_every=2),
        Stage("w_plus", "w_plus", 3, 0.2, cosine=True),
    )
    p = problem(networks, toy_image(networks), stages, optimizer=optimizer)
    solve(p, p.start(start(networks, 1)))
    sizes, counts = zip(*optimizer.asked, strict=True)
    assert counts == (1, 2, 3, 1, 2, 3)
    assert sizes[:3] == pytest.approx([0.4, 0.4 * 0.1**0.5, 0.04])
    assert sizes[3:] == pytest.approx([0.2, 0.15, 0.05])


def test_decay_is_smooth() -> None:
    stage = Stage("w", "w", 10, 1.0, decay=0.25, decay_every=2)
    assert [stage.lr_at(i) for i in range(5)] == pytest.approx([1, 0.5, 0.25, 0.125, 0.0625])


def test_a_w_stage_starts_at_the_mean_over_the_layers_and_w_plus_where_w_ended() -> None:
    networks = toy_networks()
    g = networks.generator
    latent = torch.randn(2, g.num_layers, g.latent_dim, generator=torch.Generator().manual_seed(1))
    p = problem(networks, toy_image(networks, 2), STAGES)
    state = p.start(latent)
    assert state.variable.shape == (2, 1, g.latent_dim)
    torch.testing.assert_close(state.variable[:, 0], latent.mean(dim=1))
    following = p.next_stage(state)
    assert following is not None
    assert torch.equal(following.variable, state.variable.expand(-1, g.num_layers, -1))
    assert p.next_stage(following) is None
    plus = problem(networks, toy_image(networks, 2), STAGES[1:]).start(latent)
    assert torch.equal(plus.variable, latent)
    assert plus.variable.data_ptr() != latent.data_ptr()


def test_v_and_blocks_follow_the_plan_also_after_a_stage_that_ended_early() -> None:
    networks = toy_networks()
    numbers: list[int] = []
    sampler = PriorSampler(networks, seed=1, per_step=1, pool=4)

    def draw(number: int) -> PriorDraw:
        numbers.append(number)
        return sampler.draw(number)

    stages = (
        Stage("w", "w", 400, 0.05, tolerance=0.5, window=5),
        Stage("w_plus", "w_plus", 3, 0.05),
    )
    p = problem(networks, toy_image(networks), stages, draw=draw, blocks=("rotation", "expression"))
    solution = solve(p, p.start(start(networks, 1)))
    early = len([row for row in solution.history.rows if row.stage == "w"])
    assert early < 400
    assert numbers == [*range(early), 400, 401, 402]
    assert solution.state.total_steps == early + 3


def test_energies_are_read_at_each_check_and_at_the_end_of_a_stage() -> None:
    networks = toy_networks()
    seen: list[tuple[int, int]] = []

    def check(state: SolverState, history: History) -> None:
        seen.append((state.total_steps, len(history.rows)))

    p = problem(networks, toy_image(networks), (Stage("w", "w", 25, 0.1), Stage("p", "w_plus", 10, 0.1)))
    solve(p, p.start(start(networks, 1)), check_every=10, on_check=check)
    assert seen == [(10, 10), (20, 20), (25, 25), (35, 35)]


def test_the_energy_settles_by_the_tolerance() -> None:
    networks = toy_networks()
    image = toy_image(networks)
    taken = []
    for tolerance in (0.9, 1e-3):
        stage = Stage("w", "w", 5000, 0.05, tolerance=tolerance, window=20)
        p = problem(networks, image, (stage,))
        solution = solve(p, p.start(start(networks, 1)))
        totals = solution.history.totals("w", 0)
        now, before = sum(totals[-20:]), sum(totals[-40:-20])
        assert before - now < tolerance * before
        if len(totals) >= 50:
            earlier, much_earlier = sum(totals[-30:-10]), sum(totals[-50:-30])
            assert much_earlier - earlier >= tolerance * much_earlier, "it would have settled a check before"
        taken.append(len(totals))
    assert 40 <= taken[0] < taken[1]
    assert taken[1] >= 50


class Level:
    """1 everywhere, and yet with a gradient."""

    def energy(self, view: LatentView, target: TargetView) -> Tensor:
        return 1 + (view.latent - view.latent.detach()).sum(dim=(1, 2))


def test_two_windows_of_steps_are_enough_to_settle() -> None:
    networks = toy_networks()
    p = problem(networks, toy_image(networks), (Stage("w", "w", 100, 0.01, tolerance=0.1, window=5),))
    p = replace(p, objective=Objective({"level": WeightedTerm(Level())}))
    before = time.perf_counter()
    solution = solve(p, p.start(start(networks, 1)), check_every=1)
    assert solution.state.total_steps == 10 and solution.ending is Termination.CONVERGED
    assert 0 < solution.seconds <= time.perf_counter() - before


def test_a_run_is_converged_only_when_every_stage_settled() -> None:
    networks = toy_networks()
    image = toy_image(networks)
    settles, limited = Stage("a", "w", 5000, 0.05, tolerance=1e-2, window=10), Stage("b", "w_plus", 7, 0.01)
    endings = {}
    for stages in ((settles, limited), (limited, settles), (settles, replace(settles, name="c"))):
        p = problem(networks, image, stages)
        endings[tuple(s.name for s in stages)] = solve(p, p.start(start(networks, 1))).ending
    assert endings == {
        ("a", "b"): Termination.FINISHED,
        ("b", "a"): Termination.FINISHED,
        ("a", "c"): Termination.CONVERGED,
    }


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (lambda change, state: (change[:, :, :3], state), r"gave a change \(1, 1, 3\), not \(1, 1, 44\)"),
        (lambda change, state: (torch.cat([change, change]), state), r"gave a change \(2, 1, 44\)"),
        (lambda change, state: (0.5, state), "gave a change float"),
        (lambda change, state: (change, list(state)), "not the tuple of tensors"),
        (lambda change, state: (change, state[:1]), r"not the tuple of tensors \(1, \.\.\.\) it had"),
        (lambda change, state: (change, (*state, state[0])), "not the tuple of tensors"),
        (lambda change, state: (change, (*state[:1], torch.zeros(()))), "not the tuple of tensors"),
        (lambda change, state: 1 / 0, r"failed in update\(\): ZeroDivisionError"),
    ],
)
def test_what_an_optimizer_does_wrong_names_it(wrong: Any, said: str) -> None:
    class Odd(Adam):
        def update(self, variable: Tensor, gradient: Tensor, state: Any, lr: float, step: int) -> Any:
            return wrong(*super().update(variable, gradient, state, lr, step))

    networks = toy_networks()
    origin = "the optimizer 'odd' of odd-dist 1.0"
    p = problem(networks, toy_image(networks), STAGES, optimizer=Odd(), optimizer_origin=origin)
    solution = solve(p, p.start(start(networks, 1)))
    assert solution.ending is Termination.FAILED
    assert re.search(f"^{origin} .*{said}.*at step 1 of stage 'w'", solution.message)


def test_an_optimizer_that_begins_without_state_is_resumed_exactly() -> None:
    networks = toy_networks()
    p = problem(networks, toy_image(networks, 2), STAGES, optimizer=TorchOptim(TorchConfig("NAdam")))
    whole = solve(p, p.start(start(networks, 2))).latent
    state = p.start(start(networks, 2))
    assert state.optimizer == ()
    for _ in range(7):
        state, _ = p.step(state)
    assert len(state.optimizer) > 0
    assert torch.equal(solve(p, state).latent, whole)


def test_a_wrong_weight_of_a_part_is_told_before_the_first_step() -> None:
    networks = toy_networks()
    objective = Objective({"pixels": WeightedTerm(Pixels(), 1.0, {"l3": 1.0})})
    p = problem(networks, toy_image(networks), STAGES, objective=objective)
    with pytest.raises(ConfigError, match="no part 'l3'"):
        solve(p, p.start(start(networks, 1)))


@pytest.mark.parametrize(
    ("from_start", "expected"),
    [(False, [1.0, 1.0, 0.1, 0.5, 0.5, 0.05]), (True, [1.0, 1.0, 0.1, 0.05, 0.005, 0.005])],
)
def test_a_staircase_falls_in_jumps_and_may_count_the_whole_run(
    from_start: bool, expected: list[float]
) -> None:
    networks = toy_networks()
    optimizer = Recording()
    first = Stage("w", "w", 3, 1.0, decay=0.1, decay_every=2, staircase=True, decay_from_start=from_start)
    stages = (first, replace(first, name="w_plus", space="w_plus", lr=0.5))
    p = problem(networks, toy_image(networks), stages, optimizer=optimizer)
    solve(p, p.start(start(networks, 1)))
    assert [lr for lr, _ in optimizer.asked] == pytest.approx(expected)
