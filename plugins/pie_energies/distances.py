"""Distances between feature maps."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor


def feature_distance(first: Mapping[str, Tensor], second: Mapping[str, Tensor]) -> Tensor:
    """Squared distance of two sets of feature maps.

    Args:
        first, second: {layer: (B, C, H, W) or (B, C)} with the same layers and shapes.

    Returns:
        (B,): mean over each layer's channels and positions, then over the layers.
    """
    per_layer = [(first[name] - second[name]).square().flatten(1).mean(dim=1) for name in second]
    return torch.stack(per_layer).mean(dim=0)
