"""Low-pass filters of StyleGAN3 and resampling with them.

Karras et al., *Alias-Free Generative Adversarial Networks* (NeurIPS 2021), appendix C.1: Kaiser-windowed sinc
filters, or radially symmetric jinc filters under the same window. Frequencies are in cycles per unit length of the
signal, `rate` in samples per unit length.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from pie_framework.errors import ConfigError

#: Intermediate signals are made for about so many values at a time: what stays in a processor's cache, or what keeps
#: an accelerator busy.
VALUES_AT_ONCE = {"cpu": 1 << 22, "other": 1 << 27}
#: But never fewer rows of the result than this, since neighbouring blocks share the rows that the filters reach.
LEAST_ROWS = 8


def kaiser_beta(taps: int, width: float) -> float:
    """The window's shape for a filter of `taps` whose transition band is `width` of the Nyquist frequency.

    Kaiser's formulae: attenuation 2.285 (taps - 1) π width + 7.95 dB, and from it beta.
    """
    attenuation = 2.285 * (taps - 1) * math.pi * width + 7.95
    if attenuation > 50:
        return 0.1102 * (attenuation - 8.7)
    if attenuation > 21:
        return float(0.5842 * (attenuation - 21) ** 0.4 + 0.07886 * (attenuation - 21))
    return 0.0


def lowpass_filter(
    taps: int, cutoff: float, width: float, rate: float, *, radial: bool = False
) -> Tensor | None:
    """A low-pass filter of sum one, (taps,), or (taps, taps) if radial; None for a single tap, the identity.

    Args:
        taps: length.
        cutoff: frequency of half amplitude.
        width: of the transition band.
        rate: samples per unit length of the signal it is for.
        radial: a jinc, symmetric under rotation, instead of a sinc along each axis.

    Raises:
        ConfigError: no such filter exists.
    """
    if taps == 1:
        return None
    if taps < 1 or not 0 < cutoff < rate / 2 or width <= 0 or (radial and taps % 2):
        raise ConfigError(
            f"no low-pass filter of {taps} taps has cutoff {cutoff:g} and width {width:g} at the rate {rate:g}",
            "The cutoff lies between 0 and half the rate; radial filters have an even number of taps.",
        )
    position = (np.arange(taps) - (taps - 1) / 2) / rate
    window = np.kaiser(taps, kaiser_beta(taps, width / (rate / 2)))
    if radial:
        radius = torch.from_numpy(np.hypot(*np.meshgrid(position, position)))
        ideal = (torch.special.bessel_j1(2 * math.pi * cutoff * radius) / (math.pi * radius)).numpy()
        kernel = ideal * np.outer(window, window)
    else:
        kernel = np.sinc(2 * cutoff * position) * window
    return torch.from_numpy(kernel / kernel.sum()).float()


def upsample(
    x: Tensor, kernel: Tensor, factor: int, rows: tuple[int, int], columns: tuple[int, int]
) -> Tensor:
    """Zeros between the samples of x (B, C, H, W), and around them, then the filter with gain factor².

    Args:
        kernel: (taps,) applied along both axes, or (taps, taps); symmetric.
        rows, columns: (before, length): samples added (or, if negative, taken away) before the first one, after the
            zeros were put in between; and how many samples come out.
    """
    if kernel.ndim == 2:
        return _upsample(x, kernel, factor, rows, columns)
    x = _upsample(x, kernel[:, None], factor, rows, None)
    return _upsample(x, kernel[None, :], factor, None, columns)


def downsample(x: Tensor, kernel: Tensor, factor: int) -> Tensor:
    """The filter, (taps,) along both axes or (taps, taps), then every factor-th sample; no samples are added."""
    channels = x.shape[1]
    if kernel.ndim == 2:
        return F.conv2d(x, _depthwise(kernel, x), stride=factor, groups=channels)
    x = F.conv2d(x, _depthwise(kernel[:, None], x), stride=(factor, 1), groups=channels)
    return F.conv2d(x, _depthwise(kernel[None, :], x), stride=(1, factor), groups=channels)


@dataclass(frozen=True)
class Resampling:
    """The two resamplings around an activation, for signals of `size` that become signals of `out_size`.

    Attributes:
        size, out_size: sides, samples.
        up, down: factors.
        before: samples added before the first, at the high rate.
        slope: of the leaky ReLU.
        clamp: of its output, or None.
    """

    size: int
    out_size: int
    up: int
    down: int
    before: int
    slope: float
    clamp: float | None


class _FilteredActivation(torch.autograd.Function):
    """Up, activation, down, a few rows at a time; the gradient is the same with the filters exchanged."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, up_filter: Tensor, down_filter: Tensor, how: Resampling) -> Tensor:
        ctx.save_for_backward(x, up_filter, down_filter)
        ctx.how = how
        taps, wide = down_filter.shape[0], _wide(how, down_filter)
        out = x.new_empty(x.shape[0], how.out_size, how.out_size, x.shape[1]).permute(0, 3, 1, 2)
        for first, last in _row_blocks(x, how, wide, how.out_size, how.down):
            rows = (how.before - first * how.down, (last - first - 1) * how.down + taps)
            signal = upsample(x, up_filter, how.up, rows, (how.before, wide))
            if how.slope != 1:
                signal = F.leaky_relu_(signal, how.slope)
            if how.clamp is not None:
                signal = signal.clamp_(-how.clamp, how.clamp)
            out[:, :, first:last] = downsample(signal, down_filter, how.down)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None, None]:
        x, up_filter, down_filter = ctx.saved_tensors
        how: Resampling = ctx.how
        taps, wide = up_filter.shape[0], _wide(how, down_filter)
        gradient = gradient.contiguous(memory_format=torch.channels_last)
        out = torch.empty_like(x, memory_format=torch.channels_last)
        # Sample m of x meets the high-rate samples from m * up + offset on; those outside the signal carry nothing.
        offset = how.before - taps + 1
        reach = (how.size - 1) * how.up + taps
        lead = down_filter.shape[0] - 1
        for first, last in _row_blocks(x, how, wide, how.size, how.up):
            begin, count = first * how.up + offset, (last - first - 1) * how.up + taps
            rows, columns = (how.before - begin, count), (how.before - offset, reach)
            signal = upsample(x, up_filter, how.up, rows, columns)
            back = upsample(gradient, down_filter, how.down, (lead - begin, count), (lead - offset, reach))
            if how.slope != 1:
                slopes = torch.where(signal < 0, how.slope, 1.0).to(back.dtype)
                if how.clamp is not None:
                    inside = (signal >= -how.clamp / how.slope) & (signal <= how.clamp)
                    slopes *= inside
                back *= slopes
            elif how.clamp is not None:
                back *= signal.abs() <= how.clamp
            out[:, :, first:last] = downsample(back, up_filter, how.up)
        return out * (how.up / how.down) ** 2, None, None, None


def filtered_activation(
    x: Tensor, up_filter: Tensor | None, down_filter: Tensor | None, how: Resampling
) -> Tensor:
    """Upsampling, leaky ReLU, clamp, downsampling of x (B, C, size, size) to (B, C, out_size, out_size).

    The intermediate signal, up² times as large, exists for a few rows at a time only, and is made again for the
    gradient instead of being kept. Differentiable once, in x. No filter means the identity.
    """
    filters = (x.new_ones(1) if f is None else f for f in (up_filter, down_filter))
    start = x.contiguous(memory_format=torch.channels_last)
    result: Tensor = _FilteredActivation.apply(start, *filters, how)  # type: ignore[no-untyped-call]
    return result


def _wide(how: Resampling, down_filter: Tensor) -> int:
    """Side of the intermediate signal."""
    return (how.out_size - 1) * how.down + down_filter.shape[0]


def _row_blocks(x: Tensor, how: Resampling, wide: int, rows: int, factor: int) -> Iterator[tuple[int, int]]:
    at_once = VALUES_AT_ONCE["cpu" if x.device.type == "cpu" else "other"]
    step = max(at_once // (x.shape[0] * x.shape[1] * wide * factor), LEAST_ROWS)
    for first in range(0, rows, step):
        yield first, min(first + step, rows)


def _depthwise(kernel: Tensor, x: Tensor) -> Tensor:
    return kernel.to(x.dtype).expand(x.shape[1], 1, -1, -1)


def _phases(
    taps: int, size: int, factor: int, before: int, length: int
) -> tuple[list[tuple[int, int]], int, int, int]:
    """How output n = factor * m + p is made without ever touching an inserted zero.

    It is the sum over t of kernel[first + factor * t] * x[m + shift + t], where first is the first tap that meets a
    sample and shift that sample's place relative to m. Returns (first, shift from the leftmost one) for each p, how
    many samples of x an output reaches over, and how many to add before and after x.
    """
    blocks = -(-length // factor)
    firsts = [(before - phase) % factor for phase in range(factor)]
    shifts = [(phase + first - before) // factor for phase, first in enumerate(firsts)]
    least = min(shifts)
    reach = max(s - least - (-(taps - f) // factor) for s, f in zip(shifts, firsts, strict=True))
    return (
        [(f, s - least) for f, s in zip(firsts, shifts, strict=True)],
        reach,
        -least,
        blocks + reach - 1 + least - size,
    )


def _upsample(
    x: Tensor, kernel: Tensor, factor: int, rows: tuple[int, int] | None, columns: tuple[int, int] | None
) -> Tensor:
    """Along the axes that are given; kernel (taps or 1, taps or 1)."""
    padding: list[int] = []
    plans: list[list[tuple[int, int]]] = []
    reaches: list[int] = []
    for axis, wanted in ((2, rows), (3, columns)):
        if wanted is None:
            plans.append([(0, 0)])
            reaches.append(1)
            padding = [0, 0, *padding]
        else:
            plan, reach, left, right = _phases(kernel.shape[axis - 2], x.shape[axis], factor, *wanted)
            plans.append(plan)
            reaches.append(reach)
            padding = [left, right, *padding]
    x = F.pad(x, padding)
    high, wide = (1 if rows is None else factor), (1 if columns is None else factor)
    pieces = []
    for first_row, down in plans[0]:
        for first_column, right in plans[1]:
            own = kernel[first_row::high, first_column::wide] * (high * wide)
            own = F.pad(
                own, (right, reaches[1] - own.shape[1] - right, down, reaches[0] - own.shape[0] - down)
            )
            pieces.append(F.conv2d(x, _depthwise(own, x), groups=x.shape[1]).permute(0, 2, 3, 1))
    b, h, w, c = pieces[0].shape
    joined = torch.stack(pieces, dim=3).view(b, h, w, high, wide, c)
    joined = joined.transpose(2, 3).reshape(b, h * high, w * wide, c)
    if rows is not None:
        joined = joined[:, : rows[1]]
    if columns is not None:
        joined = joined[:, :, : columns[1]]
    return joined.permute(0, 3, 1, 2)
