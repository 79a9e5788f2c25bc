"""The layers of StyleGAN3: the Fourier features of the input, and modulated convolutions with filtered activations.

Karras et al., *Alias-Free Generative Adversarial Networks* (NeurIPS 2021), section 3 and appendices C and D, and the
conventions of its public PyTorch release, so that published weights reproduce exactly. Symbols: B batch, C channels
in, O channels out, D latent width.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .layers import DEMODULATION_EPS, LRELU_GAIN, LRELU_SLOPE, FullyConnected, demodulation
from .stylegan3_filters import Resampling, filtered_activation, lowpass_filter


@dataclass(frozen=True)
class Signal:
    """What a layer's feature map can represent.

    Attributes:
        channels: feature channels.
        size: side with the margin around the canvas, samples.
        rate: samples along the side of the canvas.
        cutoff: highest frequency that is meant to be there, cycles along the side of the canvas.
        half_width: half the width of the filter's transition band.
    """

    channels: int
    size: int
    rate: int
    cutoff: float
    half_width: float


class FourierInput(nn.Module):
    """Fixed plane waves below the first cutoff, moved and turned by w, then mixed by a learned matrix.

    Buffer `transform` (3, 3) is applied on top: homogeneous coordinates of the image, whose canvas is [-0.5, 0.5]²
    with y down, to those that the waves are read at. The identity changes nothing.
    """

    transform: Tensor
    freqs: Tensor
    phases: Tensor

    def __init__(self, latent_dim: int, signal: Signal) -> None:
        super().__init__()
        self.signal = signal
        channels = signal.channels
        freqs = torch.randn(channels, 2)
        radii = freqs.square().sum(dim=1, keepdim=True).sqrt()
        freqs = freqs / (radii * radii.square().exp().pow(0.25)) * signal.cutoff
        self.weight = nn.Parameter(torch.randn(channels, channels))
        self.affine = FullyConnected(latent_dim, 4)
        with torch.no_grad():
            self.affine.weight.zero_()
            self.affine.bias.copy_(torch.tensor([1.0, 0.0, 0.0, 0.0]))
        self.register_buffer("transform", torch.eye(3))
        self.register_buffer("freqs", freqs)
        self.register_buffer("phases", torch.rand(channels) - 0.5)

    def forward(self, w: Tensor, transform: Tensor | None = None) -> Tensor:
        """w (B, D) -> (B, C, size, size), with `transform` (3, 3) or (B, 3, 3) instead of the stored one."""
        signal = self.signal
        placed = placement(self.affine(w)) @ (self.transform if transform is None else transform).to(w)
        phases = self.phases + (self.freqs @ placed[:, :2, 2:]).squeeze(2)
        freqs = self.freqs @ placed[:, :2, :2]
        # Waves that the transform lifted above the cutoff fade out towards the Nyquist frequency.
        excess = (freqs.norm(dim=2) - signal.cutoff) / (signal.rate / 2 - signal.cutoff)
        amplitudes = (1 - excess).clamp(0, 1)
        ends = (torch.arange(signal.size, device=w.device, dtype=w.dtype) + 0.5) / signal.size - 0.5
        side = ends * (signal.size / signal.rate)
        angle = phases[:, :, None, None] + side[:, None] * freqs[:, :, 1, None, None]
        angle = angle + side[None, :] * freqs[:, :, 0, None, None]
        waves = torch.sin(2 * math.pi * angle) * amplitudes[:, :, None, None]
        weight = self.weight / math.sqrt(signal.channels)
        return F.conv2d(waves, weight[:, :, None, None])


def placement(t: Tensor) -> Tensor:
    """The matrix (B, 3, 3) of t = (r_c, r_s, t_x, t_y) (B, 4): by -(t_x, t_y), then turned by the angle of r.

    t is first divided by the length of r.
    """
    cosine, sine, x, y = (t / t[:, :2].norm(dim=1, keepdim=True)).unbind(1)
    zero, one = torch.zeros_like(x), torch.ones_like(x)
    turn = torch.stack((cosine, -sine, zero, sine, cosine, zero, zero, zero, one), dim=1).view(-1, 3, 3)
    move = torch.stack((one, zero, -x, zero, one, -y, zero, zero, one), dim=1).view(-1, 3, 3)
    return turn @ move


class FilteredConv(nn.Module):
    """One synthesis layer: style-modulated convolution, then the activation at a higher rate between two filters.

    Weights are never copied per sample: the input is scaled by the style, and the output by the demodulation factor.
    Styles are normalised for each sample; the reference normalises over the batch, which demodulation undoes but for
    its epsilon of 1e-8.

    Args:
        source, target: what comes in and goes out; `source.channels` is C and `target.channels` O.
        latent_dim: D.
        kernel: side of the convolution.
        to_rgb: the last layer, a 1x1 convolution without demodulation, filters and activation.
        filter_size: taps per sample of the filters.
        oversampling: rate of the activation relative to the higher of the two rates.
        radial: the down filter is radially symmetric.
        conv_clamp: clamp of the activations at ±conv_clamp after the gain, or None.
    """

    magnitude_ema: Tensor
    up_filter: Tensor | None
    down_filter: Tensor | None
    frozen_weight: Tensor | None
    weight_squares: Tensor | None

    def __init__(
        self,
        source: Signal,
        target: Signal,
        latent_dim: int,
        *,
        kernel: int = 3,
        to_rgb: bool = False,
        filter_size: int = 6,
        oversampling: int = 2,
        radial: bool = False,
        conv_clamp: float | None = 256.0,
    ) -> None:
        super().__init__()
        self.to_rgb = to_rgb
        self.conv_clamp = conv_clamp
        self.kernel = 1 if to_rgb else kernel
        rate = max(source.rate, target.rate) * (1 if to_rgb else oversampling)
        up, down = rate // source.rate, rate // target.rate
        up_taps = filter_size * up if up > 1 and not to_rgb else 1
        down_taps = filter_size * down if down > 1 and not to_rgb else 1
        # Samples to add around the upsampled signal so that exactly the target's come out.
        size = source.size + self.kernel - 1
        added = (target.size - 1) * down + 1 - size * up + up_taps + down_taps - 2
        before = (added + up) // 2
        self.resampling = Resampling(size, target.size, up, down, before, LRELU_SLOPE, conv_clamp)
        self.affine = FullyConnected(latent_dim, source.channels, bias_init=1.0)
        self.weight = nn.Parameter(torch.randn(target.channels, source.channels, self.kernel, self.kernel))
        self.bias = nn.Parameter(torch.zeros(target.channels))
        self.register_buffer("magnitude_ema", torch.ones(()))
        up_filter = lowpass_filter(up_taps, source.cutoff, 2 * source.half_width, rate)
        down_filter = lowpass_filter(down_taps, target.cutoff, 2 * target.half_width, rate, radial=radial)
        self.register_buffer("up_filter", up_filter)
        self.register_buffer("down_filter", down_filter)
        self.register_buffer("frozen_weight", None, persistent=False)
        self.register_buffer("weight_squares", None, persistent=False)

    def freeze(self, dtype: torch.dtype) -> None:
        """Compute once what depends on the weights alone; the weights must not change afterwards."""
        weight = self._normalised(self.weight.detach())
        self.weight_squares = weight.square().sum(dim=(2, 3))
        self.frozen_weight = weight.to(dtype).contiguous(memory_format=torch.channels_last)

    def thaw(self) -> None:
        """Forget what freeze computed."""
        self.weight_squares = self.frozen_weight = None

    def _normalised(self, weight: Tensor) -> Tensor:
        """With demodulation: each output's weights at a mean square of one."""
        return weight if self.to_rgb else weight * weight.square().mean(dim=(1, 2, 3), keepdim=True).rsqrt()

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        """x (B, C, source.size, source.size) and w (B, D) -> (B, O, target.size, target.size), in the dtype of x."""
        weight, squares = self.frozen_weight, self.weight_squares
        if weight is None or squares is None:
            weight = self._normalised(self.weight)
            squares = weight.square().sum(dim=(2, 3))
        styles = self.affine(w)
        if self.to_rgb:
            styles = styles / math.sqrt(self.weight[0].numel())
        else:
            styles = styles * (styles.square().mean(dim=1, keepdim=True) + DEMODULATION_EPS).rsqrt()
        gained = (styles * self.magnitude_ema.rsqrt()).to(x.dtype)
        x = x * gained[:, :, None, None]
        x = F.conv2d(x, weight.to(x.dtype), padding=self.kernel - 1)
        bias = self.bias.to(x.dtype)[None, :, None, None]
        if self.to_rgb:
            x = x + bias
            return x if self.conv_clamp is None else x.clamp(-self.conv_clamp, self.conv_clamp)
        # Leaky ReLU commutes with a positive factor, so its gain goes to where there is least to multiply.
        scale = (demodulation(styles, squares) * LRELU_GAIN).to(x.dtype)[:, :, None, None]
        x = torch.addcmul(bias * LRELU_GAIN, x, scale)
        return filtered_activation(x, self.up_filter, self.down_filter, self.resampling)
