"""How alike two images are. Images are (B, C, H, W) in [-1, 1]; every measure is per image, (B,).

A mask (B, 1, H, W) of values in [0, 1] weighs the pixels; where it is 0 everywhere the measure is NaN.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional

#: PSNR of equal images, which would be infinite.
MAX_PSNR = 100.0


def psnr(image: Tensor, reference: Tensor, mask: Tensor | None = None) -> Tensor:
    """Peak signal-to-noise ratio in dB, at most `MAX_PSNR`; the range of the values is 2.

    Args:
        image, reference: (B, C, H, W) in [-1, 1].
        mask: (B, 1, H, W), pixels that count; all by default.
    """
    squared = (image - reference).square().mean(dim=1, keepdim=True)
    error = squared.mean(dim=(1, 2, 3)) if mask is None else masked_mean(squared, mask)
    return (10 * torch.log10(4.0 / error.clamp_min(1e-30))).clamp_max(MAX_PSNR)


def masked_mean(values: Tensor, mask: Tensor) -> Tensor:
    """Mean of (B, 1, H, W) weighed by a mask of that shape, (B,); NaN where the mask is empty."""
    return (values * mask).sum(dim=(1, 2, 3)) / mask.sum(dim=(1, 2, 3))


def ssim(
    image: Tensor, reference: Tensor, mask: Tensor | None = None, window: int = 11, sigma: float = 1.5
) -> Tensor:
    """Structural similarity (Wang et al. 2004) with a Gaussian window.

    Args:
        image, reference: (B, C, H, W) in [-1, 1], at least `window` pixels on each side.
        mask: (B, 1, H, W); mean over its pixels, each with its surroundings in the window, which is cut where the
            image ends. Without one, mean over the positions where the whole window fits.
        window: side of the window in pixels, odd.
        sigma: of the Gaussian, in pixels.
    """
    values = ssim_map(image, reference, window, sigma)
    if mask is not None:
        return masked_mean(values, mask)
    edge = window // 2
    return values[..., edge : values.shape[-2] - edge, edge : values.shape[-1] - edge].mean(dim=(1, 2, 3))


def ssim_map(image: Tensor, reference: Tensor, window: int = 11, sigma: float = 1.5) -> Tensor:
    """Structural similarity around every pixel, (B, 1, H, W), mean over the channels; exactly 1 for equal images.

    At the edges the window is cut off and its weights are scaled to sum to one again.
    """
    edge = window // 2
    offsets = torch.arange(window, device=image.device, dtype=image.dtype) - edge
    gauss = torch.exp(-0.5 * (offsets / sigma).square())
    gauss = gauss / gauss.sum()

    def spread(values: Tensor) -> Tensor:
        count = values.shape[1]
        across, down = gauss.view(1, 1, 1, -1), gauss.view(1, 1, -1, 1)
        rows = functional.conv2d(values, across.expand(count, 1, 1, -1), padding=(0, edge), groups=count)
        return functional.conv2d(rows, down.expand(count, 1, -1, 1), padding=(edge, 0), groups=count)

    inside = spread(image.new_ones(1, 1, *image.shape[-2:]))

    def blur(values: Tensor) -> Tensor:
        return spread(values) / inside

    mean_a, mean_b = blur(image), blur(reference)
    var_a = blur(image.square()) - mean_a.square()
    var_b = blur(reference.square()) - mean_b.square()
    covariance = blur(image * reference) - mean_a * mean_b
    c1, c2 = (0.01 * 2.0) ** 2, (0.03 * 2.0) ** 2
    numerator = (2 * mean_a * mean_b + c1) * (2 * covariance + c2)
    denominator = (mean_a.square() + mean_b.square() + c1) * (var_a + var_b + c2)
    return (numerator / denominator).mean(dim=1, keepdim=True)


def feature_distance(
    first: Mapping[str, Tensor], second: Mapping[str, Tensor], mask: Tensor | None = None
) -> Tensor:
    """Squared distance of two sets of feature maps, (B,).

    Mean over each layer's channels and positions, then over the layers. A mask is averaged down to each layer's
    positions and weighs them; a layer without positions counts as a whole whatever the mask.

    Args:
        first, second: {layer: (B, C, H', W') or (B, C)} with the same layers and shapes.
        mask: (B, 1, H, W), pixels of the image that count; all by default.
    """
    per_layer = []
    for name, features in second.items():
        squared = (first[name] - features).square().mean(dim=1, keepdim=True)
        if mask is None or squared.dim() != 4:
            per_layer.append(squared.flatten(1).mean(dim=1))
        else:
            height, width = squared.shape[-2:]
            per_layer.append(masked_mean(squared, functional.adaptive_avg_pool2d(mask, (height, width))))
    return torch.stack(per_layer).mean(dim=0)
