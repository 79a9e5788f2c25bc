"""What somebody changed that is not his own is named as he wrote it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from pie_framework.api import LatentView, TargetView
from pie_framework.optimisation.watching import Watch
from pie_framework.testing.toys import toy_networks

Given = tuple[LatentView, TargetView]


@pytest.fixture
def given() -> Given:
    """A view and a target that hold values of every sort."""
    networks = toy_networks()
    latent = networks.generator.sample(2, torch.Generator().manual_seed(0)).contiguous().requires_grad_()
    view, target = LatentView(networks, latent), TargetView(networks, torch.zeros(2, 3, 16, 16))
    view.memo("glow", lambda: torch.ones(3))
    view.memo("ab", lambda: torch.ones(3))
    view.memo(("glow", "far", "away"), lambda: torch.ones(3))
    view.memo(("glow",), lambda: torch.ones(3))
    view.memo("counts", lambda: torch.tensor([1, 2]))
    view.memo("half", lambda: torch.tensor([torch.nan, 1.0]))
    view.memo("number", lambda: 3)
    target.memo(("map", "of"), lambda: {"one": torch.ones(2), "two": "text"})
    with torch.inference_mode():
        seen = torch.ones(3)
    target.memo("seen", lambda: seen)
    return view, target


def at(memo: Any, key: Any) -> Tensor:
    found: Tensor = memo.values()[key]
    return found


CHANGES: dict[str, Callable[[LatentView, TargetView], object]] = {
    "view.glow": lambda v, t: at(v, "glow").add_(1),
    "view.ab": lambda v, t: at(v, "ab").data.add_(1),
    "view.('glow', 'far', 'away')": lambda v, t: at(v, ("glow", "far", "away")).mul_(1),
    "view.('glow',)": lambda v, t: at(v, ("glow",)).mul_(1),
    "view.counts": lambda v, t: at(v, "counts").data.add_(1),
    "view.half": lambda v, t: at(v, "half").data.nan_to_num_(),
    "view.latent": lambda v, t: v.latent.data.neg_(),
    "target.map('of')['one']": lambda v, t: t.memo(("map", "of"), dict)["one"].add_(1),
    "target.seen": lambda v, t: at(t, "seen").data.add_(1),
    "target.image": lambda v, t: t.image.data[0, 0, 0, :2].copy_(torch.tensor([1.0, -1.0])),
    "weights of the component 'generator'": lambda v, t: v.networks.generator.mixing.mul_(1),  # type: ignore[attr-defined]
    "weights of the component 'features.recognition'": lambda v, t: v.networks.features[
        "recognition"
    ].projection.zero_(),  # type: ignore[attr-defined]
}


@pytest.mark.parametrize("what", list(CHANGES))
def test_a_change_is_named(given: Given, what: str) -> None:
    view, target = given
    watch = Watch(view, target)
    assert watch.changed() == ""
    with torch.no_grad(), torch.inference_mode(what == "target.seen"):
        CHANGES[what](view, target)
    assert watch.changed() == what


def test_looking_and_asking_for_more_is_no_change(given: Given) -> None:
    view, target = given
    watch = Watch(view, target)
    view.image.sum().backward()
    assert target.features("perceptual") and view.theta is not None
    _ = at(view, "half") * 2
    assert watch.changed() == ""


def test_watching_keeps_no_graph(given: Given) -> None:
    view, target = given
    Watch(view, target)
    assert view.latent.grad is None and view.latent.requires_grad


def test_values_cannot_be_replaced_in_what_was_seen(given: Given) -> None:
    (seen, *_) = Watch(*given)._seen
    with pytest.raises(AttributeError):
        seen.what = "other"  # type: ignore[misc]
