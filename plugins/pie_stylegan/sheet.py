"""A sheet of pictures that shows how far a generator and its inverter are."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from pie_training.augment import to_unit_range
from pie_training.readers import PortraitReader

from .inverter import Inverter
from .stylegan2 import StyleGAN2

COLUMNS = 6


@torch.no_grad()
def sheet(
    generator: StyleGAN2,
    inverter: Inverter,
    reader: PortraitReader,
    rows: Sequence[int],
    size: int,
    prior: Tensor | None = None,
) -> Tensor:
    """A picture (3, H, W) in [-1, 1] of six columns: two rows of portraits over their reconstructions, a row of steps
    between two codes, and a row of samples.

    Args:
        rows: portraits whose codes are looked at; twelve of them are shown.
        size: resolution to stop at, pixels; smaller images are enlarged without smoothing.
        prior: W+ (6, L, D) to show; None draws from a Gaussian with the codes' mean and covariance.
    """
    pixels = to_unit_range(reader.images(list(rows)))
    codes = torch.cat([inverter(part) for part in torch.split(pixels, 20)])
    steps = torch.linspace(0, 1, COLUMNS)[:, None]
    between = codes[0] * (1 - steps) + codes[-1] * steps
    if prior is None:
        rng = torch.Generator().manual_seed(0)
        centred = codes - codes.mean(dim=0)
        mix = torch.randn(COLUMNS, len(codes), generator=rng) / max(1, len(codes) - 1) ** 0.5
        prior = generator.broadcast(codes.mean(dim=0) + mix @ centred)
    picks = torch.split(torch.linspace(0, len(codes) - 1, min(2 * COLUMNS, len(codes))).long(), COLUMNS)
    shown = [item for pick in picks for item in (pixels[pick], generator.broadcast(codes[pick]))]
    strips = []
    for item in (*shown, generator.broadcast(between), prior):
        if item.ndim == 3:
            item = generator.synthesize_pyramid(item, up_to=size)[-1]
            item = F.interpolate(item, size=pixels.shape[-1], mode="nearest")
        item = F.pad(item, (0, 0, 0, 0, 0, 0, 0, COLUMNS - len(item)))
        strips.append(torch.cat(list(item), dim=2))
    return torch.cat(strips, dim=1)
