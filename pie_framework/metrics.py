"""How alike two images are. Images are (B, C, H, W) in [-1, 1]; every measure is per image, (B,)."""

from __future__ import annotations

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
    squared = (image - reference).square()
    if mask is None:
        error = squared.mean(dim=(1, 2, 3))
    else:
        error = (squared * mask).sum(dim=(1, 2, 3)) / (mask.sum(dim=(1, 2, 3)) * image.shape[1]).clamp_min(
            1e-12
        )
    return (10 * torch.log10(4.0 / error.clamp_min(1e-30))).clamp_max(MAX_PSNR)


def ssim(image: Tensor, reference: Tensor, window: int = 11, sigma: float = 1.5) -> Tensor:
    """Structural similarity (Wang et al. 2004) with a Gaussian window, mean over the positions where it fits.

    Args:
        image, reference: (B, C, H, W) in [-1, 1], at least `window` pixels on each side.
        window: side of the window in pixels.
        sigma: of the Gaussian, in pixels.
    """
    channels = image.shape[1]
    offsets = torch.arange(window, device=image.device, dtype=image.dtype) - (window - 1) / 2
    gauss = torch.exp(-0.5 * (offsets / sigma).square())
    gauss = gauss / gauss.sum()

    def blur(values: Tensor) -> Tensor:
        rows = functional.conv2d(values, gauss.view(1, 1, 1, -1).expand(channels, 1, 1, -1), groups=channels)
        return functional.conv2d(rows, gauss.view(1, 1, -1, 1).expand(channels, 1, -1, 1), groups=channels)

    mean_a, mean_b = blur(image), blur(reference)
    var_a = blur(image.square()) - mean_a.square()
    var_b = blur(reference.square()) - mean_b.square()
    covariance = blur(image * reference) - mean_a * mean_b
    c1, c2 = (0.01 * 2.0) ** 2, (0.03 * 2.0) ** 2
    numerator = (2 * mean_a * mean_b + c1) * (2 * covariance + c2)
    denominator = (mean_a.square() + mean_b.square() + c1) * (var_a + var_b + c2)
    return (numerator / denominator).mean(dim=(1, 2, 3))
