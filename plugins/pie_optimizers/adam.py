"""Adam."""

from __future__ import annotations

import torch
from torch import Tensor

from pie_framework.api import BuildContext
from pie_optimizers.settings import AdamConfig


class Adam:
    """Adam (Kingma and Ba 2015, arXiv 1412.6980). Satisfies `Optimizer`; works coordinate by coordinate.

    The state is the running mean of the gradient and that of its square, each shaped as the variable.
    """

    def __init__(self, config: AdamConfig | None = None, context: BuildContext | None = None) -> None:
        config = config or AdamConfig()
        self.beta1, self.beta2, self.eps = config.beta1, config.beta2, config.eps

    def init(self, variable: Tensor) -> tuple[Tensor, ...]:
        return torch.zeros_like(variable), torch.zeros_like(variable)

    def update(
        self, variable: Tensor, gradient: Tensor, state: tuple[Tensor, ...], lr: float, step: int
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        mean, mean_square = state
        mean = self.beta1 * mean + (1 - self.beta1) * gradient
        mean_square = self.beta2 * mean_square + (1 - self.beta2) * gradient.square()
        unbiased = (mean_square / (1 - self.beta2**step)).sqrt() + self.eps
        return -lr * (mean / (1 - self.beta1**step)) / unbiased, (mean, mean_square)
