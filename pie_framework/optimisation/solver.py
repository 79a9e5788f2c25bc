"""The optimisation of §3: stages of steps over a latent.

Every portrait of a batch is solved as if it were alone: it settles, fails and stops for itself, and those that are done
are left out of the batch. Energies stay on the device and are read every `check_every` steps; from the first step on
whose energy, gradient or change is not finite a portrait stays where it was.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from pie_framework.errors import ConfigError, PieError, in_one_line
from pie_framework.optimisation.history import History, HistoryRow
from pie_framework.optimisation.problem import Problem
from pie_framework.optimisation.schedule import Stage
from pie_framework.optimisation.state import (
    Fault,
    PortraitStatus,
    SolverState,
    StepRecord,
    Termination,
    summary,
)

if TYPE_CHECKING:
    from jaxtyping import Float, Int


@dataclass(frozen=True)
class Solution:
    """How a run ended.

    Attributes:
        state: the last finite state.
        latent: w as W+.
        ending: why it stopped; of several portraits the gravest of theirs.
        message: one sentence.
        history: the energies of every step.
        seconds: time spent in steps by this process.
        error: what stopped it, when it failed.
    """

    state: SolverState
    latent: Float[Tensor, "B L D"]
    ending: Termination
    message: str
    history: History
    seconds: float
    error: BaseException | None = None

    @property
    def portraits(self) -> tuple[PortraitStatus, ...]:
        """How each portrait ended."""
        return self.state.portraits


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
        The solution; a KeyboardInterrupt and a failing component are among its endings, not errors.

    Raises:
        ConfigError: the first evaluation shows that the configuration does not fit a term.
    """
    return _Run(problem, history or History(), check_every, on_check, should_stop).solve(state)


@dataclass
class _Run:
    """One call of `solve`."""

    problem: Problem
    history: History
    check_every: int
    on_check: OnCheck | None
    should_stop: Callable[[], bool] | None
    pending: list[StepRecord] = field(default_factory=list)
    error: BaseException | None = None
    #: The problem of the portraits that are still solved and their rows on the device, anew when one of them ends.
    part: tuple[tuple[int, ...], Problem, Int[Tensor, "n"]] | None = None
    started: float = field(default_factory=time.perf_counter)

    def solve(self, state: SolverState) -> Solution:
        try:
            while True:
                stage = self.problem.stages[state.stage]
                limit = state.step >= stage.steps
                if limit or not state.running or (state.step and state.step % self.check_every == 0):
                    state = self.check(state)
                    if self.on_check is not None:
                        self.on_check(state, self.history)
                    if all(portrait.ending is not None for portrait in state.portraits):
                        break
                    if limit or not state.running:
                        following = self.problem.next_stage(self.close_stage(state))
                        if following is None:
                            state = self.close_stage(state)
                            break
                        state = following
                        continue
                    if self.should_stop is not None and self.should_stop():
                        message = f"stopped on request after {state.total_steps} steps"
                        return self.solution(self.end_all(state, Termination.INTERRUPTED, message))
                if state.running:
                    state = self.step(state)
        except KeyboardInterrupt:
            state = self.read(state)
            message = f"interrupted after {state.total_steps} steps; the latent so far was kept"
            return self.solution(self.end_all(state, Termination.INTERRUPTED, message))
        return self.solution(self.close(state))

    def step(self, state: SolverState) -> SolverState:
        """One step of the portraits that are still solved; those whose components fail are ended."""
        rows = state.running
        everyone = len(rows) == len(state.portraits)
        problem, index = (self.problem, None) if everyone else self.some(rows)
        try:
            following, record = problem.step(state if everyone else state.take(rows, index))
        except Exception as error:
            if isinstance(error, ConfigError) and not state.total_steps:
                raise
            return self.isolate(state, rows, error)
        if not everyone:
            following = state.put(rows, following, index)
        self.pending.append(replace(record, portraits=rows))
        return following

    def some(self, rows: tuple[int, ...]) -> tuple[Problem, Int[Tensor, "n"]]:
        """The problem of some of the portraits, and their rows on the device."""
        if self.part is None or self.part[0] != rows:
            index = torch.tensor(rows, device=self.problem.target.image.device)
            self.part = (rows, self.problem.take(rows), index)
        return self.part[1:]

    def isolate(self, state: SolverState, rows: tuple[int, ...], error: Exception) -> SolverState:
        """End the portraits that make a component fail: those that fail alone, or all when none does."""
        alone: dict[int, Exception] = {}
        for row in rows if len(rows) > 1 else ():
            try:
                self.problem.take([row]).step(state.take([row]))
            except Exception as own:
                alone[row] = own
        where = f"at step {state.step + 1} of stage '{self.problem.stages[state.stage].name}'"
        for row, fault in (alone or dict.fromkeys(rows, error)).items():
            reason = fault.message if isinstance(fault, PieError) else in_one_line(fault)
            state = state.ended(row, Termination.FAILED, f"{reason} ({where}); the last good latent was kept")
            self.error = self.error or fault
        return state

    def check(self, state: SolverState) -> SolverState:
        """Read the energies since the last check; end the portraits that are not finite, note those that settled."""
        state = self.read(state)
        stage = self.problem.stages[state.stage]
        if state.step < stage.steps and stage.tolerance > 0:
            for row in state.running:
                if _settled(stage, self.history.totals(stage.name, row)):
                    state = state.noted(row, replace(state.portraits[row], settled=True))
        return state

    def read(self, state: SolverState) -> SolverState:
        """Copy the energies of the steps since the last check to the CPU, and end the portraits with a fault."""
        faults: dict[int, tuple[Fault, HistoryRow]] = {}
        for record in self.pending:
            names = list(record.raw)
            stacked = torch.stack(
                [record.total, *(record.raw[n] for n in names), record.fault.to(record.total)]
            )
            total, *raw, fault = stacked.cpu().tolist()
            row = HistoryRow(
                record.stage,
                record.step,
                record.portraits,
                total,
                dict(zip(names, raw, strict=True)),
                dict(record.weights),
            )
            self.history.rows.append(row)
            for portrait, code in zip(record.portraits, fault, strict=True):
                if code and portrait not in faults:
                    faults[portrait] = (Fault(int(code)), row)
        self.pending.clear()
        for portrait, (kind, row) in faults.items():
            if state.portraits[portrait].ending is None:
                state = state.ended(
                    portrait, Termination.NON_FINITE, self.explain(state, portrait, kind, row)
                )
        return state

    def explain(self, state: SolverState, portrait: int, fault: Fault, row: HistoryRow) -> str:
        """Which term or step is not finite, in a sentence."""
        where = f"at step {row.step} of stage '{row.stage}'"
        count = int(state.undone[portrait])
        kept = f"the last finite latent was kept ({count} step{'s' if count > 1 else ''} undone)"
        if fault is Fault.ENERGY:
            return f"the energy term '{row.non_finite_part(portrait)}' is not finite {where}; {kept}"
        if fault is Fault.CHANGE:
            return f"the step of {self.problem.optimizer_origin} is not finite {where}; {kept}"
        alone = replace(state.take([portrait]), step=row.step - 1)
        try:
            term = self.problem.take([portrait]).term_without_finite_gradient(alone)
        except Exception as error:
            term = f"(it fails when asked again: {in_one_line(error)})"
        whose = f"the energy term '{term}'" if term else "E(w), of no term alone,"
        return f"the gradient of {whose} is not finite {where}; {kept}"

    def close_stage(self, state: SolverState) -> SolverState:
        """Note which portraits used up the stage's steps."""
        for row in state.running:
            state = state.noted(row, replace(state.portraits[row], limited=True))
        return state

    def close(self, state: SolverState) -> SolverState:
        """The endings of the portraits that came through all stages."""
        moved = state.moved.tolist()
        steps = state.total_steps
        for row, portrait in enumerate(state.portraits):
            if portrait.ending is not None:
                continue
            if not steps:
                text = "no step was asked for; the latent is the one it started from"
                state = state.ended(row, Termination.FINISHED, text)
            elif not moved[row]:
                text = f"none of the {steps} steps moved the latent: it is the one it started from"
                state = state.ended(row, Termination.STALLED, text)
            elif portrait.limited:
                state = state.ended(row, Termination.FINISHED, f"all {steps} steps were taken")
            else:
                state = state.ended(row, Termination.CONVERGED, f"the energy settled after {steps} steps")
        return state

    def end_all(self, state: SolverState, ending: Termination, message: str) -> SolverState:
        for row, portrait in enumerate(state.portraits):
            if portrait.ending is None:
                state = state.ended(row, ending, message)
        return state

    def solution(self, state: SolverState) -> Solution:
        latent = state.latent(self.problem.networks.generator.num_layers).contiguous()
        ending, message = summary(state.portraits)
        seconds = time.perf_counter() - self.started
        return Solution(state, latent, ending, message, self.history, seconds, self.error)


def _settled(stage: Stage, totals: Sequence[float]) -> bool:
    """Whether the energy of a portrait fell by less than the tolerance from one window of steps to the next."""
    if len(totals) < 2 * stage.window:
        return False
    now = sum(totals[-stage.window :]) / stage.window
    before = sum(totals[-2 * stage.window : -stage.window]) / stage.window
    return before - now < stage.tolerance * abs(before)
