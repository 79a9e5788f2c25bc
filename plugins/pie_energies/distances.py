"""Squared distances, as means or as the paper's sums."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from pie_framework.api.analysis import check_reduction

if TYPE_CHECKING:
    from jaxtyping import Float


def reduced(squared: Float[Tensor, "B ..."], reduction: str = "mean") -> Float[Tensor, "B"]:
    """Squared differences over everything but the batch: their "mean" or their "sum"."""
    over = tuple(range(1, squared.dim()))
    return squared.sum(dim=over) if check_reduction(reduction) == "sum" else squared.mean(dim=over)


def feature_distance(
    first: Mapping[str, Float[Tensor, "B ..."]],
    second: Mapping[str, Float[Tensor, "B ..."]],
    reduction: str = "mean",
) -> Float[Tensor, "B"]:
    """Squared distance of two sets of feature maps.

    Args:
        first, second: by layer, (B, C, H, W) or (B, C), with the same layers and shapes.
        reduction: "mean" over each layer's channels and positions, then over the layers; "sum" over all of them.

    Returns:
        Squared features.
    """
    layers = [reduced((first[name] - second[name]).square().flatten(1), reduction) for name in second]
    together = torch.stack(layers)
    return together.sum(dim=0) if reduction == "sum" else together.mean(dim=0)
