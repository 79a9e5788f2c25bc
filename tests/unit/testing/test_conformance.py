"""The conformance suites see what is wrong, not only what is right."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from pie_framework.testing.suites.base import Suite


class _Double(Suite):
    dtype = torch.float64

    def build(self) -> object:
        return object()


_calls: list[float] = []


def _remembers(x: Tensor) -> Tensor:
    _calls.append(1.0)
    return x * len(_calls)


def _mixes_the_batch(x: Tensor) -> Tensor:
    return x - x.mean(dim=0)


def _draws(x: Tensor) -> Tensor:
    torch.rand(1)
    return x


def _writes(x: Tensor) -> Tensor:
    return x.mul_(2.0)


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (_remembers, "differs when asked again"),
        (_mixes_the_batch, "batch against one by one"),
        (_draws, "global random generator"),
        (_writes, "changed in place"),
    ],
)
def test_functions_that_are_none(function: Callable[[Tensor], Tensor], message: str) -> None:
    suite = _Double()
    with pytest.raises(AssertionError, match=message):
        suite.check_function(function, suite.randn(3, 4))


def test_gradients_that_are_wrong_or_missing() -> None:
    suite = _Double()
    with pytest.raises(AssertionError, match="finite differences"):
        suite.check_gradient(lambda x: x.square() + x.detach() ** 3, suite.randn(2, 3))
    with pytest.raises(AssertionError, match="0 everywhere"):
        suite.check_gradient(lambda x: 0.0 * x, suite.randn(2, 3))


def test_weights_that_are_not_frozen() -> None:
    with pytest.raises(AssertionError, match="ask for gradients"):
        Suite().check_frozen(torch.nn.Linear(2, 2))
    with pytest.raises(AssertionError, match="training mode"):
        Suite().check_frozen(torch.nn.Sequential(torch.nn.BatchNorm1d(2, affine=False)))


def test_what_must_be_overridden() -> None:
    with pytest.raises(NotImplementedError, match="build"):
        Suite().build()
