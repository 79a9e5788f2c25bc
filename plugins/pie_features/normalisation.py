"""Feature maps on a common scale."""

from __future__ import annotations

from torch import Tensor

EPS = 1e-6


def unit_mean_square(features: Tensor) -> Tensor:
    """Scale each position's channels to a mean square of one.

    With it the mean squared difference of two maps is twice one minus the mean cosine of their positions,
    whatever the number of channels (LPIPS, Zhang et al. 2018, eq. 1, up to the factor C).

    Args:
        features: (B, C, ...).
    """
    return features * (features.square().mean(dim=1, keepdim=True) + EPS).rsqrt()
