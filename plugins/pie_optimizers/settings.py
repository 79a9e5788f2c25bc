"""Settings of the optimizers. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Any

from annotated_types import Gt, Interval, IsFinite

from pie_framework.errors import ConfigError

Decay = Annotated[float, Interval(ge=0, lt=1)]
Positive = Annotated[IsFinite[float], Gt(0)]


@dataclass(frozen=True)
class AdaDeltaConfig:
    """Settings of AdaDelta.

    Attributes:
        rho: decay of the running averages, in [0, 1).
        eps: added under the square roots, above 0; it also sets the size of the first steps, lr * sqrt(eps).
    """

    rho: Decay = 0.9
    eps: Positive = 1e-6


@dataclass(frozen=True)
class AdamConfig:
    """Settings of Adam.

    Attributes:
        beta1, beta2: decays of the running mean and mean square, in [0, 1).
        eps: added to the root of the mean square, above 0.
    """

    beta1: Decay = 0.9
    beta2: Decay = 0.99
    eps: Positive = 1e-8


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
