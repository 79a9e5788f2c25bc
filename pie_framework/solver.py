"""The optimisation of §3: stages of steps over a latent, each step a function from state to state.

Nothing is copied to the CPU inside a step. Energies stay on the device and are read every `check_every` steps; a step
whose energy or gradient is not finite is undone on the device, portrait by portrait, so the last finite state is kept.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum

import torch
from torch import Tensor

from pie_framework.api import LatentView, Networks, Optimizer, PriorDraw, TargetView
from pie_framework.errors import ConfigError
from pie_framework.objective import Breakdown, Objective


@dataclass(frozen=True)
class Stage:
    """A run of steps in one latent space.

    Attributes:
        name: how weights and curves name it.
        space: "w" (one vector for all layers) or "w_plus" (one per layer).
        steps: at most so many.
        lr: step size at the start.
        decay: factor applied to the step size every `decay_every` steps; 1 for none.
        decay_every: steps per factor of `decay`.
        staircase: decay in jumps, after every `decay_every` steps, not smoothly.
        decay_from_start: the decay counts the steps of the earlier stages too, instead of starting anew.
        cosine: let the step size fall to 0 along a half cosine over the stage.
        tolerance: stop when the mean energy of the last `window` steps is less than this fraction below that of
            the `window` steps before; 0 never stops early.
        window: steps compared by `tolerance`.
    """

    name: str
    space: str
    steps: int
    lr: float
    decay: float = 1.0
    decay_every: int = 2000
    staircase: bool = False
    decay_from_start: bool = False
    cosine: bool = False
    tolerance: float = 0.0
    window: int = 50

    def __post_init__(self) -> None:
        if self.space not in ("w", "w_plus"):
            raise ConfigError(
                f"schedule stage '{self.name}': space is '{self.space}'", "It is 'w' or 'w_plus'."
            )
        if self.steps < 0 or min(self.lr, self.decay, self.decay_every, self.window) <= 0:
            raise ConfigError(
                f"schedule stage '{self.name}': steps, lr, decay, decay_every and window must be positive"
            )

    def lr_at(self, step: int, before: int = 0) -> float:
        """Step size of step 0, 1, ...; `before` is the number of steps planned in the earlier stages."""
        counted = step + before if self.decay_from_start else step
        if self.staircase:
            lr = self.lr * self.decay ** (counted // self.decay_every)
        else:
            lr = self.lr * math.exp(math.log(self.decay) * counted / self.decay_every)
        if self.cosine:
            lr *= 0.5 * (1 + math.cos(math.pi * step / max(self.steps, 1)))
        return lr


class Ending(str, Enum):
    """Why a run stopped."""

    FINISHED = "finished"
    CONVERGED = "converged"
    NON_FINITE = "non-finite"
    INTERRUPTED = "interrupted"

    def __str__(self) -> str:
        return self.value


@dataclass(frozen=True)
class SolverState:
    """All that the next step needs.

    Attributes:
        variable: what is optimised, (B, 1, D) in a W stage or (B, L, D) in a W+ stage.
        optimizer: the optimiser's state.
        stage: index of the stage.
        step: steps taken in this stage.
        total_steps: steps taken in the run.
    """

    variable: Tensor
    optimizer: tuple[Tensor, ...]
    stage: int = 0
    step: int = 0
    total_steps: int = 0

    def latent(self, num_layers: int) -> Tensor:
        """w as W+, (B, L, D)."""
        return self.variable.expand(-1, num_layers, -1)


@dataclass(frozen=True)
class Problem:
    """What is solved: everything that stays the same from step to step.

    Attributes:
        networks: the frozen components.
        target: the portraits.
        objective: E(w).
        stages: in order.
        optimizer: the update rule.
        blocks: the blocks τ of the run.
        blocks_per_step: how many of them a step averages over, taking turns; 0 takes all.
        draw: the v of a step by its number in the run, or None when no term needs any.
    """

    networks: Networks
    target: TargetView
    objective: Objective
    stages: tuple[Stage, ...]
    optimizer: Optimizer
    blocks: tuple[str, ...] = ()
    blocks_per_step: int = 0
    draw: Callable[[int], PriorDraw] | None = None

    def start(self, latent: Tensor) -> SolverState:
        """The state before the first step, from w (B, L, D)."""
        return self._enter(SolverState(latent.detach(), ()), 0)

    def _enter(self, state: SolverState, stage: int) -> SolverState:
        layers = self.networks.generator.num_layers
        latent = state.latent(layers) if state.variable.shape[1] == 1 else state.variable
        if self.stages[stage].space == "w":
            latent = latent.mean(dim=1, keepdim=True)
        variable = latent.clone(memory_format=torch.contiguous_format)
        return SolverState(variable, self.optimizer.init(variable), stage, 0, state.total_steps)

    def next_stage(self, state: SolverState) -> SolverState | None:
        """The state at the start of the next stage; None after the last."""
        if state.stage + 1 >= len(self.stages):
            return None
        return self._enter(state, state.stage + 1)

    def blocks_at(self, step: int) -> tuple[str, ...]:
        count = len(self.blocks)
        if not self.blocks_per_step or self.blocks_per_step >= count:
            return self.blocks
        return tuple(
            self.blocks[(step * self.blocks_per_step + i) % count] for i in range(self.blocks_per_step)
        )

    def evaluate(self, state: SolverState, variable: Tensor | None = None) -> Breakdown:
        """E(w) at a state with the v and blocks of its step."""
        variable = state.variable if variable is None else variable
        latent = variable.expand(-1, self.networks.generator.num_layers, -1)
        prior = self.draw(state.total_steps) if self.draw is not None else None
        view = LatentView(self.networks, latent, prior, self.blocks_at(state.total_steps))
        return self.objective(view, self.target, self.stages[state.stage].name)

    def step(self, state: SolverState) -> tuple[SolverState, Breakdown]:
        """One step; portraits whose energy or gradient is not finite stay where they were."""
        variable = state.variable.detach().requires_grad_(True)
        breakdown = self.evaluate(state, variable)
        (gradient,) = torch.autograd.grad(breakdown.total.sum(), variable)
        stage = self.stages[state.stage]
        change, optimizer = self.optimizer.update(
            state.variable, gradient, state.optimizer, stage.lr_at(state.step), state.step + 1
        )
        moved = state.variable + change
        finite = breakdown.total.detach().isfinite() & moved.isfinite().flatten(1).all(dim=1)
        keep = finite[:, None, None]
        return (
            replace(
                state,
                variable=torch.where(keep, moved, state.variable),
                optimizer=tuple(
                    torch.where(keep, new, old) for new, old in zip(optimizer, state.optimizer, strict=True)
                ),
                step=state.step + 1,
                total_steps=state.total_steps + 1,
            ),
            replace(breakdown, total=breakdown.total.detach()),
        )


@dataclass
class History:
    """The energies of every step, on the CPU.

    Attributes:
        rows: one per step: stage name, step in the stage, raw and weighted parts {name: [B floats]}, total [B].
    """

    rows: list[HistoryRow] = field(default_factory=list)

    def totals(self, stage: str) -> list[float]:
        """E(w) of each step of a stage, mean over the portraits."""
        return [sum(row.total) / len(row.total) for row in self.rows if row.stage == stage]


@dataclass(frozen=True)
class HistoryRow:
    """The energies of one step; lists have one value per portrait."""

    stage: str
    step: int
    total: list[float]
    raw: dict[str, list[float]]
    weights: dict[str, float]

    def non_finite_term(self) -> str | None:
        """The first part that is not finite, or "total" when only the sum overflowed."""
        for name, values in self.raw.items():
            if not all(math.isfinite(v) for v in values):
                return name
        return None if all(math.isfinite(v) for v in self.total) else "total"


@dataclass(frozen=True)
class Solution:
    """How a run ended.

    Attributes:
        state: the last finite state.
        latent: w as W+, (B, L, D).
        ending: why it stopped.
        message: one sentence.
        history: the energies of every step.
        seconds: time spent in steps by this process.
    """

    state: SolverState
    latent: Tensor
    ending: Ending
    message: str
    history: History
    seconds: float


OnCheck = Callable[[SolverState, History], None]


def solve(
    problem: Problem,
    state: SolverState,
    history: History | None = None,
    check_every: int = 10,
    on_check: OnCheck | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> Solution:
    """Run the stages from a state to their end.

    Args:
        problem: what is solved.
        state: `problem.start(w)`, or the state of a checkpoint.
        history: of the steps before `state`, when it comes from a checkpoint.
        check_every: energies are read, and the other checks made, every so many steps.
        on_check: called with the state and the energies so far at each check.
        should_stop: asked at each check; True ends the run as interrupted.

    Returns:
        The solution; a KeyboardInterrupt is one of its endings, not an error.
    """
    history = History() if history is None else history
    pending: list[tuple[str, int, Breakdown]] = []
    started = time.perf_counter()
    endings: list[Ending] = []

    def finish(ending: Ending, message: str) -> Solution:
        _read(pending, history)
        latent = state.latent(problem.networks.generator.num_layers).contiguous()
        return Solution(state, latent, ending, message, history, time.perf_counter() - started)

    try:
        while True:
            stage = problem.stages[state.stage]
            done = state.step >= stage.steps
            if done or (state.step and state.step % check_every == 0):
                bad = _first_non_finite(_read(pending, history))
                if bad is not None:
                    return finish(Ending.NON_FINITE, bad)
                converged = not done and _converged(stage, history)
                if on_check is not None:
                    on_check(state, history)
                if done or converged:
                    endings.append(Ending.CONVERGED if converged else Ending.FINISHED)
                    following = problem.next_stage(state)
                    if following is None:
                        break
                    state = following
                    continue
                if should_stop is not None and should_stop():
                    return finish(Ending.INTERRUPTED, f"stopped on request after {state.total_steps} steps")
            state, breakdown = problem.step(state)
            pending.append((stage.name, state.step, breakdown))
    except KeyboardInterrupt:
        return finish(
            Ending.INTERRUPTED, f"interrupted after {state.total_steps} steps; the latent so far was kept"
        )
    if not state.total_steps:
        return finish(Ending.FINISHED, "no step was asked for; the latent is the one it started from")
    if all(ending is Ending.CONVERGED for ending in endings):
        return finish(Ending.CONVERGED, f"the energy settled after {state.total_steps} steps")
    return finish(Ending.FINISHED, f"all {state.total_steps} steps were taken")


def _read(pending: list[tuple[str, int, Breakdown]], history: History) -> list[HistoryRow]:
    """Copy the energies of the steps since the last check to the CPU; returns their rows."""
    first = len(history.rows)
    for stage, step, breakdown in pending:
        names = list(breakdown.raw)
        values = torch.stack([breakdown.total, *(breakdown.raw[name] for name in names)]).cpu().tolist()
        raw: Mapping[str, Sequence[float]] = dict(zip(names, values[1:], strict=True))
        history.rows.append(
            HistoryRow(stage, step, values[0], {n: list(v) for n, v in raw.items()}, dict(breakdown.weights))
        )
    pending.clear()
    return history.rows[first:]


def _first_non_finite(rows: Sequence[HistoryRow]) -> str | None:
    for row in rows:
        term = row.non_finite_term()
        if term is not None:
            where = f"at step {row.step} of stage '{row.stage}'"
            return f"the energy term '{term}' is not finite {where}; the last finite latent was kept"
    return None


def _converged(stage: Stage, history: History) -> bool:
    if stage.tolerance <= 0:
        return False
    totals = history.totals(stage.name)
    if len(totals) < 2 * stage.window:
        return False
    now = sum(totals[-stage.window :]) / stage.window
    before = sum(totals[-2 * stage.window : -stage.window]) / stage.window
    return before - now < stage.tolerance * abs(before)
