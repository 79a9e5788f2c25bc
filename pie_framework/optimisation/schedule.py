"""What of the optimisation is configured (§3): its stages, and how the v of E_v are drawn. Imports no torch."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Annotated, Literal

from annotated_types import Ge, Gt, IsFinite

Positive = Annotated[IsFinite[float], Gt(0)]


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
    space: Literal["w", "w_plus"]
    steps: Annotated[int, Ge(0)]
    lr: Positive
    decay: Positive = 1.0
    decay_every: Annotated[int, Ge(1)] = 2000
    staircase: bool = False
    decay_from_start: bool = False
    cosine: bool = False
    tolerance: IsFinite[float] = 0.0
    window: Annotated[int, Ge(1)] = 50

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


@dataclass(frozen=True)
class Schedule:
    """The stages in order, and every how many steps energies are read."""

    stages: list[Stage] = field(default_factory=list)
    check_every: Annotated[int, Ge(1)] = 10


@dataclass(frozen=True)
class PriorSettings:
    """How E_v is estimated.

    Attributes:
        pool: how many v are made once and drawn from; 0 makes new ones at every step.
        per_step: how many v a step averages over.
        blocks_per_step: how many blocks τ a step averages over, taking turns; 0 takes all.
    """

    pool: Annotated[int, Ge(0)] = 64
    per_step: Annotated[int, Ge(1)] = 1
    blocks_per_step: Annotated[int, Ge(0)] = 1
