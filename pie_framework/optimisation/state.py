"""The solver's state as a value: what a step needs comes in, what it makes goes out; so resuming is exact."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum, IntEnum
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int, Shaped


class Termination(str, Enum):
    """Why a run, or one portrait of it, stopped; the gravest first."""

    FAILED = "failed"
    NON_FINITE = "non-finite"
    INTERRUPTED = "interrupted"
    STALLED = "stalled"
    FINISHED = "finished"
    CONVERGED = "converged"

    def __str__(self) -> str:
        return self.value


class Fault(IntEnum):
    """What was not finite in a step that was undone; 0 stands for nothing. Checkpoints have the numbers."""

    ENERGY = 1
    GRADIENT = 2
    CHANGE = 3


@dataclass(frozen=True)
class PortraitStatus:
    """How far one portrait of the run is.

    Attributes:
        ending: why it stopped; None while it is solved.
        message: one sentence that explains the ending.
        settled: whether its energy settled in the present stage, so that it waits for the next one.
        limited: whether any of its stages ended because its steps were used up.
    """

    ending: Termination | None = None
    message: str = ""
    settled: bool = False
    limited: bool = False

    @property
    def running(self) -> bool:
        """Whether it takes part in the next step of the stage."""
        return self.ending is None and not self.settled


@dataclass(frozen=True)
class SolverState:
    """All that the next step needs. Tensors have one row for each portrait.

    Attributes:
        variable: what is optimised; L = 1 in a W stage.
        optimizer: the optimiser's state.
        fault: int64, the `Fault` of the first step that was undone.
        undone: int64, how many steps were undone: that one and those after it until it was noticed.
        moved: whether any step changed the latent.
        stage: index of the stage.
        step: steps taken in this stage.
        total_steps: steps taken in the run.
        portraits: how far each portrait is.
    """

    variable: Float[Tensor, "B L D"]
    optimizer: tuple[Shaped[Tensor, "B ..."], ...]
    fault: Int[Tensor, "B"]
    undone: Int[Tensor, "B"]
    moved: Bool[Tensor, "B"]
    stage: int = 0
    step: int = 0
    total_steps: int = 0
    portraits: tuple[PortraitStatus, ...] = ()

    @property
    def running(self) -> tuple[int, ...]:
        """The portraits that take part in the next step."""
        return tuple(i for i, portrait in enumerate(self.portraits) if portrait.running)

    def latent(self, num_layers: int) -> Float[Tensor, "B {num_layers} D"]:
        """w as W+."""
        return self.variable.expand(-1, num_layers, -1)

    def take(self, rows: Sequence[int], index: Int[Tensor, "n"] | None = None) -> SolverState:
        """The state of some portraits, as that of a run of their own; `index` holds the rows on the device."""
        chosen = torch.tensor(rows, device=self.variable.device) if index is None else index
        return replace(
            self,
            variable=self.variable[chosen],
            optimizer=tuple(value[chosen] for value in self.optimizer),
            fault=self.fault[chosen],
            undone=self.undone[chosen],
            moved=self.moved[chosen],
            portraits=tuple(self.portraits[row] for row in rows),
        )

    def put(
        self, rows: Sequence[int], part: SolverState, index: Int[Tensor, "n"] | None = None
    ) -> SolverState:
        """This state with the rows of some portraits, and the step counts, taken from `part`."""
        chosen = torch.tensor(rows, device=self.variable.device) if index is None else index

        def merged(
            whole: Shaped[Tensor, "B *shape"], some: Shaped[Tensor, "n *shape"]
        ) -> Shaped[Tensor, "B *shape"]:
            return whole.index_copy(0, chosen, some)

        empty = [value.new_zeros((len(self.portraits), *value.shape[1:])) for value in part.optimizer]
        return replace(
            part,
            variable=merged(self.variable, part.variable),
            optimizer=tuple(map(merged, self.optimizer or empty, part.optimizer)),
            fault=merged(self.fault, part.fault),
            undone=merged(self.undone, part.undone),
            moved=merged(self.moved, part.moved),
            portraits=self.portraits,
        )

    def ended(self, portrait: int, ending: Termination, message: str) -> SolverState:
        """The state with one portrait at its end."""
        status = replace(self.portraits[portrait], ending=ending, message=message)
        return self.noted(portrait, status)

    def noted(self, portrait: int, status: PortraitStatus) -> SolverState:
        """The state with another status of one portrait."""
        return replace(
            self, portraits=tuple(status if i == portrait else p for i, p in enumerate(self.portraits))
        )


@dataclass(frozen=True)
class StepRecord:
    """What one step leaves to be read later, on the device: E(w), its parts, and the faults so far."""

    stage: str
    step: int
    portraits: tuple[int, ...]
    total: Float[Tensor, "B"]
    raw: dict[str, Float[Tensor, "B"]]
    weights: dict[str, float]
    fault: Int[Tensor, "B"]


def summary(portraits: Sequence[PortraitStatus]) -> tuple[Termination, str]:
    """The gravest ending of several portraits and one sentence for all of them."""
    order = list(Termination)
    endings = [p.ending or Termination.INTERRUPTED for p in portraits]
    gravest = min(endings, key=order.index)
    messages = dict.fromkeys(p.message for p in portraits)
    if len(messages) == 1:
        return gravest, portraits[0].message
    counts = ", ".join(f"{endings.count(kind)} {kind}" for kind in order if kind in endings)
    first = endings.index(gravest)
    return gravest, f"of {len(portraits)} portraits {counts}; portrait {first}: {portraits[first].message}"
