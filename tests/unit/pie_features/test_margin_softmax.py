from __future__ import annotations

import math

import pytest
import torch

from pie_features.margin_softmax import margin_logits, margin_softmax_loss
from pie_features.verification import verification_figures


@pytest.mark.parametrize("kind", ["cosface", "arcface"])
def test_loss_equals_its_definition(kind: str) -> None:
    generator = torch.Generator().manual_seed(0)
    cosines = torch.rand(5, 4, generator=generator, dtype=torch.float64) * 1.6 - 0.8
    labels = torch.tensor([0, 3, 1, 2, 0])
    scale, margin = 7.0, 0.3
    total = 0.0
    for row, label in zip(cosines.tolist(), labels.tolist(), strict=True):
        right = row[label] - margin if kind == "cosface" else math.cos(math.acos(row[label]) + margin)
        others = sum(math.exp(scale * value) for i, value in enumerate(row) if i != label)
        total -= math.log(math.exp(scale * right) / (math.exp(scale * right) + others))
    loss = margin_softmax_loss(cosines, labels, scale, margin, kind)
    assert float(loss) == pytest.approx(total / 5, rel=1e-6)


def test_without_margin_it_is_the_softmax() -> None:
    cosines, labels = torch.rand(3, 4), torch.tensor([1, 2, 3])
    for kind in ("cosface", "arcface"):
        assert torch.allclose(margin_logits(cosines, labels, 5.0, 0.0, kind), 5 * cosines, atol=1e-4)


def test_the_angle_margin_never_rewards_and_its_gradient_is_finite() -> None:
    cosines = torch.linspace(-1, 1, 101)[:, None].requires_grad_(True)
    lowered = margin_logits(cosines, torch.zeros(101, dtype=torch.int64), 1.0, 0.5, "arcface")
    assert (lowered.detach() <= cosines.detach() + 1e-6).all()
    assert (lowered.detach().diff(dim=0) > -1e-6).all()
    lowered.sum().backward()
    assert torch.isfinite(cosines.grad).all()


def test_unknown_kind() -> None:
    with pytest.raises(ValueError, match="cosface"):
        margin_logits(torch.rand(1, 2), torch.tensor([0]), 1.0, 0.1, "other")


def test_verification_of_perfect_and_of_random_embeddings() -> None:
    persons = torch.arange(40).repeat_interleave(3)
    perfect = torch.eye(40)[persons]
    assert verification_figures(perfect, persons)["accuracy"] == pytest.approx(1.0)
    noise = torch.nn.functional.normalize(
        torch.randn(120, 8, generator=torch.Generator().manual_seed(0)), dim=1
    )
    assert verification_figures(noise, persons)["accuracy"] == pytest.approx(0.5, abs=0.1)
