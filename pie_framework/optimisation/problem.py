"""What is solved, and one step of it: a function from state to state (§3). Nothing is copied to the CPU in a step."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeVar

import torch
from torch import Tensor

from pie_framework.api import LatentView, Networks, Optimizer, PriorDraw, TargetView
from pie_framework.errors import PieError, PluginError, in_one_line
from pie_framework.optimisation.objective import Breakdown, Objective
from pie_framework.optimisation.schedule import Stage
from pie_framework.optimisation.state import Fault, PortraitStatus, SolverState, StepRecord

if TYPE_CHECKING:
    from jaxtyping import Float, Shaped

T = TypeVar("T")


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
        optimizer_origin: the optimizer in words, for messages.
    """

    networks: Networks
    target: TargetView
    objective: Objective
    stages: tuple[Stage, ...]
    optimizer: Optimizer
    blocks: tuple[str, ...] = ()
    blocks_per_step: int = 0
    draw: Callable[[int], PriorDraw] | None = None
    optimizer_origin: str = "the optimizer"

    def take(self, rows: Sequence[int]) -> Problem:
        """The problem of some of the portraits."""
        return replace(self, target=self.target.take(rows))

    def start(self, latent: Float[Tensor, "B L D"]) -> SolverState:
        """The state before the first step, from w."""
        count = len(latent)
        zeros = torch.zeros(count, dtype=torch.int64, device=latent.device)
        portraits = (PortraitStatus(),) * count
        return self._enter(
            SolverState(latent.detach(), (), zeros, zeros, zeros.bool(), portraits=portraits), 0
        )

    def _enter(self, state: SolverState, stage: int) -> SolverState:
        layers = self.networks.generator.num_layers
        latent = state.latent(layers) if state.variable.shape[1] == 1 else state.variable
        if self.stages[stage].space == "w":
            latent = latent.mean(dim=1, keepdim=True)
        variable = latent.clone(memory_format=torch.contiguous_format)
        return replace(
            state,
            variable=variable,
            optimizer=self._guarded("init", lambda: self.optimizer.init(variable)),
            stage=stage,
            step=0,
            portraits=tuple(replace(portrait, settled=False) for portrait in state.portraits),
        )

    def next_stage(self, state: SolverState) -> SolverState | None:
        """The state at the start of the next stage; None after the last."""
        if state.stage + 1 >= len(self.stages):
            return None
        return self._enter(state, state.stage + 1)

    def steps_before(self, stage: int) -> int:
        """Steps that the stages before this one may take."""
        return sum(s.steps for s in self.stages[:stage])

    def number(self, state: SolverState) -> int:
        """The number of the next step in the run's plan: it fixes v and the blocks, whether or not a stage before
        ended early."""
        return self.steps_before(state.stage) + state.step

    def blocks_at(self, step: int) -> tuple[str, ...]:
        count = len(self.blocks)
        if not self.blocks_per_step or self.blocks_per_step >= count:
            return self.blocks
        return tuple(
            self.blocks[(step * self.blocks_per_step + i) % count] for i in range(self.blocks_per_step)
        )

    def view(self, state: SolverState, variable: Float[Tensor, "B L D"]) -> LatentView:
        """The view of a latent, L = 1 in a W stage, with the v and blocks of the state's next step."""
        latent = variable.expand(-1, self.networks.generator.num_layers, -1)
        number = self.number(state)
        prior = self.draw(number) if self.draw is not None else None
        return LatentView(self.networks, latent, prior, self.blocks_at(number))

    def evaluate(self, state: SolverState, variable: Float[Tensor, "B L D"] | None = None) -> Breakdown:
        """E(w) at a state with the v and blocks of its step."""
        view = self.view(state, state.variable if variable is None else variable)
        return self.objective(view, self.target, self.stages[state.stage].name)

    def step(self, state: SolverState) -> tuple[SolverState, StepRecord]:
        """One step of every portrait; one whose energy, gradient or change is not finite stays where it was, from then
        on.

        Raises:
            PluginError: a term, a network or the optimizer failed; the state stays as it was.
        """
        variable = state.variable.detach().requires_grad_(True)
        breakdown = self.evaluate(state, variable)
        gradient = self._gradient(state, breakdown.total, variable)
        stage = self.stages[state.stage]
        lr = stage.lr_at(state.step, self.steps_before(state.stage))
        update = self._guarded(
            "update",
            lambda: self.optimizer.update(state.variable, gradient, state.optimizer, lr, state.step + 1),
        )
        change, optimizer = self._checked(state, update)
        moved = state.variable + change
        total = breakdown.total.detach()
        fault = state.fault
        for kind, finite in (
            (Fault.ENERGY, total.isfinite()),
            (Fault.GRADIENT, gradient.isfinite().flatten(1).all(dim=1)),
            (Fault.CHANGE, moved.isfinite().flatten(1).all(dim=1)),
        ):
            fault = torch.where((fault == 0) & ~finite, int(kind), fault)
        keep = fault == 0
        after = torch.where(keep[:, None, None], moved, state.variable)
        following = replace(
            state,
            variable=after,
            optimizer=tuple(
                torch.where(keep.view(-1, *[1] * (new.dim() - 1)), new, old)
                for new, old in zip(optimizer, state.optimizer or optimizer, strict=True)
            ),
            fault=fault,
            undone=state.undone + ~keep,
            moved=state.moved | (after != state.variable).flatten(1).any(dim=1),
            step=state.step + 1,
            total_steps=state.total_steps + 1,
        )
        record = StepRecord(
            stage.name,
            following.step,
            tuple(range(len(total))),
            total,
            dict(breakdown.raw),
            dict(breakdown.weights),
            fault,
        )
        return following, record

    def _gradient(
        self, state: SolverState, total: Float[Tensor, "B"], variable: Float[Tensor, "B L D"]
    ) -> Float[Tensor, "B L D"]:
        """∂E/∂w for every portrait."""
        gradient = None
        try:
            if total.requires_grad:
                (gradient,) = torch.autograd.grad(total.sum(), variable, allow_unused=True)
        except (Exception, SystemExit) as error:  # a term may have a backward pass of its own
            part = self._term_with(state, lambda gradient: False)
            who = "the energy" if part is None else self.objective.described(part)
            raise PluginError(f"the gradient of {who} cannot be computed: {in_one_line(error)}") from error
        if gradient is None:
            names = ", ".join(f"'{name}'" for name in self.objective.terms)
            raise PluginError(f"the energy does not depend on the latent: no gradient comes from {names}")
        return gradient

    def term_without_finite_gradient(self, state: SolverState) -> str | None:
        """The first part of E(w) whose gradient is not finite at a state; None when each alone is."""
        return self._term_with(state, lambda gradient: not bool(gradient.isfinite().all()))

    def _term_with(self, state: SolverState, wanted: Callable[[Float[Tensor, "B L D"]], bool]) -> str | None:
        """The first part of E(w) whose gradient cannot be computed, or is as wanted."""
        variable = state.variable.detach().requires_grad_(True)
        view = self.view(state, variable)
        for part in self.objective.parts(view, self.target, self.stages[state.stage].name):
            if part.weight == 0.0 or not part.value.requires_grad:
                continue
            energy = (part.weight * part.value).sum()
            try:
                (gradient,) = torch.autograd.grad(energy, variable, retain_graph=True, allow_unused=True)
            except (Exception, SystemExit):
                return part.name
            if gradient is not None and wanted(gradient):
                return part.name
        return None

    def _guarded(self, what: str, call: Callable[[], T]) -> T:
        """What the optimizer gives; PluginError names it when it fails."""
        try:
            return call()
        except PieError:
            raise
        except (Exception, SystemExit) as error:
            raise PluginError(f"{self.optimizer_origin} failed in {what}(): {in_one_line(error)}") from error

    def _checked(
        self, state: SolverState, update: object
    ) -> tuple[Float[Tensor, "B L D"], tuple[Shaped[Tensor, "B ..."], ...]]:
        """An update of the optimizer; PluginError when it is not what the contract says."""
        shape = tuple(state.variable.shape)
        if not isinstance(update, tuple) or len(update) != 2:
            raise PluginError(f"{self.optimizer_origin} gave {type(update).__name__}, not (change, state)")
        change, optimizer = update
        if not isinstance(change, Tensor) or tuple(change.shape) != shape:
            given = tuple(change.shape) if isinstance(change, Tensor) else type(change).__name__
            raise PluginError(f"{self.optimizer_origin} gave a change {given}, not {shape}")
        good = isinstance(optimizer, tuple) and all(
            isinstance(value, Tensor) and value.dim() and len(value) == shape[0] for value in optimizer
        )
        if not good or len(optimizer) != len(state.optimizer or optimizer):
            raise PluginError(
                f"{self.optimizer_origin} gave a state that is not the tuple of tensors ({shape[0]}, ...) it had"
            )
        return change, optimizer
