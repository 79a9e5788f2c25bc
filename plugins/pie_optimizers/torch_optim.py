"""Any optimizer of `torch.optim` by its name, as a pure function of its state."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer as TorchOptimizer

from pie_framework.api import BuildContext
from pie_framework.errors import ConfigError, did_you_mean
from pie_optimizers.settings import TorchConfig

#: Needs several evaluations of E(w) for a step (LBFGS), sparse gradients, or matrices instead of latents (Muon).
UNSUITED = {
    "LBFGS": "it evaluates E(w) several times in a step",
    "SparseAdam": "it is for sparse gradients",
    "Muon": "it is for matrices",
}


class TorchOptim:
    """An optimizer of `torch.optim`. Satisfies `Optimizer`.

    Every portrait is a parameter of its own, so that optimizers with a norm or a count over a parameter keep portraits
    apart. The state is that of the optimizer: its tensors in the order of their names, stacked over the portraits.

    Raises:
        ConfigError: there is no such optimizer, it has no such parameter, or it cannot be used here.
    """

    def __init__(self, config: TorchConfig, context: BuildContext | None = None) -> None:
        known = {
            name: kind
            for name, kind in vars(torch.optim).items()
            if isinstance(kind, type) and issubclass(kind, TorchOptimizer) and kind is not TorchOptimizer
        }
        if config.name not in known:
            near = {name.lower(): name for name in known}
            exact = near.get(config.name.lower())
            hint = (
                f"Did you mean '{exact}'?" if exact else did_you_mean(config.name, set(known) - set(UNSUITED))
            )
            raise ConfigError(f"optimizer.name: torch.optim has no '{config.name}'", hint)
        if config.name in UNSUITED:
            raise ConfigError(f"optimizer.name: '{config.name}' cannot be used: {UNSUITED[config.name]}")
        self.kind = known[config.name]
        # lists as the tuples that torch.optim wants
        self.parameters: dict[str, Any] = {
            key: tuple(v) if isinstance(v, list) else v for key, v in config.parameters.items()
        }
        accepted = set(inspect.signature(self.kind).parameters) - {"params", "lr"}
        for name in self.parameters:
            if name not in accepted:
                raise ConfigError(
                    f"optimizer.parameters.{name}: '{config.name}' has no such parameter",
                    did_you_mean(name, accepted),
                )
        try:
            self._keys = self._names(self._made([torch.zeros(1, 1)], 1.0))
        except Exception as error:  # it is made of the user's parameters: torch raises whatever comes
            raise ConfigError(f"optimizer.parameters: '{config.name}' does not take them: {error}") from error

    def _made(self, variables: list[Tensor], lr: float) -> TorchOptimizer:
        return self.kind([torch.nn.Parameter(v) for v in variables], lr=lr, **self.parameters)  # type: ignore[call-arg]

    @staticmethod
    def _names(optimizer: TorchOptimizer) -> tuple[str, ...]:
        """Names of the tensors that it keeps of a parameter, in order; found by a step."""
        (parameter,) = optimizer.param_groups[0]["params"]
        parameter.grad = torch.ones_like(parameter)
        optimizer.step()
        kept: Mapping[str, Any] = optimizer.state.get(parameter, {})
        return tuple(sorted(name for name, value in kept.items() if isinstance(value, Tensor)))

    def init(self, variable: Tensor) -> tuple[Tensor, ...]:
        return ()

    def update(
        self, variable: Tensor, gradient: Tensor, state: tuple[Tensor, ...], lr: float, step: int
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        with torch.enable_grad():
            optimizer = self._made([row.detach().clone() for row in variable], lr)
            parameters = optimizer.param_groups[0]["params"]
            for b, parameter in enumerate(parameters):
                parameter.grad = gradient[b].clone()
                if state:
                    optimizer.state[parameter] = {
                        name: value[b].clone() for name, value in zip(self._keys, state, strict=True)
                    }
            optimizer.step()
        moved = torch.stack([parameter.detach() for parameter in parameters])
        kept = tuple(torch.stack([optimizer.state[p][name] for p in parameters]) for name in self._keys)
        return moved - variable, kept
