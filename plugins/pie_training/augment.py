"""Augmentation of training portraits: what generated images and photos show and clean renderings do not."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

#: Where each of the 66 landmarks goes when the image is flipped left-right (iBUG order without 60 and 64).
MIRRORED_LANDMARKS = (
    *range(16, -1, -1),
    *range(26, 16, -1),
    *range(27, 31),
    *range(35, 30, -1),
    *(45, 44, 43, 42, 47, 46),
    *(39, 38, 37, 36, 41, 40),
    *(54, 53, 52, 51, 50, 49, 48, 59, 58, 57, 56, 55),
    *(62, 61, 60, 65, 64, 63),
)


def to_unit_range(images: NDArray[np.uint8]) -> Tensor:
    """(n, S, S, 3) uint8 -> (n, 3, S, S) float32 in [-1, 1], channels-last in memory."""
    return torch.from_numpy(images).permute(0, 3, 1, 2).float().div_(127.5).sub_(1.0)


def uniform(n: int, low: float, high: float, rng: torch.Generator) -> Tensor:
    """(n,) uniform draws in [low, high)."""
    return low + (high - low) * torch.rand(n, generator=rng)


def draw(count: int, n: int, rng: torch.Generator) -> NDArray[Any]:
    """n indices below `count`, with replacement, (n,) int64."""
    indices: NDArray[Any] = torch.randint(count, (n,), generator=rng).numpy()
    return indices


def degrade(images: Tensor, rng: torch.Generator, colour: float = 0.1) -> Tensor:
    """Blur, lose resolution, add noise, shift colours: each quarter of the batch is treated in its own way.

    Args:
        images: (B, 3, H, W) in [-1, 1], in random order.
        rng: source of the draws.
        colour: strength of the change of brightness, contrast and tint.

    Returns:
        (B, 3, H, W).
    """
    n, side = len(images), images.shape[-1]
    quarter = (n + 3) // 4
    parts = list(torch.split(images, quarter))
    if len(parts) > 1:
        small = max(8, int(side * float(uniform(1, 0.3, 0.8, rng))))
        lower = functional.interpolate(parts[1], (small, small), mode="area")
        parts[1] = functional.interpolate(lower, (side, side), mode="bilinear", align_corners=False)
    if len(parts) > 2:
        parts[2] = gaussian_blur(parts[2], side / 128.0 * float(uniform(1, 0.5, 2.2, rng)))
    if len(parts) > 3:
        noise = torch.randn(parts[3].shape, generator=rng) * float(uniform(1, 0.02, 0.15, rng))
        parts[3] = gaussian_blur(parts[3] + noise, side / 128.0 * float(uniform(1, 0.3, 0.9, rng)))
    images = torch.cat(parts)
    gain = 1.0 + colour * torch.randn(n, 1, 1, 1, generator=rng)
    shift = colour * torch.randn(n, 1, 1, 1, generator=rng) + 0.4 * colour * torch.randn(
        n, 3, 1, 1, generator=rng
    )
    return images * gain + shift


def gaussian_blur(images: Tensor, sigma: float) -> Tensor:
    """Separable Gaussian blur of (B, C, H, W), reflected at the border; sigma in pixels."""
    reach = max(1, math.ceil(2.5 * sigma))
    offsets = torch.arange(-reach, reach + 1, dtype=images.dtype, device=images.device)
    kernel = torch.exp(-0.5 * (offsets / sigma) ** 2)
    kernel = kernel / kernel.sum()
    channels = images.shape[1]
    row = kernel.view(1, 1, 1, -1).expand(channels, 1, 1, -1)
    column = kernel.view(1, 1, -1, 1).expand(channels, 1, -1, 1)
    images = functional.conv2d(
        functional.pad(images, (reach, reach, 0, 0), mode="reflect"), row, groups=channels
    )
    return functional.conv2d(
        functional.pad(images, (0, 0, reach, reach), mode="reflect"), column, groups=channels
    )


def mirror(images: Tensor, landmarks: Tensor, which: Tensor) -> tuple[Tensor, Tensor]:
    """Flip the chosen portraits left-right, and their landmarks with them.

    Args:
        images: (B, C, H, W).
        landmarks: (B, 66, 2) pixels.
        which: (B,) bool.
    """
    flipped = landmarks[:, list(MIRRORED_LANDMARKS)]
    flipped = torch.stack([images.shape[-1] - flipped[..., 0], flipped[..., 1]], dim=-1)
    return (
        torch.where(which[:, None, None, None], images.flip(-1), images),
        torch.where(which[:, None, None], flipped, landmarks),
    )


def move(
    images: Tensor, landmarks: Tensor, rng: torch.Generator, degrees: float, scale: float, shift: float
) -> tuple[Tensor, Tensor]:
    """Turn, scale and shift each portrait about its centre; what lies outside repeats the border.

    Args:
        images: (B, 3, H, H).
        landmarks: (B, K, 2) pixels.
        rng: source of the draws, all uniform.
        degrees: largest turn.
        scale: largest change of size, as a fraction.
        shift: largest shift, as a fraction of the side.
    """
    n, side = len(images), images.shape[-1]
    angle = uniform(n, -math.radians(degrees), math.radians(degrees), rng)
    factor = 1.0 + uniform(n, -scale, scale, rng)
    offset = torch.stack([uniform(n, -shift, shift, rng), uniform(n, -shift, shift, rng)], dim=-1) * 2.0
    cos, sin = factor * torch.cos(angle), factor * torch.sin(angle)
    forward = torch.stack([torch.stack([cos, -sin], -1), torch.stack([sin, cos], -1)], dim=-2)
    centred = landmarks / side * 2.0 - 1.0
    moved = torch.einsum("bij,bkj->bki", forward, centred) + offset[:, None]
    back = torch.linalg.inv(forward)
    affine = torch.cat([back, -(back @ offset[:, :, None])], dim=-1)
    grid = functional.affine_grid(affine, list(images.shape), align_corners=False)
    warped = functional.grid_sample(images, grid, mode="bilinear", padding_mode="border", align_corners=False)
    return warped, (moved + 1.0) * side / 2.0
