"""The reconstruction loss of the autoencoder: a pyramid of differences, weighted by the regions of the face.

Eyes and mouth hold a percent of the pixels and nearly all of what expression changes, so they must weigh more than
their area.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

COARSEST = 8


def region_weight_map(regions: Tensor, weights: Sequence[float]) -> Tensor:
    """Labels (B, H, W) uint8 -> weights (B, 1, H, W) float32, mean one over each image. Unknown labels weigh one."""
    table = torch.ones(256)
    table[: len(weights)] = torch.tensor(list(weights), dtype=torch.float32)
    mapped = table.to(regions.device)[regions.long()][:, None]
    return mapped / mapped.mean(dim=(1, 2, 3), keepdim=True)


def gradients(x: Tensor) -> tuple[Tensor, Tensor]:
    """Forward differences of x (B, C, H, W) along width (B, C, H, W-1) and height (B, C, H-1, W)."""
    return x[..., 1:] - x[..., :-1], x[..., 1:, :] - x[..., :-1, :]


def pyramid_loss(
    image: Tensor, target: Tensor, weight: Tensor, *, sharpness: float = 1.0, texture: float = 0.0
) -> Tensor:
    """Weighted squared, absolute and gradient differences on every scale from the image's down to 8 pixels; a scalar.

    Each scale contributes the mean over batch, channels and pixels of weight * (d^2 + |d| / 2), plus the mean of
    weight * |gradient of d|.

    Args:
        image, target: (B, 3, S, S).
        weight: (B, 1, S, S), mean one.
        sharpness: factor of the gradient term on the finest scale.
        texture: weight of the difference in mean gradient magnitude over 4x4 windows on the finest scale, which
            asks for the right amount of detail where its place cannot be known.
    """
    total = image.new_zeros(())
    difference = image - target
    finest = True
    while True:
        magnitude = difference.abs()
        total = total + (weight * (difference.square() + 0.5 * magnitude)).mean()
        dx, dy = gradients(difference)
        factor = sharpness if finest else 1.0
        slopes = (weight[..., 1:] * dx.abs()).mean() + (weight[..., 1:, :] * dy.abs()).mean()
        total = total + factor * slopes
        if finest and texture > 0:
            total = total + texture * (weight_of(weight) * (detail(image) - detail(target)).abs()).mean()
        finest = False
        if difference.shape[-1] <= COARSEST:
            return total
        difference = F.avg_pool2d(difference, 2)
        weight = F.avg_pool2d(weight, 2)


def weight_of(weight: Tensor) -> Tensor:
    """The weights (B, 1, S, S) of the windows of `detail`, (B, 1, S/4, S/4)."""
    return F.avg_pool2d(weight, 4)


def detail(image: Tensor) -> Tensor:
    """Mean gradient magnitude in 4x4 windows: (B, C, S, S) -> (B, C, S/4, S/4)."""
    dx, dy = gradients(image)
    return F.avg_pool2d(F.pad(dx.abs(), (0, 1)) + F.pad(dy.abs(), (0, 0, 0, 1)), 4)


def psnr(image: Tensor, target: Tensor) -> Tensor:
    """Peak signal-to-noise ratio per image in dB for images in [-1, 1]: (B, C, H, W) -> (B,)."""
    error = (image.clamp(-1, 1) - target).square().flatten(1).mean(dim=1)
    return 10 * torch.log10(4.0 / error.clamp_min(1e-12))
