"""Squared distances, as means or as the paper's sums."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from pie_framework.api.analysis import check_reduction


def reduced(squared: Tensor, reduction: str = "mean") -> Tensor:
    """Squared differences (B, ...) over everything but the batch: their "mean" or their "sum", (B,)."""
    over = tuple(range(1, squared.dim()))
    return squared.sum(dim=over) if check_reduction(reduction) == "sum" else squared.mean(dim=over)


def feature_distance(
    first: Mapping[str, Tensor], second: Mapping[str, Tensor], reduction: str = "mean"
) -> Tensor:
    """Squared distance of two sets of feature maps.

    Args:
        first, second: {layer: (B, C, H, W) or (B, C)} with the same layers and shapes.
        reduction: "mean" over each layer's channels and positions, then over the layers; "sum" over all of them.

    Returns:
        (B,), squared features.
    """
    layers = [reduced((first[name] - second[name]).square().flatten(1), reduction) for name in second]
    together = torch.stack(layers)
    return together.sum(dim=0) if reduction == "sum" else together.mean(dim=0)
