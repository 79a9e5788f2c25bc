"""The inverter: a small convolutional network that guesses the latent w of a portrait.

Trained together with the generator as an autoencoder, it gives the optimisation in W a start close to the answer.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pie_framework.errors import ConfigError

from .layers import LRELU_GAIN, LRELU_SLOPE, FullyConnected

GRID = 32


@dataclass(frozen=True)
class InverterConfig:
    """The architecture; saved beside the weights.

    Args:
        resolution: side of the image, pixels; a power of two from 8 on.
        latent_dim: D.
        channels: feature channels at 32, 16, 8, 4 pixels (fewer from the front for images under 32).
    """

    resolution: int = 128
    latent_dim: int = 512
    channels: tuple[int, ...] = (64, 128, 256, 256)

    def __post_init__(self) -> None:
        object.__setattr__(self, "channels", tuple(int(c) for c in self.channels))
        stages = int(math.log2(max(4, min(self.resolution, GRID)))) - 1
        if self.resolution < 8 or self.resolution & (self.resolution - 1):
            raise ConfigError(f"inverter resolution {self.resolution} is not a power of two from 8 on")
        if len(self.channels) != stages:
            raise ConfigError(
                f"an inverter for {self.resolution} pixels has {stages} stages but channels lists {len(self.channels)}"
            )

    def as_dict(self) -> dict[str, object]:
        """Plain values, for JSON."""
        return {**asdict(self), "channels": list(self.channels)}


class EqualizedConv(nn.Module):
    """3x3 convolution with weights stored at unit scale, bias and leaky ReLU; computes in the dtype of its input."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(out_channels, in_channels, 3, 3))
        self.bias = nn.Parameter(torch.zeros(out_channels))
        self.gain = LRELU_GAIN / math.sqrt(9 * in_channels)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, O, H, W)."""
        y = F.conv2d(
            x, (self.weight * self.gain).to(x.dtype), (self.bias * LRELU_GAIN).to(x.dtype), padding=1
        )
        return F.leaky_relu(y, LRELU_SLOPE, inplace=True)


class Inverter(nn.Module):
    """image -> w.

    Args:
        config: the architecture.
        compute_dtype: dtype of the feature maps; weights and the result stay float32.
    """

    def __init__(self, config: InverterConfig, *, compute_dtype: torch.dtype | None = None) -> None:
        super().__init__()
        self.config = config
        self.compute_dtype = compute_dtype
        self.resolution = config.resolution
        self.fold = max(1, config.resolution // GRID)
        widths = config.channels
        self.entries = nn.ModuleList(
            EqualizedConv(a, b) for a, b in zip((3 * self.fold**2, *widths[:-1]), widths, strict=True)
        )
        self.residuals = nn.ModuleList(EqualizedConv(c, c) for c in widths)
        self.hidden = FullyConnected(widths[-1] * 16, config.latent_dim, activation="lrelu")
        self.out = FullyConnected(config.latent_dim, config.latent_dim)

    def forward(self, image: Tensor) -> Tensor:
        """image (B, 3, R, R) in [-1, 1] -> w (B, D)."""
        x = F.pixel_unshuffle(image.to(self.compute_dtype or image.dtype), self.fold)
        x = x.contiguous(memory_format=torch.channels_last)
        for index, (entry, residual) in enumerate(zip(self.entries, self.residuals, strict=True)):
            if index > 0:
                x = F.avg_pool2d(x, 2)
            x = entry(x)
            x = (x + residual(x)) * math.sqrt(0.5)
        w: Tensor = self.out(self.hidden(x.flatten(1).to(self.out.weight.dtype)))
        return w

    invert = forward
