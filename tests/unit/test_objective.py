from __future__ import annotations

from collections.abc import Mapping

import pytest
import torch
from torch import Tensor

from pie_framework.api import LatentView, TargetView
from pie_framework.errors import ConfigError
from pie_framework.objective import Objective, WeightedTerm
from pie_framework.testing.toys import toy_networks


class Constant:
    def __init__(self, value: float) -> None:
        self.value = value
        self.calls = 0

    def energy(self, view: LatentView, target: TargetView) -> Tensor:
        self.calls += 1
        return torch.full((view.batch,), self.value) + 0.0 * view.latent.sum(dim=(1, 2))


class TwoParts:
    def energy(self, view: LatentView, target: TargetView) -> Mapping[str, Tensor]:
        size = view.latent.square().sum(dim=(1, 2))
        return {"a": size, "b": 2 * size}


@pytest.fixture
def view_and_target() -> tuple[LatentView, TargetView]:
    networks = toy_networks()
    latent = networks.generator.sample(2, torch.Generator().manual_seed(0))
    return LatentView(networks, latent), TargetView(networks, networks.generator.synthesize(latent))


def test_sum_of_weighted_parts(view_and_target: tuple[LatentView, TargetView]) -> None:
    view, target = view_and_target
    objective = Objective(
        {"c": WeightedTerm(Constant(3.0), 2.0), "p": WeightedTerm(TwoParts(), 10.0, {"b": 0.5})}
    )
    breakdown = objective(view, target, "w")
    size = view.latent.square().sum(dim=(1, 2))
    torch.testing.assert_close(breakdown.total, 6.0 + 10 * size + 10 * 0.5 * 2 * size)
    assert set(breakdown.raw) == {"c", "p.a", "p.b"}
    torch.testing.assert_close(sum(breakdown.weighted.values()), breakdown.total)


def test_weight_zero_is_not_evaluated_and_weights_can_differ_by_stage(
    view_and_target: tuple[LatentView, TargetView],
) -> None:
    view, target = view_and_target
    off, late = Constant(1.0), Constant(1.0)
    objective = Objective({"off": WeightedTerm(off, 0.0), "late": WeightedTerm(late, {"w_plus": 3.0})})
    assert objective(view, target, "w").total.tolist() == [0.0, 0.0]
    assert (off.calls, late.calls) == (0, 0)
    assert objective(view, target, "w_plus").total.tolist() == [3.0, 3.0]
    assert (off.calls, late.calls) == (0, 1)


def test_nothing_to_minimise_and_unknown_parts_are_errors(
    view_and_target: tuple[LatentView, TargetView],
) -> None:
    with pytest.raises(ConfigError, match="no term"):
        Objective({"off": WeightedTerm(Constant(1.0), 0.0)})
    with pytest.raises(ConfigError, match=r"no part 'aa'.*'a'"):
        Objective({"p": WeightedTerm(TwoParts(), 1.0, {"aa": 1.0})})(*view_and_target, "w")
