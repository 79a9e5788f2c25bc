"""The inverter: a small convolutional network that guesses the latent of a portrait.

Its trunk gives one w and is trained together with the generator as an autoencoder. A head on the trunk's features may
add an offset for each layer, w_l = w + δ_l, trained afterwards with the generator frozen (`pie train inverter`). The
latent is where the optimisation starts, or the answer where there is no time for one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pie_framework.api import Generator
from pie_framework.errors import ConfigError

from .layers import LRELU_GAIN, LRELU_SLOPE, FullyConnected

GRID = 32
#: What the head of the offsets sees of the finer maps: channels, and pixels a side.
SQUEEZED, MAP_SIDE = 8, 8


@dataclass(frozen=True)
class InverterConfig:
    """The architecture; saved beside the weights.

    Args:
        resolution: side of the image, pixels; a power of two from 8 on.
        latent_dim: D.
        channels: feature channels at 32, 16, 8, 4 pixels (fewer from the front for images under 32).
        rank: dimensions of each layer's offset; 0 for one w and no offsets.
        mixed: width of the head's hidden layer.
    """

    resolution: int = 128
    latent_dim: int = 512
    channels: tuple[int, ...] = (64, 128, 256, 256)
    rank: int = 0
    mixed: int = 160

    def __post_init__(self) -> None:
        stages = int(math.log2(max(4, min(self.resolution, GRID)))) - 1
        if self.resolution < 8 or self.resolution & (self.resolution - 1):
            raise ConfigError(f"inverter resolution {self.resolution} is not a power of two from 8 on")
        if len(self.channels) != stages:
            raise ConfigError(
                f"an inverter for {self.resolution} pixels has {stages} stages but channels lists {len(self.channels)}"
            )
        if self.rank < 0 or self.mixed < 1:
            raise ConfigError("an inverter's rank must be at least 0 and the width of its head at least 1")

    @property
    def num_layers(self) -> int:
        """L of a StyleGAN2 of this resolution, 2 * log2(R) - 2."""
        return 2 * int(math.log2(self.resolution)) - 2

    def as_dict(self) -> dict[str, object]:
        """Plain values, for JSON."""
        return {**asdict(self), "channels": list(self.channels)}


class EqualizedConv(nn.Module):
    """Convolution with weights stored at unit scale, bias and leaky ReLU; computes in the dtype of its input."""

    def __init__(self, in_channels: int, out_channels: int, kernel: int = 3) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(out_channels, in_channels, kernel, kernel))
        self.bias = nn.Parameter(torch.zeros(out_channels))
        self.gain = LRELU_GAIN / math.sqrt(kernel**2 * in_channels)
        self.padding = kernel // 2

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, O, H, W)."""
        y = F.conv2d(
            x,
            (self.weight * self.gain).to(x.dtype),
            (self.bias * LRELU_GAIN).to(x.dtype),
            padding=self.padding,
        )
        return F.leaky_relu(y, LRELU_SLOPE, inplace=True)


class OffsetHead(nn.Module):
    """δ for each layer from what the trunk saw: its last features, and two finer maps squeezed to a few channels.

    The map into W+ is of low rank and starts at 0, so that an untrained head changes nothing.
    """

    def __init__(self, config: InverterConfig) -> None:
        super().__init__()
        maps = config.channels[:-1][-2:]
        self.squeezes = nn.ModuleList(EqualizedConv(channels, SQUEEZED, kernel=1) for channels in maps)
        self.mix = FullyConnected(
            config.latent_dim + len(maps) * SQUEEZED * MAP_SIDE**2, config.mixed, activation="lrelu"
        )
        self.codes = FullyConnected(config.mixed, config.num_layers * config.rank, activation="lrelu")
        self.out = nn.Parameter(torch.zeros(config.num_layers, config.rank, config.latent_dim))
        self.bias = nn.Parameter(torch.zeros(config.num_layers, config.latent_dim))

    def forward(self, hidden: Tensor, maps: Sequence[Tensor]) -> Tensor:
        """hidden (B, D), maps [(B, C, 16, 16), (B, C', 8, 8)] -> δ (B, L, D)."""
        parts = [hidden]
        for squeeze, x in zip(self.squeezes, maps, strict=True):
            parts.append(F.adaptive_avg_pool2d(squeeze(x), MAP_SIDE).flatten(1).to(hidden.dtype))
        layers, rank, _ = self.out.shape
        codes = self.codes(self.mix(torch.cat(parts, dim=1))).unflatten(1, (layers, rank))
        return torch.einsum("blr,lrd->bld", codes, self.out) / math.sqrt(rank) + self.bias


class Inverter(nn.Module):
    """image -> w, or W+.

    Args:
        config: the architecture.
        compute_dtype: dtype of the feature maps; weights and the result keep their own.
    """

    def __init__(self, config: InverterConfig, *, compute_dtype: torch.dtype | None = None) -> None:
        super().__init__()
        self.config = config
        self.compute_dtype = compute_dtype
        self.resolution = config.resolution
        self.num_layers = config.num_layers
        self.latent_dim = config.latent_dim
        self.fold = max(1, config.resolution // GRID)
        widths = config.channels
        self.entries = nn.ModuleList(
            EqualizedConv(a, b) for a, b in zip((3 * self.fold**2, *widths[:-1]), widths, strict=True)
        )
        self.residuals = nn.ModuleList(EqualizedConv(c, c) for c in widths)
        self.hidden = FullyConnected(widths[-1] * 16, config.latent_dim, activation="lrelu")
        self.out = FullyConnected(config.latent_dim, config.latent_dim)
        self.offsets = OffsetHead(config) if config.rank else None

    def forward(self, image: Tensor) -> Tensor:
        """image (B, 3, R, R) in [-1, 1] -> w (B, D), without offsets."""
        w: Tensor = self.out(self._features(image)[0])
        return w

    def invert(self, image: Tensor) -> Tensor:
        """image (B, 3, R, R) in [-1, 1] -> w as W+ (B, L, D)."""
        w, offsets = self.parts(image)
        return w[:, None] + offsets

    def parts(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """image (B, 3, R, R) -> w (B, D) and its layers' offsets δ (B, L, D), 0 where it has no head for them."""
        hidden, maps = self._features(image)
        w: Tensor = self.out(hidden)
        if self.offsets is None:
            return w, w.new_zeros(w.shape[0], self.num_layers, w.shape[1])
        return w, self.offsets(hidden, maps)

    def _features(self, image: Tensor) -> tuple[Tensor, list[Tensor]]:
        """The last features (B, D), and the one or two finest maps of at most 16 pixels above the last."""
        x = F.pixel_unshuffle(image.to(self.compute_dtype or image.dtype), self.fold)
        x = x.contiguous(memory_format=torch.channels_last)
        maps: list[Tensor] = []
        for index, (entry, residual) in enumerate(zip(self.entries, self.residuals, strict=True)):
            if index > 0:
                x = F.avg_pool2d(x, 2)
            x = entry(x)
            x = (x + residual(x)) * math.sqrt(0.5)
            maps.append(x)
        return self.hidden(x.flatten(1).to(self.out.weight.dtype)), maps[:-1][-2:]

    def trunk_parameters(self) -> list[nn.Parameter]:
        """All but the head of the offsets."""
        return [p for name, p in self.named_parameters() if not name.startswith("offsets.")]


class FeedbackInverter(nn.Module):
    """An inverter that looks at its own answer: w ← w + rate · (E(image) - E(G(w))), the offsets staying as they are.

    Args:
        inverter: E.
        generator: G, frozen.
        passes: corrections; each costs an image and a pass of the inverter.
        rate: share of the difference that a correction takes.
    """

    def __init__(self, inverter: Inverter, generator: Generator, passes: int, rate: float) -> None:
        super().__init__()
        self.inverter, self.generator = inverter, generator
        self.passes, self.rate = passes, rate

    def invert(self, image: Tensor) -> Tensor:
        """image (B, 3, R, R) in [-1, 1] -> w as W+ (B, L, D)."""
        wanted, offsets = self.inverter.parts(image)
        w = wanted
        for _ in range(self.passes):
            made = self.generator.synthesize(w[:, None] + offsets).clamp(-1, 1)
            w = w + self.rate * (wanted - self.inverter(made))
        return w[:, None] + offsets
