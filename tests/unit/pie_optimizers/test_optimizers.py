"""The update rules: equal to torch's own, each row by itself, and state that is all there is."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from pie_framework.api import Optimizer
from pie_framework.errors import ConfigError
from pie_framework.settings import merge
from pie_optimizers.adadelta import AdaDelta
from pie_optimizers.adam import Adam
from pie_optimizers.settings import AdaDeltaConfig, AdamConfig, TorchConfig
from pie_optimizers.torch_optim import UNSUITED, TorchOptim

SUITED = sorted(
    name
    for name, kind in vars(torch.optim).items()
    if isinstance(kind, type)
    and issubclass(kind, torch.optim.Optimizer)
    and kind is not torch.optim.Optimizer
    and name not in UNSUITED
)


def gradients(count: int = 12, batch: int = 2) -> Tensor:
    rng = torch.Generator().manual_seed(0)
    return torch.randn(count, batch, 3, 4, generator=rng, dtype=torch.float64)


def run(optimizer: Optimizer, steps: Tensor, lr: float = 0.3) -> Tensor:
    variable = torch.ones_like(steps[0])
    state = optimizer.init(variable)
    for i, gradient in enumerate(steps):
        change, state = optimizer.update(variable, gradient, state, lr, i + 1)
        variable = variable + change
    return variable


def reference(make: Callable[[list[torch.nn.Parameter]], Any], steps: Tensor) -> Tensor:
    """Torch's own optimizer, a parameter for each portrait."""
    parameters = [torch.nn.Parameter(torch.ones_like(row)) for row in steps[0]]
    optimizer = make(parameters)
    for gradient in steps:
        for parameter, row in zip(parameters, gradient, strict=True):
            parameter.grad = row.clone()
        optimizer.step()
    return torch.stack([p.detach() for p in parameters])


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (
            AdaDelta(AdaDeltaConfig(0.8, 1e-5)),
            lambda p: torch.optim.Adadelta(p, lr=0.3, rho=0.8, eps=1e-5),
        ),
        (
            Adam(AdamConfig(0.8, 0.97, 1e-7)),
            lambda p: torch.optim.Adam(p, lr=0.3, betas=(0.8, 0.97), eps=1e-7),
        ),
        (TorchOptim(TorchConfig("NAdam")), lambda p: torch.optim.NAdam(p, lr=0.3)),
        (
            TorchOptim(TorchConfig("AdamW", {"betas": [0.8, 0.9], "weight_decay": 0.1})),
            lambda p: torch.optim.AdamW(p, lr=0.3, betas=(0.8, 0.9), weight_decay=0.1),
        ),
        (
            TorchOptim(TorchConfig("SGD", {"momentum": 0.9, "nesterov": True})),
            lambda p: torch.optim.SGD(p, lr=0.3, momentum=0.9, nesterov=True),
        ),
        (TorchOptim(TorchConfig("SGD")), lambda p: torch.optim.SGD(p, lr=0.3)),
    ],
)
def test_equal_to_torchs(ours: Optimizer, theirs: Callable[..., Any]) -> None:
    assert isinstance(ours, Optimizer)
    torch.testing.assert_close(run(ours, gradients()), reference(theirs, gradients()), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", SUITED)
def test_every_optimizer_of_torch_keeps_portraits_apart_and_its_state_is_all_there_is(name: str) -> None:
    optimizer = TorchOptim(TorchConfig(name))
    steps = gradients(6, 3)
    together = run(optimizer, steps, 0.01)
    assert not torch.equal(together, torch.ones_like(together))
    for row in range(3):
        alone = run(optimizer, steps[:, row : row + 1], 0.01)
        torch.testing.assert_close(alone[0], together[row], rtol=1e-9, atol=1e-12)

    variable = torch.ones_like(steps[0])
    state = optimizer.init(variable)
    for i, gradient in enumerate(steps):
        kept = [value.clone() for value in state]
        change, after = optimizer.update(variable, gradient, state, 0.01, i + 1)
        again, _ = optimizer.update(variable, gradient, state, 0.01, i + 1)
        assert torch.equal(change, again), "something is remembered outside of the state"
        assert all(torch.equal(a, b) for a, b in zip(kept, state, strict=True)), "the old state was changed"
        assert all(len(value) == 3 for value in after)
        variable, state = variable + change, after


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (TorchConfig("NAdm"), "no 'NAdm'.*'NAdam'"),
        (TorchConfig("nadam"), "Did you mean 'NAdam'"),
        (TorchConfig("LBFGS"), "several times"),
        (TorchConfig("Adam", {"beta": 0.9}), r"parameters.beta: .*'betas'"),
        (TorchConfig("Adam", {"betas": 7}), "does not take them"),
        (TorchConfig("Adam", {"betas": [0.9]}), "does not take them"),
        (TorchConfig("NAdam", {"capturable": True}), "does not take them"),
        (TorchConfig("Adam", {"weight_decay": -1.0}), "does not take them"),
    ],
)
def test_what_torch_does_not_take_is_one_line(settings: TorchConfig, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        TorchOptim(settings)


@pytest.mark.parametrize(
    ("config", "values", "said"),
    [
        (AdaDeltaConfig, {"rho": 1.0}, "optimizer.rho: 1.0 is too large. It is below 1.0."),
        (AdaDeltaConfig, {"eps": 0.0}, "optimizer.eps: 0.0 is too small. It is above 0."),
        (AdamConfig, {"beta1": -0.1}, "optimizer.beta1: -0.1 is too small. It is at least 0.0."),
        (AdamConfig, {"beta2": 1.0}, "optimizer.beta2: 1.0 is too large. It is below 1.0."),
        (AdamConfig, {"eps": float("inf")}, "optimizer.eps: inf is not a finite number"),
        (AdamConfig, {"beta1": float("nan")}, "optimizer.beta1: nan is not a finite number"),
        (TorchConfig, {"parameters": {"lr": 0.1}}, "the step size of an optimizer is the schedule's"),
    ],
)
def test_settings_out_of_range_are_refused(config: type, values: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(said)):
        merge(config, values, "optimizer")
