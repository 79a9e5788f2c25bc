"""The filters are those of the definition, and resampling with them is what it says, forwards and backwards."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from pie_framework.errors import ConfigError
from pie_stylegan import stylegan3_filters
from pie_stylegan.stylegan3_filters import (
    Resampling,
    downsample,
    filtered_activation,
    kaiser_beta,
    lowpass_filter,
    upsample,
)


@pytest.mark.parametrize(
    ("taps", "cutoff", "width", "rate"),
    [(12, 2.0, 12.0, 32), (24, 90.5, 75.0, 2048), (12, 512.0, 236.7, 4096)],
)
def test_filters_are_those_of_scipy(taps: int, cutoff: float, width: float, rate: float) -> None:
    signal = pytest.importorskip("scipy.signal")
    special = pytest.importorskip("scipy.special")
    own = lowpass_filter(taps, cutoff, width, rate)
    assert own is not None
    np.testing.assert_allclose(
        own.numpy(), signal.firwin(taps, cutoff, width=width, fs=rate), rtol=0, atol=1e-7
    )
    beta = signal.kaiser_beta(signal.kaiser_atten(taps, width / (rate / 2)))
    assert kaiser_beta(taps, width / (rate / 2)) == pytest.approx(beta)
    radius = np.hypot(*np.meshgrid(*[(np.arange(taps) - (taps - 1) / 2) / rate] * 2))
    window = np.kaiser(taps, beta)
    jinc = special.j1(2 * cutoff * np.pi * radius) / (np.pi * radius) * np.outer(window, window)
    radial = lowpass_filter(taps, cutoff, width, rate, radial=True)
    assert radial is not None
    np.testing.assert_allclose(radial.numpy(), jinc / jinc.sum(), rtol=0, atol=1e-7)


def test_radial_filters_look_the_same_from_every_side() -> None:
    kernel = lowpass_filter(12, 64.0, 60.0, 512, radial=True)
    assert kernel is not None
    torch.testing.assert_close(kernel, kernel.t(), rtol=0, atol=1e-9)
    torch.testing.assert_close(kernel, kernel.flip(0), rtol=0, atol=1e-9)
    assert float(kernel.sum()) == pytest.approx(1.0)
    # The response above the cutoff depends less on the direction than a separable sinc's (the window still does).
    sinc = lowpass_filter(12, 64.0, 60.0, 512)
    assert sinc is not None
    spreads = []
    for filter_ in (kernel, sinc[:, None] * sinc[None, :]):
        side = (torch.arange(12) - 5.5) / 512
        angles = torch.linspace(0, np.pi / 4, 7)
        phase = side[None, :, None] * angles.sin()[:, None, None] + side * angles.cos()[:, None, None]
        spreads.append(float((filter_ * torch.cos(2 * np.pi * 75 * phase)).sum(dim=(1, 2)).std()))
    assert spreads[0] < 0.5 * spreads[1]


def test_one_tap_is_no_filter_and_impossible_ones_are_refused() -> None:
    assert lowpass_filter(1, 2.0, 1.0, 16) is None
    for wrong in ((12, 9.0, 1.0, 16), (12, 2.0, 0.0, 16), (0, 2.0, 1.0, 16)):
        with pytest.raises(ConfigError, match="no low-pass filter"):
            lowpass_filter(*wrong)
    with pytest.raises(ConfigError, match="even number"):
        lowpass_filter(11, 2.0, 1.0, 16, radial=True)


def by_definition(x: Tensor, kernel: Tensor, factor: int, before: int, length: int) -> Tensor:
    """Zeros between, zeros around (or cropped), then the full filter."""
    b, c, h, w = x.shape
    spread = x.new_zeros(b, c, h, factor, w, factor)
    spread[:, :, :, 0, :, 0] = x
    after = length + len(kernel) - 1 - before - h * factor
    spread = F.pad(spread.reshape(b, c, h * factor, w * factor), (before, after, before, after))
    square = kernel if kernel.ndim == 2 else kernel[:, None] * kernel[None, :]
    return F.conv2d(spread.flatten(0, 1)[:, None], (square * factor**2)[None, None])[:, 0].unflatten(
        0, (b, c)
    )


@pytest.mark.parametrize("factor", [1, 2, 4])
@pytest.mark.parametrize(("before", "length"), [(11, 20), (9, 33), (-3, 9), (30, 60)])
@pytest.mark.parametrize("radial", [False, True])
def test_upsampling_is_its_definition(factor: int, before: int, length: int, radial: bool) -> None:
    torch.manual_seed(0)
    x = torch.randn(2, 3, 8, 8, dtype=torch.float64)
    kernel = lowpass_filter(12, 3.0, 4.0, 16 * factor, radial=radial)
    assert kernel is not None
    out = upsample(x, kernel.double(), factor, (before, length), (before, length))
    torch.testing.assert_close(out, by_definition(x, kernel.double(), factor, before, length))
    low = downsample(out, kernel.double(), factor) if length >= 12 else out
    full = kernel.double() if radial else kernel.double()[:, None] * kernel.double()[None, :]
    if length >= 12:
        expected = F.conv2d(out.flatten(0, 1)[:, None], full[None, None], stride=factor)[:, 0]
        torch.testing.assert_close(low.flatten(0, 1), expected)


CASES = [
    Resampling(8, 8, 2, 2, 9, 0.2, 1.5),
    Resampling(6, 14, 4, 2, 24, 0.2, None),
    Resampling(9, 5, 2, 2, 3, 1.0, 0.8),
]


@pytest.mark.parametrize("how", CASES)
@pytest.mark.parametrize("radial", [False, True])
def test_activation_between_filters(how: Resampling, radial: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(1)
    up = lowpass_filter(6 * how.up, 3.0, 4.0, 16 * how.up)
    down = lowpass_filter(6 * how.down, 3.0, 4.0, 16 * how.down, radial=radial)
    assert up is not None and down is not None
    up, down = up.double(), down.double()
    x = torch.randn(2, 3, how.size, how.size, dtype=torch.float64, requires_grad=True)
    wide = (how.out_size - 1) * how.down + len(down)
    signal = F.leaky_relu(by_definition(x, up, how.up, how.before, wide), how.slope)
    if how.clamp is not None:
        signal = signal.clamp(-how.clamp, how.clamp)
    expected = downsample(signal, down, how.down)
    weights = torch.randn_like(expected)
    (gradient,) = torch.autograd.grad((expected * weights).sum(), x)
    for values in (1, 1 << 22):  # a few rows at a time, and all at once
        monkeypatch.setitem(stylegan3_filters.VALUES_AT_ONCE, "cpu", values)
        out = filtered_activation(x, up, down, how)
        torch.testing.assert_close(out, expected)
        torch.testing.assert_close(torch.autograd.grad((out * weights).sum(), x)[0], gradient)


def test_gradient_by_finite_differences() -> None:
    torch.manual_seed(2)
    how = CASES[0]
    kernel = lowpass_filter(12, 3.0, 4.0, 32)
    assert kernel is not None
    x = torch.randn(1, 2, how.size, how.size, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(
        lambda value: filtered_activation(value, kernel.double(), kernel.double(), how), (x,), atol=1e-6
    )


def test_no_filters_is_the_plain_activation() -> None:
    x = torch.randn(1, 2, 5, 5, requires_grad=True)
    how = Resampling(5, 5, 1, 1, 0, 0.2, 0.5)
    out = filtered_activation(x, None, None, how)
    torch.testing.assert_close(out, F.leaky_relu(x, 0.2).clamp(-0.5, 0.5))
    out.sum().backward()
    slopes = torch.where(x < 0, 0.2, 1.0) * (F.leaky_relu(x, 0.2).abs() <= 0.5)
    assert x.grad is not None
    torch.testing.assert_close(x.grad, slopes)
