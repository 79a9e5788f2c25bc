"""Sample sheets: pictures side by side, with landmarks drawn in."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

#: Colours of drawn landmarks, RGB in [-1, 1].
GREEN, RED = (-0.6, 1.0, -0.4), (1.0, -0.5, -0.5)


def grid(columns: Sequence[Tensor], largest: int = 256) -> Tensor:
    """Columns of pictures, each (n, 3, S, S) in [-1, 1] -> one picture (3, n * s, columns * s).

    Args:
        columns: of the same n; they may differ in side.
        largest: pictures are brought to the side of the first column, and to no more than this.
    """
    side = min(largest, columns[0].shape[-1])
    cells = [_resized(column.detach().float().cpu(), side) for column in columns]
    rows = torch.cat(cells, dim=3)
    return torch.cat(list(rows), dim=1)


def with_points(images: Tensor, points: Tensor, colour: tuple[float, float, float] = GREEN) -> Tensor:
    """Images (n, 3, S, S) with dots at (n, K, 2) pixels; dots outside are left out."""
    drawn = images.detach().float().cpu().clone()
    size = drawn.shape[-1]
    reach = max(0, size // 160)
    offsets = [(i, j) for i in range(-reach, reach + 1) for j in range(-reach, reach + 1)]
    cells = points.detach().float().cpu().floor().long()
    for image, places in zip(drawn, cells, strict=True):
        for i, j in offsets:
            x, y = places[:, 0] + i, places[:, 1] + j
            inside = (x >= 0) & (x < size) & (y >= 0) & (y < size)
            image[:, y[inside], x[inside]] = torch.tensor(colour)[:, None]
    return drawn


def _resized(images: Tensor, side: int) -> Tensor:
    if images.shape[-1] == side:
        return images
    if images.shape[-1] > side:
        return functional.interpolate(images, (side, side), mode="area")
    return functional.interpolate(images, (side, side), mode="bilinear", align_corners=False)
