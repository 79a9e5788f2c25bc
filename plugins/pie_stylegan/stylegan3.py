"""StyleGAN3 (Karras et al., NeurIPS 2021), configurations T and R: mapping network, schedule of layers, synthesis.

Symbols: B batch, L layers of W+, D latent width, Z width of the prior, R resolution. L is two more than the number
of filtered layers: the input and the conversion to colours each take a latent too.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass

import torch
from torch import Tensor, nn

from pie_framework.errors import ConfigError

from .latents import StyledPrior
from .mapping import MappingNetwork
from .memory import rematerialised
from .stylegan2 import MAX_DEPTH, MAX_RESOLUTION, MAX_WIDTH
from .stylegan3_layers import FilteredConv, FourierInput, Signal

#: Least and largest value of an architecture's numbers.
LIMITS = {
    "latent_dim": (1, MAX_WIDTH),
    "prior_dim": (1, MAX_WIDTH),
    "mapping_layers": (1, MAX_DEPTH),
    "channel_base": (1, 1 << 26),
    "channel_max": (1, MAX_WIDTH),
    "filtered_layers": (2, MAX_DEPTH),
    "critical_layers": (1, MAX_DEPTH),
    "mapping_lr_multiplier": (1e-9, 1e3),
    "first_cutoff": (1e-3, MAX_RESOLUTION),
    "first_stopband": (1e-3, MAX_RESOLUTION),
    "last_stopband_rel": (1.0, 64.0),
    "output_scale": (-1e6, 1e6),
    "margin": (0, 256),
    "conv_kernel": (1, 15),
    "filter_size": (2, 32),
    "oversampling": (1, 8),
    "classes": (0, MAX_WIDTH),
}


@dataclass(frozen=True)
class StyleGAN3Config:
    """The architecture; saved beside the weights. The defaults are configuration T.

    Args:
        resolution: R, side of the image, pixels.
        latent_dim: D, width of w.
        prior_dim: Z, width of z.
        mapping_layers: number of fully connected layers from z to w.
        mapping_lr_multiplier: learning rate of the mapping network relative to the rest.
        channel_base: feature channels are channel_base / 2 / cutoff, the cutoff in cycles per image side ...
        channel_max: ... but at most so many.
        filtered_layers: number of layers between the input and the conversion to colours.
        critical_layers: how many of the last ones are critically sampled.
        first_cutoff, first_stopband: of the input, cycles per image side; they grow geometrically.
        last_stopband_rel: stopband of the last layer relative to its cutoff R / 2.
        margin: samples around the canvas.
        output_scale: factor of the image.
        conv_kernel: side of the convolutions.
        filter_size: taps of a filter per sample.
        oversampling: rate of the activations relative to their layer's.
        radial_filters: down filters are radially symmetric (but for critically sampled layers).
        conv_clamp: clamp of the activations, or None.
        classes: classes of a conditional network, 0 for none.
    """

    resolution: int = 1024
    latent_dim: int = 512
    prior_dim: int = 512
    mapping_layers: int = 2
    mapping_lr_multiplier: float = 0.01
    channel_base: int = 32768
    channel_max: int = 512
    filtered_layers: int = 14
    critical_layers: int = 2
    first_cutoff: float = 2.0
    first_stopband: float = 2**2.1
    last_stopband_rel: float = 2**0.3
    margin: int = 10
    output_scale: float = 0.25
    conv_kernel: int = 3
    filter_size: int = 6
    oversampling: int = 2
    radial_filters: bool = False
    conv_clamp: float | None = 256.0
    classes: int = 0

    def __post_init__(self) -> None:
        if not 8 <= self.resolution <= MAX_RESOLUTION or self.resolution & (self.resolution - 1):
            raise ConfigError(
                f"StyleGAN3 resolution {self.resolution} is not a power of two from 8 on",
                f"Use 8, 16, ..., {MAX_RESOLUTION}.",
            )
        for name, (least, most) in LIMITS.items():
            if not least <= getattr(self, name) <= most:
                raise ConfigError(
                    f"StyleGAN3's {name} is {getattr(self, name)}", f"It lies between {least} and {most}."
                )
        if self.filtered_layers <= self.critical_layers:
            raise ConfigError(
                f"StyleGAN3 has {self.filtered_layers} layers, {self.critical_layers} of them critically sampled",
                "There must be more layers than critically sampled ones.",
            )
        if not 0 < self.first_cutoff < self.first_stopband or self.first_cutoff > self.resolution / 2:
            raise ConfigError(
                f"StyleGAN3's first cutoff is {self.first_cutoff:g} and its first stopband {self.first_stopband:g}",
                "The stopband lies above the cutoff, which is at most half the resolution.",
            )
        if self.conv_clamp is not None and not self.conv_clamp > 0:
            raise ConfigError(f"StyleGAN3's conv_clamp is {self.conv_clamp:g}", "It is positive, or null.")

    @classmethod
    def t(cls, resolution: int, **others: object) -> StyleGAN3Config:
        """Configuration T, translation equivariant, with the published widths."""
        return cls(resolution=resolution, **others)  # type: ignore[arg-type]

    @classmethod
    def r(cls, resolution: int, **others: object) -> StyleGAN3Config:
        """Configuration R, also rotation equivariant: 1x1 convolutions, radial filters, twice the channels."""
        values = {"channel_base": 65536, "channel_max": 1024, "conv_kernel": 1, "radial_filters": True}
        return cls(resolution=resolution, **{**values, **others})  # type: ignore[arg-type]

    @property
    def num_layers(self) -> int:
        """L, the number of latents that W+ has."""
        return self.filtered_layers + 2

    def as_dict(self) -> dict[str, object]:
        """Plain values, for JSON."""
        return asdict(self)

    def schedule(self) -> tuple[Signal, ...]:
        """What the input (the first) and each layer's output can represent; the last are the colours.

        Cutoffs and stopbands grow geometrically up to the first critically sampled layer (section 3.2 and table
        of appendix D); the rate is the lowest power of two that is twice the stopband, at most R.
        """
        last_cutoff = self.resolution / 2
        last_stopband = last_cutoff * self.last_stopband_rel
        signals: list[Signal] = []
        for index in range(self.filtered_layers + 1):
            share = min(index / (self.filtered_layers - self.critical_layers), 1.0)
            cutoff = self.first_cutoff * (last_cutoff / self.first_cutoff) ** share
            stopband = self.first_stopband * (last_stopband / self.first_stopband) ** share
            rate = 2 ** math.ceil(math.log2(min(stopband * 2, self.resolution)))
            half_width = max(stopband, rate / 2) - cutoff
            cropped = index >= self.filtered_layers - 1
            size = self.resolution if cropped else rate + 2 * self.margin
            width = min(self.channel_base / 2 / cutoff, self.channel_max)
            channels = 3 if index == self.filtered_layers else round(width)
            signals.append(Signal(channels, size, rate, cutoff, half_width))
        return signals[0], *signals

    def layer_names(self) -> tuple[str, ...]:
        """The published names of the layers, L{index}_{side}_{channels}."""
        return tuple(f"L{i}_{s.size}_{s.channels}" for i, s in enumerate(self.schedule()[1:]))


class StyleGAN3(StyledPrior):
    """The generator: `Generator` of the public API.

    Args:
        config: the architecture.
        compute_dtype: dtype of the feature maps; weights, latents, styles and images stay in their own (float32).

    Attributes:
        checkpointing: keep only what goes from layer to layer, and compute each layer again for the gradient.
    """

    def __init__(self, config: StyleGAN3Config, *, compute_dtype: torch.dtype | None = None) -> None:
        super().__init__(config)
        self.config = config
        self.compute_dtype = compute_dtype
        self.checkpointing = False
        self.mapping = MappingNetwork(config, classes=config.classes)
        signals = config.schedule()
        self.input = FourierInput(config.latent_dim, signals[0])
        self.layers = nn.ModuleList(
            FilteredConv(
                signals[index],
                signals[index + 1],
                config.latent_dim,
                kernel=config.conv_kernel,
                to_rgb=index == config.filtered_layers,
                filter_size=config.filter_size,
                oversampling=config.oversampling,
                radial=config.radial_filters and index < config.filtered_layers - config.critical_layers,
                conv_clamp=config.conv_clamp,
            )
            for index in range(config.filtered_layers + 1)
        )

    # ---- synthesis -------------------------------------------------------------------------------------------

    def synthesize(self, latent: Tensor, *, transform: Tensor | None = None) -> Tensor:
        """W+ (B, L, D) -> image (B, 3, R, R), RGB, nominally in [-1, 1] (not clamped).

        Args:
            transform: (3, 3) or (B, 3, 3), from where in the image to where on the canvas, both [-0.5, 0.5]² with y
                down, in homogeneous coordinates; instead of the one stored with the weights (the identity as a rule).
        """
        if latent.ndim != 3 or latent.shape[1:] != (self.num_layers, self.latent_dim):
            raise ValueError(
                f"latent must be (B, {self.num_layers}, {self.latent_dim}), not {tuple(latent.shape)}"
            )
        first, *rest = latent.unbind(dim=1)
        x: Tensor = self.input(first, transform).to(self.compute_dtype or latent.dtype)
        again = self.checkpointing and torch.is_grad_enabled()
        for layer, w in zip(self.layers, rest, strict=True):
            x = rematerialised(layer, x, w) if again else layer(x, w)
        return x.to(latent.dtype).contiguous() * self.config.output_scale

    def synthesize_w(self, w: Tensor) -> Tensor:
        """w (B, D) for all layers -> image (B, 3, R, R)."""
        return self.synthesize(self.broadcast(w))

    forward = synthesize

    # ---- frozen use ------------------------------------------------------------------------------------------

    def freeze(self) -> StyleGAN3:
        """No weight needs gradients, and all that depends on weights alone is computed once. Returns self."""
        self.requires_grad_(False)
        self.eval()
        for module in self.modules():
            if isinstance(module, FilteredConv):
                module.freeze(self.compute_dtype or module.weight.dtype)
        return self

    def thaw(self) -> StyleGAN3:
        """Undo freeze: weights need gradients again. Returns self."""
        for module in self.modules():
            if isinstance(module, FilteredConv):
                module.thaw()
        return self.requires_grad_(True)
