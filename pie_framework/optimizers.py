"""Optimisers as pure functions: state comes in, state goes out, nothing is hidden. This is what makes resume exact.

Every optimiser works coordinate by coordinate, so portraits solved in one batch do not influence each other.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from pie_framework.errors import ConfigError, did_you_mean


class Optimizer(Protocol):
    """One update rule; the step number starts at 1 and counts within a stage."""

    def init(self, variable: Tensor) -> tuple[Tensor, ...]:
        """The state before the first step, each tensor shaped as the variable."""
        ...

    def update(
        self, gradient: Tensor, state: tuple[Tensor, ...], lr: float, step: int
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """-> (what to add to the variable, the new state)."""
        ...


@dataclass(frozen=True)
class AdaDelta:
    """AdaDelta (Zeiler 2012, arXiv 1212.5701), the paper's choice.

    Attributes:
        rho: decay of the running averages, in [0, 1).
        eps: added under the square roots; it also sets the size of the first steps, lr * sqrt(eps).
    """

    rho: float = 0.9
    eps: float = 1e-6

    def init(self, variable: Tensor) -> tuple[Tensor, ...]:
        return torch.zeros_like(variable), torch.zeros_like(variable)

    def update(
        self, gradient: Tensor, state: tuple[Tensor, ...], lr: float, step: int
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        mean_square, mean_change = state
        mean_square = self.rho * mean_square + (1 - self.rho) * gradient.square()
        change = (mean_change + self.eps).sqrt() / (mean_square + self.eps).sqrt() * gradient
        mean_change = self.rho * mean_change + (1 - self.rho) * change.square()
        return -lr * change, (mean_square, mean_change)


@dataclass(frozen=True)
class Adam:
    """Adam (Kingma and Ba 2015, arXiv 1412.6980).

    Attributes:
        beta1, beta2: decays of the running mean and mean square, in [0, 1).
        eps: added to the root of the mean square.
    """

    beta1: float = 0.9
    beta2: float = 0.99
    eps: float = 1e-8

    def init(self, variable: Tensor) -> tuple[Tensor, ...]:
        return torch.zeros_like(variable), torch.zeros_like(variable)

    def update(
        self, gradient: Tensor, state: tuple[Tensor, ...], lr: float, step: int
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        mean, mean_square = state
        mean = self.beta1 * mean + (1 - self.beta1) * gradient
        mean_square = self.beta2 * mean_square + (1 - self.beta2) * gradient.square()
        unbiased = (mean_square / (1 - self.beta2**step)).sqrt() + self.eps
        return -lr * (mean / (1 - self.beta1**step)) / unbiased, (mean, mean_square)


OPTIMIZERS: dict[str, type[AdaDelta] | type[Adam]] = {"adadelta": AdaDelta, "adam": Adam}


def make_optimizer(name: str, **settings: float) -> Optimizer:
    """An optimiser by name with its settings; ConfigError for an unknown name or setting."""
    if name not in OPTIMIZERS:
        raise ConfigError(f"there is no optimizer '{name}'", did_you_mean(name, OPTIMIZERS))
    kind = OPTIMIZERS[name]
    for key in settings:
        if key not in kind.__dataclass_fields__:
            raise ConfigError(
                f"optimizer.{key}: '{name}' has no such setting", did_you_mean(key, kind.__dataclass_fields__)
            )
    return kind(**settings)
