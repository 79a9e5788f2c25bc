"""StyleGAN2 (Karras et al., CVPR 2020): mapping network, truncation, synthesis with skip connections.

Any resolution that is a power of two from 8 on, any width and depth. Symbols: B batch, L layers, D latent width,
Z width of the prior, R resolution; L = 2 * log2(R) - 2.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import asdict, dataclass

import torch
from torch import Tensor, nn

from pie_framework.errors import ConfigError

from .layers import (
    NOISE_MODES,
    FullyConnected,
    ModulatedConv,
    ToRGB,
    fir_kernel,
    normalize_second_moment,
    upsample2x,
)


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
    """

    resolution: int = 128
    latent_dim: int = 512
    prior_dim: int = 512
    channels: tuple[int, ...] = (256, 256, 160, 96, 64, 32)
    mapping_layers: int = 4
    mapping_lr_multiplier: float = 0.01
    conv_clamp: float | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "channels", tuple(int(c) for c in self.channels))
        if self.resolution < 8 or self.resolution & (self.resolution - 1):
            raise ConfigError(
                f"StyleGAN2 resolution {self.resolution} is not a power of two from 8 on",
                "Use 8, 16, ..., 1024.",
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
        return {**asdict(self), "channels": list(self.channels)}


class MappingNetwork(nn.Module):
    """z -> w: second-moment normalisation, then leaky-ReLU layers; keeps the running mean of w for truncation."""

    w_avg: Tensor

    def __init__(self, config: StyleGAN2Config) -> None:
        super().__init__()
        widths = [config.prior_dim] + [config.latent_dim] * config.mapping_layers
        self.layers = nn.ModuleList(
            FullyConnected(a, b, activation="lrelu", lr_multiplier=config.mapping_lr_multiplier)
            for a, b in itertools.pairwise(widths)
        )
        self.register_buffer("w_avg", torch.zeros(config.latent_dim))

    def forward(self, z: Tensor) -> Tensor:
        """z (B, Z), any scale -> w (B, D)."""
        x = normalize_second_moment(z)
        for layer in self.layers:
            x = layer(x)
        return x


class SynthesisBlock(nn.Module):
    """The layers of one resolution: one (at 4 px) or two convolutions and the conversion to colours."""

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
        self.torgb = ToRGB(out_channels, d, conv_clamp=clamp)
        self.num_convs = 1 if self.conv0 is None else 2


class StyleGAN2(nn.Module):
    """The generator: `Generator` of the public API.

    Args:
        config: the architecture.
        compute_dtype: dtype of the feature maps; weights, latents, styles and images stay in their own (float32).
    """

    fir: Tensor

    def __init__(self, config: StyleGAN2Config, *, compute_dtype: torch.dtype | None = None) -> None:
        super().__init__()
        self.config = config
        self.compute_dtype = compute_dtype
        self.resolution = config.resolution
        self.num_layers = config.num_layers
        self.latent_dim = config.latent_dim
        self.prior_dim = config.prior_dim
        self.mapping = MappingNetwork(config)
        self.blocks = nn.ModuleList()
        width = 0
        for index, channels in enumerate(config.channels):
            self.blocks.append(SynthesisBlock(width, channels, 4 * 2**index, config))
            width = channels
        self.register_buffer("fir", fir_kernel(), persistent=False)

    # ---- the prior -------------------------------------------------------------------------------------------

    def sample_z(self, n: int, rng: torch.Generator) -> Tensor:
        """n draws from the prior, (n, Z), standard normal."""
        z = torch.randn(n, self.prior_dim, generator=rng, device=rng.device)
        return z.to(self.fir.device, self.mapping.w_avg.dtype)

    def map(self, z: Tensor, *, truncation: float = 1.0, cutoff: int | None = None) -> Tensor:
        """z (B, Z) -> W+ (B, L, D), one w repeated for every layer.

        Args:
            truncation: psi; each w is moved to mean + psi * (w - mean).
            cutoff: truncate only the first `cutoff` layers; None means all.
        """
        return self.truncate(self.broadcast(self.mapping(z)), truncation, cutoff)

    def truncate(self, w: Tensor, truncation: float, cutoff: int | None = None) -> Tensor:
        """Move the first `cutoff` layers of w (B, L, D) towards the mean latent, keeping the share `truncation`."""
        if truncation == 1.0:
            return w
        cutoff = self.num_layers if cutoff is None else cutoff
        near = self.mapping.w_avg.lerp(w[:, :cutoff], truncation)
        return torch.cat([near, w[:, cutoff:]], dim=1)

    def sample(self, n: int, rng: torch.Generator, *, truncation: float = 1.0) -> Tensor:
        """n latents from the generator's own prior, (n, L, D)."""
        return self.map(self.sample_z(n, rng), truncation=truncation)

    def mean_latent(self) -> Tensor:
        """The mean of w over the prior, (D,), a copy."""
        return self.mapping.w_avg.clone()

    def broadcast(self, w: Tensor) -> Tensor:
        """w (B, D) -> W+ (B, L, D), the same latent for every layer."""
        return w[:, None, :].expand(-1, self.num_layers, -1)

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
        dtype = self.compute_dtype or latent.dtype
        layers = latent.unbind(dim=1)
        images: list[Tensor] = []
        x = latent.new_empty(0)
        at = 0
        for block in self.blocks:
            assert isinstance(block, SynthesisBlock)
            if block.resolution > up_to:
                break
            if block.conv0 is None:
                assert block.const is not None
                x = block.const.to(dtype)[None].expand(latent.shape[0], -1, -1, -1)
                x = x.contiguous(memory_format=torch.channels_last)
            else:
                x = block.conv0(x, layers[at], self.fir, noise_mode, rng)
                at += 1
            x = block.conv1(x, layers[at], self.fir, noise_mode, rng)
            at += 1
            colour = block.torgb(x, layers[at])
            images.append(colour if not images else upsample2x(images[-1]) + colour)
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
