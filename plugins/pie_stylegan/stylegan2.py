"""StyleGAN2 (Karras et al., CVPR 2020): mapping network, truncation, synthesis.

Any resolution that is a power of two from 8 on, any width and depth, with skip connections (section 4.1: every block
adds to the image), residual blocks, or neither. Symbols: B batch, L layers, D latent width,
Z width of the prior, R resolution; L = 2 * log2(R) - 2.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import torch
from torch import Tensor, nn

from pie_framework.errors import ConfigError

from .latents import StyledPrior
from .layers import (
    NOISE_MODES,
    RESAMPLE_TAPS,
    RESIDUAL_GAIN,
    ModulatedConv,
    ResidualUpsampling,
    ToRGB,
    fir_kernel,
    upsample2x,
)
from .mapping import MappingNetwork
from .memory import rematerialised

ARCHITECTURES = ("skip", "resnet", "orig")
MAX_RESOLUTION = 2048
MAX_WIDTH = 1 << 13
MAX_DEPTH = 64


@dataclass(frozen=True)
class StyleGAN2Config:
    """The architecture; saved beside the weights.

    Args:
        resolution: side of the image, pixels, a power of two, at least 8.
        latent_dim: D, width of w.
        prior_dim: Z, width of z.
        channels: feature channels of the blocks at 4, 8, ..., resolution pixels.
        mapping_layers: number of fully connected layers from z to w.
        mapping_lr_multiplier: learning rate of the mapping network relative to the rest.
        conv_clamp: clamp of activations, or None.
        architecture: "skip" (every block adds to the image), "resnet" (residual blocks) or "orig" (neither); in the
            last two only the last block makes colours.
        resample_taps: the separable low-pass filter of upsampling, symmetric, of any sum.
        mapping_hidden: width of the mapping network's inner layers, None for D.
        classes: classes of a conditional network, 0 for none.
        embed_dim: width of the embedding of a class, None for D.
    """

    resolution: int = 128
    latent_dim: int = 512
    prior_dim: int = 512
    channels: tuple[int, ...] = (256, 256, 160, 96, 64, 32)
    mapping_layers: int = 4
    mapping_lr_multiplier: float = 0.01
    conv_clamp: float | None = None
    architecture: str = "skip"
    resample_taps: tuple[float, ...] = RESAMPLE_TAPS
    mapping_hidden: int | None = None
    classes: int = 0
    embed_dim: int | None = None

    def __post_init__(self) -> None:
        if not 8 <= self.resolution <= MAX_RESOLUTION or self.resolution & (self.resolution - 1):
            raise ConfigError(
                f"StyleGAN2 resolution {self.resolution} is not a power of two from 8 on",
                f"Use 8, 16, ..., {MAX_RESOLUTION}.",
            )
        blocks = int(math.log2(self.resolution)) - 1
        if len(self.channels) != blocks:
            raise ConfigError(
                f"StyleGAN2 at {self.resolution} pixels has {blocks} blocks but channels lists {len(self.channels)}",
                "Give one channel count for each of 4, 8, ..., resolution.",
            )
        if min(self.channels) < 1 or self.latent_dim < 1 or self.prior_dim < 1 or self.mapping_layers < 1:
            raise ConfigError(
                "StyleGAN2 widths and depths must be positive", "Check channels, *_dim, mapping_layers."
            )
        widths = (
            *self.channels,
            self.latent_dim,
            self.prior_dim,
            self.mapping_hidden or 1,
            self.embed_dim or 1,
        )
        if max(*widths, self.classes) > MAX_WIDTH or min(widths) < 1 or self.mapping_layers > MAX_DEPTH:
            raise ConfigError(
                f"StyleGAN2 widths are at most {MAX_WIDTH} and mapping_layers at most {MAX_DEPTH}",
                "Check channels, *_dim, mapping_hidden, classes, mapping_layers.",
            )
        if self.architecture not in ARCHITECTURES or self.classes < 0:
            raise ConfigError(
                f"StyleGAN2 architecture '{self.architecture}' with {self.classes} classes does not exist",
                f"The architecture is one of {', '.join(ARCHITECTURES)}.",
            )
        numbers = (self.mapping_lr_multiplier, 1.0 if self.conv_clamp is None else self.conv_clamp)
        if not all(isinstance(n, int | float) and 0 < n < math.inf for n in numbers):
            raise ConfigError(
                f"mapping_lr_multiplier and conv_clamp {numbers} are not finite numbers above 0",
                "Check them.",
            )
        taps = self.resample_taps
        if not 2 <= len(taps) <= 32 or taps != taps[::-1] or not 0 < abs(sum(taps)) < math.inf:
            raise ConfigError(
                f"the resampling filter {taps} is not a symmetric one of 2 to 32 taps",
                "The usual is 1, 3, 3, 1.",
            )

    @classmethod
    def standard(
        cls, resolution: int, *, channel_base: int = 32768, channel_max: int = 512, **others: object
    ) -> StyleGAN2Config:
        """The published rule for widths: channel_base / resolution of the block, at most channel_max."""
        sizes = [2**k for k in range(2, int(math.log2(resolution)) + 1)]
        values: dict[str, object] = {"mapping_layers": 8, **others}
        values["channels"] = tuple(min(channel_base // s, channel_max) for s in sizes)
        return cls(resolution=resolution, **values)  # type: ignore[arg-type]

    @property
    def num_layers(self) -> int:
        """L = 2 * log2(R) - 2, the number of latents that W+ has."""
        return 2 * int(math.log2(self.resolution)) - 2

    def as_dict(self) -> dict[str, object]:
        """Plain values, for JSON."""
        return {**asdict(self), "channels": list(self.channels), "resample_taps": list(self.resample_taps)}


class SynthesisBlock(nn.Module):
    """The layers of one resolution: one (at 4 px) or two convolutions, the residual way around them and the conversion
    to colours where the architecture has them."""

    def __init__(self, in_channels: int, out_channels: int, resolution: int, config: StyleGAN2Config) -> None:
        super().__init__()
        self.resolution = resolution
        d, clamp = config.latent_dim, config.conv_clamp
        self.const: nn.Parameter | None = None
        self.conv0: ModulatedConv | None = None
        if in_channels == 0:
            self.const = nn.Parameter(torch.randn(out_channels, resolution, resolution))
        else:
            self.conv0 = ModulatedConv(in_channels, out_channels, d, resolution, up=2, conv_clamp=clamp)
        self.conv1 = ModulatedConv(out_channels, out_channels, d, resolution, conv_clamp=clamp)
        colours = config.architecture == "skip" or resolution == config.resolution
        residual = config.architecture == "resnet" and in_channels > 0
        self.torgb = ToRGB(out_channels, d, conv_clamp=clamp) if colours else None
        self.skip = ResidualUpsampling(in_channels, out_channels) if residual else None
        self.num_convs = 1 if self.conv0 is None else 2

    def forward(
        self,
        x: Tensor,
        latents: Sequence[Tensor],
        fir: Tensor,
        kernel: Tensor | None,
        noise_mode: str,
        rng: torch.Generator | None,
    ) -> tuple[Tensor, Tensor | None]:
        """The block's feature map and its colours, None where it makes none.

        Args:
            x: feature map of the block before, (B, C, r / 2, r / 2); for the first block anything of the wanted dtype.
            latents: (B, D) each, one for each convolution and, last, for the colours.
            fir: the low-pass filter of upsampling; kernel: the same where it is not the standard one, else None.
        """
        around: Tensor | None = None
        if self.conv0 is None:
            assert self.const is not None
            x = self.const.to(x.dtype)[None].expand(len(latents[0]), -1, -1, -1)
            x = x.contiguous(memory_format=torch.channels_last)
        else:
            around = None if self.skip is None else self.skip(x, kernel)
            x = self.conv0(x, latents[0], fir, noise_mode, rng)
        x = self.conv1(x, latents[self.num_convs - 1], fir, noise_mode, rng)
        if around is not None:
            x = torch.add(around, x, alpha=RESIDUAL_GAIN)
        return x, None if self.torgb is None else self.torgb(x, latents[-1])


class StyleGAN2(StyledPrior):
    """The generator: `Generator` of the public API.

    Args:
        config: the architecture.
        compute_dtype: dtype of the feature maps; weights, latents, styles and images stay in their own (float32).

    Attributes:
        checkpointing: keep only what goes from block to block, and compute each block again for the gradient.
    """

    fir: Tensor

    def __init__(self, config: StyleGAN2Config, *, compute_dtype: torch.dtype | None = None) -> None:
        super().__init__(config)
        self.config = config
        self.compute_dtype = compute_dtype
        self.checkpointing = False
        self.mapping = MappingNetwork(
            config, hidden=config.mapping_hidden, classes=config.classes, embed_dim=config.embed_dim
        )
        self.blocks = nn.ModuleList()
        width = 0
        for index, channels in enumerate(config.channels):
            self.blocks.append(SynthesisBlock(width, channels, 4 * 2**index, config))
            width = channels
        self.register_buffer("fir", fir_kernel(taps=config.resample_taps), persistent=False)
        self.standard_fir = config.resample_taps == RESAMPLE_TAPS

    # ---- synthesis -------------------------------------------------------------------------------------------

    def synthesize(
        self, latent: Tensor, *, noise_mode: str = "const", rng: torch.Generator | None = None
    ) -> Tensor:
        """W+ (B, L, D) -> image (B, 3, R, R), RGB, nominally in [-1, 1] (not clamped).

        Args:
            noise_mode: "const" (the stored maps, deterministic), "none", or "random" (drawn from rng).
        """
        return self.synthesize_pyramid(latent, noise_mode=noise_mode, rng=rng)[-1]

    def synthesize_w(
        self, w: Tensor, *, noise_mode: str = "const", rng: torch.Generator | None = None
    ) -> Tensor:
        """w (B, D) for all layers -> image (B, 3, R, R)."""
        return self.synthesize(self.broadcast(w), noise_mode=noise_mode, rng=rng)

    def synthesize_pyramid(
        self,
        latent: Tensor,
        *,
        up_to: int | None = None,
        noise_mode: str = "const",
        rng: torch.Generator | None = None,
    ) -> list[Tensor]:
        """The colour accumulator after each block: images of 4, 8, ..., up_to pixels, [(B, 3, r, r), ...].

        Architectures other than "skip" have the last one only, and no up_to.

        Args:
            latent: W+ (B, L, D).
            up_to: side at which to stop, a block's resolution; None means R. Later blocks are not computed.
        """
        if noise_mode not in NOISE_MODES:
            raise ValueError(f"noise_mode must be one of {NOISE_MODES}, not {noise_mode!r}")
        if latent.ndim != 3 or latent.shape[1:] != (self.num_layers, self.latent_dim):
            raise ValueError(
                f"latent must be (B, {self.num_layers}, {self.latent_dim}), not {tuple(latent.shape)}"
            )
        up_to = self.resolution if up_to is None else up_to
        if up_to != self.resolution and self.config.architecture != "skip":
            raise ValueError(
                f"a generator of architecture {self.config.architecture!r} has no smaller images"
            )
        kernel = None if self.standard_fir else self.fir
        layers = latent.unbind(dim=1)
        images: list[Tensor] = []
        again = self.checkpointing and torch.is_grad_enabled() and noise_mode != "random"
        x = latent.new_empty(0, dtype=self.compute_dtype or latent.dtype)
        at = 0
        for block in self.blocks:
            assert isinstance(block, SynthesisBlock)
            if block.resolution > up_to:
                break
            latents = layers[at : at + block.num_convs + 1]
            at += block.num_convs
            if again:
                x, colour = rematerialised(block, x, latents, self.fir, kernel, noise_mode, rng)
            else:
                x, colour = block(x, latents, self.fir, kernel, noise_mode, rng)
            if colour is not None:
                images.append(colour if not images else upsample2x(images[-1], kernel) + colour)
        return images

    forward = synthesize

    # ---- frozen use ------------------------------------------------------------------------------------------

    def freeze(self) -> StyleGAN2:
        """No weight needs gradients, and all that depends on weights alone is computed once. Returns self."""
        self.requires_grad_(False)
        self.eval()
        for module in self.modules():
            if isinstance(module, ModulatedConv):
                module.freeze(self.compute_dtype or module.weight.dtype)
        return self

    def thaw(self) -> StyleGAN2:
        """Undo freeze: weights need gradients again. Returns self."""
        for module in self.modules():
            if isinstance(module, ModulatedConv):
                module.thaw()
        return self.requires_grad_(True)
