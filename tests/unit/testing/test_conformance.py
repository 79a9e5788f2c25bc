"""The conformance suites see what is wrong, not only what is right."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor

from pie_framework.testing.suites._watching import Snapshot
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
    with pytest.raises(AssertionError, match=r"layers\.0\.weight"):
        Suite().check_frozen(SimpleNamespace(layers=[torch.nn.Linear(2, 2)]))


def test_a_few_pixels_at_edges_may_differ() -> None:
    suite, image = _Double(), torch.zeros(2, 3, 32, 32)
    other = image.clone()
    other[0, :, 3, :4] = 1.0
    suite.alike(other, image, "the image")
    other[0, :, 4, :] = 1.0
    with pytest.raises(AssertionError, match=r"1\.8 % of the pixels"):
        suite.alike(other, image, "the image")


def test_bits_are_compared_on_the_processor_only() -> None:
    found = torch.ones(2, dtype=torch.float64)
    with pytest.raises(AssertionError, match="not the same"):
        _Double().same(found, found + 1e-12, "not the same")
    type("OnGpu", (_Double,), {"device": torch.device("cuda")})().same(found, found + 1e-12, "not the same")


def test_what_is_kept_of_objects() -> None:
    deep = torch.nn.Linear(2, 2)
    outer: torch.nn.Module = deep
    for _ in range(9):
        outer = torch.nn.Sequential(outer)
    values = torch.tensor([0.0, float("nan"), float("inf")])
    before = Snapshot(network=SimpleNamespace(part=outer), values=values, module=sys)
    before.check()
    values[1] = 0.0
    with pytest.raises(AssertionError, match="values was changed"):
        before.check()
    values[1] = float("nan")
    with torch.no_grad():
        deep.bias += 1
    with pytest.raises(AssertionError, match=r"part(\.0){9}\.bias was changed"):
        before.check()


def test_what_must_be_overridden() -> None:
    with pytest.raises(NotImplementedError, match="build"):
        Suite().build()
