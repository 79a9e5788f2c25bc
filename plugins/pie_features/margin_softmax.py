"""Margin softmax: cross-entropy over cosines, in which the right class must win by a margin."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

KINDS = ("cosface", "arcface")


def margin_logits(
    cosines: Tensor, labels: Tensor, scale: float, margin: float, kind: str = "cosface"
) -> Tensor:
    """Logits of the margin softmax.

    "cosface" lowers the right class's cosine by the margin (Wang et al. 2018, eq. 4); "arcface" adds the
    margin, in radians, to its angle (Deng et al. 2019, eq. 3), continued linearly where the angle would pass
    π.

    Args:
        cosines: (B, N) of each embedding with each class's centre.
        labels: (B,) int64, the right class.
        scale: factor of all cosines.
        margin: m.
        kind: "cosface" or "arcface".

    Returns:
        (B, N).
    """
    right = cosines.gather(1, labels[:, None])
    if kind == "cosface":
        lowered = right - margin
    elif kind == "arcface":
        bounded = right.clamp(-1.0 + 1e-6, 1.0 - 1e-6)
        turned = bounded * math.cos(margin) - (1.0 - bounded.square()).sqrt() * math.sin(margin)
        lowered = torch.where(bounded > -math.cos(margin), turned, bounded - 1.0 + math.cos(margin))
    else:
        raise ValueError(f"kind is '{kind}'; known: {', '.join(KINDS)}")
    return scale * cosines.scatter(1, labels[:, None], lowered)


def margin_softmax_loss(
    cosines: Tensor, labels: Tensor, scale: float, margin: float, kind: str = "cosface"
) -> Tensor:
    """Cross-entropy of `margin_logits`, mean over the batch; scalar."""
    return functional.cross_entropy(margin_logits(cosines, labels, scale, margin, kind), labels)
