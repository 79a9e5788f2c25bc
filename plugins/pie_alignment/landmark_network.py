"""The landmark detector of the embedded world: heat maps, and the mean position under each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from pie_alignment.landmark_settings import LandmarkSettings
from pie_framework.api import BuildContext
from pie_training.blocks import ConvBlock
from pie_weights.files import load_network

KIND = "landmarks"


class LandmarkNetwork(nn.Module):
    """66 landmarks of the one face in a portrait, differentiable in the image.

    An encoder to 1/16 of the side and a decoder back to 1/4 with skip connections; each landmark is the mean
    of the cells' centres under the softmax of its heat map (soft-argmax), so it is finer than a cell.

    Args:
        side: pixels of the side at which the network works; other images are resized inside.
        widths: channels at 1/2, 1/4, 1/8 and 1/16 of the side.
        landmarks: K.
        folded: without batch normalisation, as weight files hold it.
    """

    def __init__(
        self,
        side: int = 128,
        widths: Sequence[int] = (16, 32, 64, 128),
        landmarks: int = 66,
        folded: bool = True,
    ) -> None:
        super().__init__()
        self.side, self.num_landmarks = side, landmarks
        self.architecture: dict[str, Any] = {"side": side, "widths": list(widths), "landmarks": landmarks}
        half, quarter, eighth, sixteenth = widths
        self.stem = nn.Sequential(nn.PixelUnshuffle(2), ConvBlock(12, half, folded=folded))
        self.quarter = nn.Sequential(
            ConvBlock(half, quarter, stride=2, folded=folded), ConvBlock(quarter, quarter, folded=folded)
        )
        self.eighth = nn.Sequential(
            ConvBlock(quarter, eighth, stride=2, folded=folded),
            ConvBlock(eighth, eighth, folded=folded),
            ConvBlock(eighth, eighth, folded=folded),
        )
        self.sixteenth = nn.Sequential(
            ConvBlock(eighth, sixteenth, stride=2, folded=folded),
            ConvBlock(sixteenth, sixteenth, folded=folded),
            ConvBlock(sixteenth, sixteenth, folded=folded),
        )
        self.up_eighth = ConvBlock(sixteenth, eighth, kernel=1, folded=folded)
        self.merge_eighth = ConvBlock(eighth, eighth, folded=folded)
        self.up_quarter = ConvBlock(eighth, quarter, kernel=1, folded=folded)
        self.merge_quarter = ConvBlock(quarter, 2 * quarter, folded=folded)
        self.heat = nn.Conv2d(2 * quarter, landmarks, 1)

    def heat_maps(self, image: Tensor) -> Tensor:
        """(B, 3, H, W) in [-1, 1] -> logits (B, K, side/4, side/4)."""
        if image.shape[-2:] != (self.side, self.side):
            image = functional.interpolate(
                image, (self.side, self.side), mode="bilinear", align_corners=False, antialias=True
            )
        quarter = self.quarter(self.stem(image.contiguous(memory_format=torch.channels_last)))
        eighth = self.eighth(quarter)
        x = self.sixteenth(eighth)
        x = functional.interpolate(self.up_eighth(x), scale_factor=2.0, mode="nearest")
        x = self.merge_eighth(x + eighth)
        x = functional.interpolate(self.up_quarter(x), scale_factor=2.0, mode="nearest")
        return self.heat(self.merge_quarter(x + quarter))  # type: ignore[no-any-return]

    def detect(self, image: Tensor) -> Tensor:
        """(B, 3, H, W) in [-1, 1] -> (B, K, 2) pixels of that image, origin at its top-left corner."""
        heat = self.heat_maps(image)
        return soft_argmax(heat) * heat.new_tensor([image.shape[-1], image.shape[-2]])


def soft_argmax(logits: Tensor) -> Tensor:
    """Mean position under the softmax of each heat map.

    Args:
        logits: (B, K, h, w).

    Returns:
        (B, K, 2): x and y as fractions of the width and height; cell (i, j) is at ((j + 0.5) / w, (i + 0.5) /
        h).
    """
    height, width = logits.shape[-2:]
    mass = logits.flatten(2).softmax(dim=-1).view_as(logits)
    x = (torch.arange(width, device=logits.device, dtype=logits.dtype) + 0.5) / width
    y = (torch.arange(height, device=logits.device, dtype=logits.dtype) + 0.5) / height
    return torch.stack([(mass.sum(dim=2) * x).sum(dim=-1), (mass.sum(dim=3) * y).sum(dim=-1)], dim=-1)


def build(config: LandmarkSettings, context: BuildContext) -> LandmarkNetwork:
    """The detector from its weight file, frozen; AssetError when the file does not fit."""
    path = context.asset(config.weights)
    return load_network(path, KIND, LandmarkNetwork, context.device, context.dtype)
