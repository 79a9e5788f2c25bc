"""AdaDelta, the paper's choice (§3)."""

from __future__ import annotations

import torch
from torch import Tensor

from pie_framework.api import BuildContext
from pie_optimizers.settings import AdaDeltaConfig


class AdaDelta:
    """AdaDelta (Zeiler 2012, arXiv 1212.5701). Satisfies `Optimizer`; works coordinate by coordinate.

    The state is the running mean of squared gradients and that of squared changes, each shaped as the variable.
    """

    def __init__(self, config: AdaDeltaConfig | None = None, context: BuildContext | None = None) -> None:
        config = config or AdaDeltaConfig()
        self.rho, self.eps = config.rho, config.eps

    def init(self, variable: Tensor) -> tuple[Tensor, ...]:
        return torch.zeros_like(variable), torch.zeros_like(variable)

    def update(
        self, variable: Tensor, gradient: Tensor, state: tuple[Tensor, ...], lr: float, step: int
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        mean_square, mean_change = state
        mean_square = self.rho * mean_square + (1 - self.rho) * gradient.square()
        change = (mean_change + self.eps).sqrt() / (mean_square + self.eps).sqrt() * gradient
        mean_change = self.rho * mean_change + (1 - self.rho) * change.square()
        return -lr * change, (mean_square, mean_change)
