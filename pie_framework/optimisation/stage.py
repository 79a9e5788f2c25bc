"""The stages of the optimisation (§3): in which space, how many steps, how large."""

from __future__ import annotations

import math
from dataclasses import dataclass

from pie_framework.errors import ConfigError


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
        numbers = (self.lr, self.decay, self.decay_every, self.window)
        if self.steps < 0 or min(numbers) <= 0 or not all(map(math.isfinite, (*numbers, self.tolerance))):
            raise ConfigError(
                f"schedule stage '{self.name}': steps, lr, decay, decay_every and window must be positive, and finite"
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
