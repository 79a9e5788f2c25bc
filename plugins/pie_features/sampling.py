"""Crops and sizes that the networks expect, differentiable and without aliasing.

Places are given in fractions of the portrait's sides, so that they hold at every resolution.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor
from torch.nn import functional

from pie_framework.errors import ConfigError


def by_colour(values: tuple[float, ...], image: Tensor) -> Tensor:
    """A number for each colour, (C, 1, 1), of the image's dtype and on its device."""
    return _by_colour(values, image.dtype, image.device)


@functools.lru_cache(maxsize=32)
def _by_colour(values: tuple[float, ...], dtype: torch.dtype, device: torch.device) -> Tensor:
    with torch.inference_mode(False):
        return torch.tensor(values, dtype=dtype, device=device)[:, None, None]


def at_most(image: Tensor, side: int) -> Tensor:
    """The image, made smaller so that no side exceeds `side` pixels; 0 leaves every image as it is."""
    height, width = image.shape[-2:]
    longer = max(height, width)
    if not 0 < side < longer:
        return image
    size = (max(1, round(height * side / longer)), max(1, round(width * side / longer)))
    return resized(image, size)


def resized(image: Tensor, size: tuple[int, int]) -> Tensor:
    """Bilinear with antialiasing to (height, width); an image of that size comes back as it is."""
    if tuple(image.shape[-2:]) == size:
        return image
    return functional.interpolate(image, size, mode="bilinear", align_corners=False, antialias=True)


def crop(image: Tensor, box: Sequence[float], side: int) -> Tensor:
    """A rectangle of the portrait as a square of `side` pixels.

    Args:
        image: (B, C, H, W).
        box: left, top, right, bottom in fractions of the sides, rounded to whole pixels.
        side: pixels.
    """
    height, width = image.shape[-2:]
    left, top, right, bottom = box
    rows = slice(round(top * height), round(bottom * height))
    columns = slice(round(left * width), round(right * width))
    return resized(image[:, :, rows, columns], (side, side))


def check_box(box: Sequence[float], where: str = "crop") -> None:
    """ConfigError unless left, top, right, bottom are a rectangle inside the portrait."""
    left, top, right, bottom = box
    if not (0.0 <= left < right <= 1.0 and 0.0 <= top < bottom <= 1.0):
        raise ConfigError(
            f"{where} is {list(box)}",
            "It is left, top, right, bottom in fractions of the portrait's sides, each from 0 to 1.",
        )


def similarity(source: ArrayLike, target: ArrayLike) -> NDArray[np.float64]:
    """The turn, uniform scale and shift that bring points nearest to others (least squares, no reflection).

    With points as complex numbers it is z' = αz + β with α = Σ conj(z - mean) (z' - mean') / Σ |z - mean|².

    Args:
        source: (N, 2), not all equal.
        target: (N, 2).

    Returns:
        (2, 3) matrix that takes (x, y, 1) of the source to the target.

    Raises:
        ConfigError: the source's points coincide.
    """
    z, w = (np.asarray(points, dtype=np.float64) @ np.array([1.0, 1.0j]) for points in (source, target))
    centred = z - z.mean()
    spread = float((np.abs(centred) ** 2).sum())
    if not spread > 1e-12:
        raise ConfigError("the points of a similarity coincide", "Give points that lie apart.")
    alpha = (centred.conj() * (w - w.mean())).sum() / spread
    beta = w.mean() - alpha * z.mean()
    return np.array([[alpha.real, -alpha.imag, beta.real], [alpha.imag, alpha.real, beta.imag]])


@functools.lru_cache(maxsize=16)
def _grid(theta: tuple[float, ...], side: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Places (1, side, side, 2) that a (2, 3) matrix gives the pixels of a square, for `grid_sample`; made once."""
    with torch.inference_mode(False):
        matrix = torch.tensor(theta, dtype=dtype, device=device).view(1, 2, 3)
        return functional.affine_grid(matrix, [1, 1, side, side], align_corners=False)


def warped(image: Tensor, to_crop: NDArray[np.float64], side: int) -> Tensor:
    """A square of `side` pixels seen through a similarity, differentiable in the image.

    Where the crop shows the portrait smaller, the portrait is first reduced with antialiasing to two pixels for each
    of the crop, read bilinearly twice as densely in both directions, and averaged. Outside the portrait its border
    goes on.

    Args:
        image: (B, C, H, W).
        to_crop: (2, 3), from fractions of the portrait's sides to the crop's pixels (origin at the top-left corner,
            pixel centres at +0.5).
        side: pixels of the crop's side.
    """
    inverse = np.linalg.inv(np.vstack([to_crop, [0.0, 0.0, 1.0]]))[:2]
    step = math.hypot(inverse[0, 0], inverse[1, 0])  # of the portrait's side, for one pixel of the crop
    longer = max(image.shape[-2:])
    samples = 2 if step * longer > 1.0 else 1
    image = at_most(image, math.ceil(2.0 / step)) if samples == 2 else image
    half = side / 2.0
    linear = inverse[:, :2] * side
    shift = 2.0 * (inverse[:, :2] @ np.array([half, half]) + inverse[:, 2]) - 1.0
    theta = tuple(np.column_stack([linear, shift]).reshape(-1).tolist())
    grid = _grid(theta, side * samples, image.dtype, image.device)
    found = functional.grid_sample(
        image,
        grid.expand(len(image), -1, -1, -1),
        mode="bilinear",
        padding_mode="border",
        align_corners=False,
    )
    return functional.avg_pool2d(found, samples) if samples > 1 else found
