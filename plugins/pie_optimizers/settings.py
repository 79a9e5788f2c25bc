"""Settings of the optimizers. Imports no torch."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

from pie_framework.errors import ConfigError


@dataclass(frozen=True)
class AdaDeltaConfig:
    """Settings of AdaDelta.

    Attributes:
        rho: decay of the running averages, in [0, 1).
        eps: added under the square roots, above 0; it also sets the size of the first steps, lr * sqrt(eps).
    """

    rho: float = 0.9
    eps: float = 1e-6

    def __post_init__(self) -> None:
        _decay("rho", self.rho)
        _positive("eps", self.eps)


@dataclass(frozen=True)
class AdamConfig:
    """Settings of Adam.

    Attributes:
        beta1, beta2: decays of the running mean and mean square, in [0, 1).
        eps: added to the root of the mean square, above 0.
    """

    beta1: float = 0.9
    beta2: float = 0.99
    eps: float = 1e-8

    def __post_init__(self) -> None:
        _decay("beta1", self.beta1)
        _decay("beta2", self.beta2)
        _positive("eps", self.eps)


@dataclass(frozen=True)
class TorchConfig:
    """Settings of the optimizers of `torch.optim`.

    Attributes:
        name: the class in `torch.optim`, such as "NAdam".
        parameters: its own parameters, such as {betas: [0.9, 0.95], weight_decay: 0.01}; the step size is the
            schedule's and cannot be among them.
    """

    name: str = "Adam"
    parameters: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if "lr" in self.parameters:
            raise ConfigError("the step size of an optimizer is the schedule's", "Set schedule.stages.N.lr.")


def _decay(name: str, value: float) -> None:
    if not 0 <= value < 1:
        raise ConfigError(f"{name} is {value}; it must be at least 0 and below 1")


def _positive(name: str, value: float) -> None:
    if not (value > 0 and math.isfinite(value)):
        raise ConfigError(f"{name} is {value}; it must be a number above 0")
