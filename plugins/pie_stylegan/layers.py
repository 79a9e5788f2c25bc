"""The layers of StyleGAN2, in the form that is cheapest to differentiate with respect to the latent.

Semantics follow Karras et al., *Analyzing and Improving the Image Quality of StyleGAN* (CVPR 2020, section 2.2
and appendix B) and the conventions of its public PyTorch release, so that published weights reproduce exactly.
Symbols: B batch, C channels in, O channels out, D latent width, R resolution.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

DEMODULATION_EPS = 1e-8
LRELU_SLOPE = 0.2
LRELU_GAIN = math.sqrt(2.0)
RESAMPLE_TAPS = (1.0, 3.0, 3.0, 1.0)
RESIDUAL_GAIN = math.sqrt(0.5)
NOISE_MODES = ("const", "none", "random")


def normalize_second_moment(x: Tensor, eps: float = 1e-8) -> Tensor:
    """Scale each row of x (B, D) to a mean square of one ("pixel norm")."""
    return x * (x.square().mean(dim=1, keepdim=True) + eps).rsqrt()


def fir_kernel(
    device: torch.device | str | None = None,
    dtype: torch.dtype | None = None,
    taps: tuple[float, ...] = RESAMPLE_TAPS,
) -> Tensor:
    """The separable low-pass filter [1, 3, 3, 1], (4, 4), or that of other taps, with sum one."""
    row = torch.tensor(taps, device=device, dtype=dtype or torch.float32)
    kernel = row[:, None] * row[None, :]
    return kernel / kernel.sum()


def depthwise_fir(x: Tensor, kernel: Tensor, padding: int | tuple[int, int]) -> Tensor:
    """Filter every channel of x (B, C, H, W) with the symmetric kernel (k, k), with zeros around.

    Args:
        padding: zeros on every side, or (left and top, right and bottom); below zero crops.
    """
    weight = kernel.to(x.dtype).expand(x.shape[1], 1, -1, -1)
    if isinstance(padding, tuple):
        x, padding = F.pad(x, (*padding, *padding)), 0
    return F.conv2d(x, weight, padding=padding, groups=x.shape[1])


def upsample2x(image: Tensor, kernel: Tensor | None = None) -> Tensor:
    """Double the size of image (B, C, H, W): zeros between the pixels, then the filter [1, 3, 3, 1] with gain 4.

    Each output pixel is 9/16, 3/16, 3/16, 1/16 of its four nearest input pixels, with zeros outside the image:
    bilinear interpolation of the zero-padded image, which is how it is computed.

    Args:
        kernel: another symmetric filter, (k, k) with sum one, instead of [1, 3, 3, 1].
    """
    if kernel is not None:
        b, c, h, w = image.shape
        spread = image.new_zeros(b, c, 2 * h, 2 * w)
        spread[..., ::2, ::2] = image
        taps = kernel.shape[-1]
        return depthwise_fir(spread, kernel * 4.0, ((taps + 1) // 2, (taps - 2) // 2))
    padded = F.pad(image, (1, 1, 1, 1))
    return F.interpolate(padded, scale_factor=2.0, mode="bilinear", align_corners=False)[..., 2:-2, 2:-2]


class FullyConnected(nn.Module):
    """Equalised linear layer: weights are stored at unit scale and multiplied by lr_multiplier / sqrt(fan_in).

    Args:
        in_features, out_features: widths.
        activation: "linear" or "lrelu" (slope 0.2, gain sqrt 2).
        lr_multiplier: makes the layer learn slower than the rest; applies to weight and bias.
        bias_init: the bias at the start, in units of the output.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        activation: str = "linear",
        lr_multiplier: float = 1.0,
        bias_init: float = 0.0,
    ) -> None:
        super().__init__()
        if activation not in ("linear", "lrelu"):
            raise ValueError(f"activation must be 'linear' or 'lrelu', not {activation!r}")
        self.activation = activation
        self.weight = nn.Parameter(torch.randn(out_features, in_features) / lr_multiplier)
        self.bias = nn.Parameter(torch.full((out_features,), float(bias_init)))
        self.weight_gain = lr_multiplier / math.sqrt(in_features)
        self.bias_gain = lr_multiplier

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_features) -> (B, out_features)."""
        bias = self.bias if self.bias_gain == 1 else self.bias * self.bias_gain
        y = torch.addmm(bias, x, self.weight.t(), alpha=self.weight_gain)
        if self.activation == "lrelu":
            y = F.leaky_relu(y, LRELU_SLOPE, inplace=True) * LRELU_GAIN
        return y


def demodulation(styles: Tensor, weight_squares: Tensor) -> Tensor:
    """The factor that gives each output channel unit variance: styles (B, C), weight_squares (O, C) -> (B, O).

    weight_squares are the squared weights summed over the kernel, so that the sum over input channels and taps
    of (weight * style)^2 is one small matrix product.
    """
    return (styles.square() @ weight_squares.t() + DEMODULATION_EPS).rsqrt()


class ModulatedConv(nn.Module):
    """One synthesis layer: style-modulated 3x3 convolution, noise, bias, leaky ReLU.

    Weights are never copied per sample: the input is scaled by the style, convolved with the shared weight, and
    the output scaled by the demodulation factor, which is the same function and, with frozen weights, has no
    weight gradient to compute.

    Args:
        in_channels, out_channels: widths.
        latent_dim: D.
        resolution: side of the output, pixels.
        up: 2 to double the resolution (transposed convolution, then the low-pass filter), else 1.
        conv_clamp: clamp of the activations at +-conv_clamp after the gain, or None.
    """

    weight_squares: Tensor | None
    frozen_weight: Tensor | None
    frozen_offset: Tensor | None
    noise_const: Tensor

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        latent_dim: int,
        resolution: int,
        *,
        up: int = 1,
        conv_clamp: float | None = None,
    ) -> None:
        super().__init__()
        self.resolution = resolution
        self.up = up
        self.conv_clamp = conv_clamp
        self.affine = FullyConnected(latent_dim, in_channels, bias_init=1.0)
        self.weight = nn.Parameter(torch.randn(out_channels, in_channels, 3, 3))
        self.noise_strength = nn.Parameter(torch.zeros(()))
        self.bias = nn.Parameter(torch.zeros(out_channels))
        self.register_buffer("noise_const", torch.randn(resolution, resolution))
        self.register_buffer("weight_squares", None, persistent=False)
        self.register_buffer("frozen_weight", None, persistent=False)
        self.register_buffer("frozen_offset", None, persistent=False)

    def freeze(self, dtype: torch.dtype) -> None:
        """Compute once what depends on the weights alone; the weights must not change afterwards."""
        weight = self.weight.detach()
        self.weight_squares = weight.square().sum(dim=(2, 3))
        cast = weight.transpose(0, 1) if self.up == 2 else weight
        self.frozen_weight = cast.to(dtype).contiguous(memory_format=torch.channels_last)
        self.frozen_offset = None
        silent = not bool(self.noise_strength)
        offset = self._offset("none" if silent else "const", 1, None).detach().to(dtype)
        self.frozen_offset = offset.contiguous(memory_format=torch.channels_last)

    def thaw(self) -> None:
        """Forget what freeze computed."""
        self.weight_squares = self.frozen_weight = self.frozen_offset = None

    def _offset(self, noise_mode: str, batch: int, rng: torch.Generator | None) -> Tensor:
        """Bias plus noise, (1 or B, O, 1 or R, 1 or R), times the gain of the activation.

        The gain sqrt 2 can be folded into the demodulation factor, noise and bias because leaky ReLU commutes with
        a positive factor; that saves a pass over the feature map.
        """
        if noise_mode == "const" and self.frozen_offset is not None:
            return self.frozen_offset
        bias = (self.bias * LRELU_GAIN)[None, :, None, None]
        if noise_mode == "none":
            return bias
        if noise_mode == "const":
            return bias + self.noise_const * (self.noise_strength * LRELU_GAIN)
        if rng is None:
            raise ValueError("noise_mode 'random' needs a torch.Generator")
        noise = torch.randn(batch, 1, self.resolution, self.resolution, generator=rng, device=rng.device)
        return bias + noise.to(bias) * (self.noise_strength * LRELU_GAIN)

    def forward(
        self, x: Tensor, w: Tensor, kernel: Tensor, noise_mode: str, rng: torch.Generator | None = None
    ) -> Tensor:
        """x (B, C, H, H) and w (B, D) -> (B, O, H * up, H * up), in the dtype of x."""
        styles = self.affine(w)
        squares = self.weight_squares
        if squares is None:
            squares = self.weight.square().sum(dim=(2, 3))
        scale = (demodulation(styles, squares) * LRELU_GAIN).to(x.dtype)[:, :, None, None]
        weight = self.frozen_weight
        if weight is None:
            weight = (self.weight.transpose(0, 1) if self.up == 2 else self.weight).to(x.dtype)
        x = x * styles.to(x.dtype)[:, :, None, None]
        if self.up == 2:
            x = F.conv_transpose2d(x, weight, stride=2)
            taps = kernel.shape[-1]
            x = depthwise_fir(x, kernel * 4.0, 1 if taps == 4 else ((taps - 1) // 2, (taps - 2) // 2))
        else:
            x = F.conv2d(x, weight, padding=1)
        x = (x * scale).add_(self._offset(noise_mode, x.shape[0], rng).to(x.dtype))
        x = F.leaky_relu(x, LRELU_SLOPE, inplace=True)
        if self.conv_clamp is not None:
            x = x.clamp(-self.conv_clamp, self.conv_clamp)
        return x


class ToRGB(nn.Module):
    """1x1 modulated convolution to colours, without demodulation; three outputs, so weights are cheap per sample."""

    def __init__(
        self, in_channels: int, latent_dim: int, *, out_channels: int = 3, conv_clamp: float | None = None
    ) -> None:
        super().__init__()
        self.conv_clamp = conv_clamp
        self.affine = FullyConnected(latent_dim, in_channels, bias_init=1.0)
        self.weight = nn.Parameter(torch.randn(out_channels, in_channels, 1, 1))
        self.bias = nn.Parameter(torch.zeros(out_channels))
        self.weight_gain = 1.0 / math.sqrt(in_channels)

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        """x (B, C, H, W) and w (B, D) -> (B, 3, H, W), in the dtype of w."""
        styles = self.affine(w) * self.weight_gain
        weight = self.weight.flatten(1)[None] * styles[:, None, :]
        b, _, h, width = x.shape
        pixels = x.permute(0, 2, 3, 1).reshape(b, h * width, -1)
        y = torch.bmm(pixels, weight.transpose(1, 2).to(x.dtype)).to(w.dtype) + self.bias
        y = y.transpose(1, 2).reshape(b, -1, h, width)
        if self.conv_clamp is not None:
            y = y.clamp(-self.conv_clamp, self.conv_clamp)
        return y


class ResidualUpsampling(nn.Module):
    """The way around a residual block: 1x1 convolution without bias, twice the size, gain sqrt(1/2).

    Interpolation and a 1x1 convolution commute, so the cheaper order is taken.
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(out_channels, in_channels, 1, 1))
        self.weight_gain = RESIDUAL_GAIN / math.sqrt(in_channels)

    def forward(self, x: Tensor, kernel: Tensor | None = None) -> Tensor:
        """x (B, C, H, W) -> (B, O, 2H, 2W), in the dtype of x; kernel as of `upsample2x`."""
        return upsample2x(F.conv2d(x, (self.weight * self.weight_gain).to(x.dtype)), kernel)
