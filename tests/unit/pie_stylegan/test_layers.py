"""The layers against direct definitions, in float64."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from pie_stylegan.layers import (
    FullyConnected,
    ModulatedConv,
    ToRGB,
    fir_kernel,
    normalize_second_moment,
    upsample2x,
)


def spread(x: Tensor) -> Tensor:
    """Zeros after every pixel, on both axes."""
    b, c, h, w = x.shape
    y = x.new_zeros(b, c, 2 * h, 2 * w)
    y[:, :, ::2, ::2] = x
    return y


def naive_layer(layer: ModulatedConv, x: Tensor, w: Tensor, noise: Tensor | float) -> Tensor:
    """Per-sample weights, modulated and demodulated as the paper writes them (equations 1 and 3)."""
    styles = w @ layer.affine.weight.t() * layer.affine.weight_gain + layer.affine.bias
    rows = []
    for sample, style in zip(x, styles, strict=True):
        weight = layer.weight * style[None, :, None, None]
        weight = weight / (weight.square().sum(dim=(1, 2, 3), keepdim=True) + 1e-8).sqrt()
        if layer.up == 2:
            # A true convolution (flipped kernel) of the spread-out image, then the filter with gain 4.
            up = F.pad(spread(sample[None]), (2, 2, 2, 2))[..., :-1, :-1]
            y = F.conv2d(up, weight.flip(2, 3))
            kernel = fir_kernel(dtype=x.dtype).expand(y.shape[1], 1, 4, 4) * 4
            y = F.conv2d(F.pad(y, (1, 1, 1, 1)), kernel, groups=y.shape[1])
        else:
            y = F.conv2d(sample[None], weight, padding=1)
        rows.append(y)
    y = torch.cat(rows) + noise + layer.bias[None, :, None, None]
    return F.leaky_relu(y, 0.2) * math.sqrt(2)


@pytest.mark.parametrize("up", [1, 2])
@pytest.mark.parametrize("frozen", [False, True])
def test_modulated_convolution_equals_per_sample_weights(up: int, frozen: bool) -> None:
    torch.manual_seed(0)
    layer = ModulatedConv(5, 4, 6, 8, up=up).double()
    with torch.no_grad():
        layer.bias.normal_()
        layer.noise_strength.fill_(0.3)
    if frozen:
        layer.freeze(torch.float64)
    x, w = torch.randn(3, 5, 8 // up, 8 // up).double(), torch.randn(3, 6).double()
    for mode, noise in (("none", 0.0), ("const", layer.noise_const * 0.3)):
        if frozen and mode == "none":
            continue
        y = layer(x, w, fir_kernel(dtype=torch.float64), mode)
        assert y.shape == (3, 4, 8, 8)
        torch.testing.assert_close(y, naive_layer(layer, x, w, noise))


def test_freezing_changes_no_output() -> None:
    torch.manual_seed(1)
    layer = ModulatedConv(3, 4, 6, 8).double()
    with torch.no_grad():
        layer.noise_strength.fill_(0.5)
    x, w, kernel = (
        torch.randn(2, 3, 8, 8).double(),
        torch.randn(2, 6).double(),
        fir_kernel(dtype=torch.float64),
    )
    before = [layer(x, w, kernel, mode) for mode in ("const", "none")]
    layer.freeze(torch.float64)
    after = [layer(x, w, kernel, mode) for mode in ("const", "none")]
    torch.testing.assert_close(after, before)
    layer.thaw()
    assert layer.frozen_weight is None
    torch.testing.assert_close(layer(x, w, kernel, "const"), before[0])


def test_clamp_bounds_the_activations() -> None:
    torch.manual_seed(0)
    layer = ModulatedConv(3, 4, 6, 8, conv_clamp=0.25)
    y = layer(torch.randn(2, 3, 8, 8), torch.randn(2, 6), fir_kernel(), "none")
    assert float(y.detach().abs().max()) == pytest.approx(0.25)


def test_gradients_are_exact() -> None:
    torch.manual_seed(0)
    kernel = fir_kernel(dtype=torch.float64)
    for up in (1, 2):
        layer = ModulatedConv(2, 3, 4, 4, up=up).double().requires_grad_(False)
        layer.freeze(torch.float64)
        x = torch.randn(2, 2, 4 // up, 4 // up).double().requires_grad_()
        w = torch.randn(2, 4).double().requires_grad_()
        assert torch.autograd.gradcheck(lambda a, b, m=layer: m(a, b, kernel, "none"), (x, w))


def test_to_rgb_equals_a_one_by_one_convolution() -> None:
    torch.manual_seed(0)
    layer = ToRGB(5, 6).double()
    with torch.no_grad():
        layer.bias.normal_()
    x, w = torch.randn(2, 5, 4, 4).double(), torch.randn(2, 6).double()
    styles = (w @ layer.affine.weight.t() / math.sqrt(6) + layer.affine.bias) / math.sqrt(5)
    expected = torch.cat(
        [F.conv2d(x[i : i + 1] * styles[i][None, :, None, None], layer.weight) for i in range(2)]
    )
    torch.testing.assert_close(layer(x, w), expected + layer.bias[None, :, None, None])


def test_upsampling_equals_its_definition() -> None:
    torch.manual_seed(0)
    x = torch.randn(2, 3, 5, 5).double()
    taps = torch.tensor([1.0, 3.0, 3.0, 1.0], dtype=torch.float64) / 8
    kernel = (taps[:, None] * taps[None, :]).expand(3, 1, 4, 4) * 4
    expected = F.conv2d(F.pad(spread(x), (2, 1, 2, 1)), kernel, groups=3)
    torch.testing.assert_close(upsample2x(x), expected)


def test_upsampling_keeps_the_mean_inside() -> None:
    y = upsample2x(torch.ones(1, 1, 6, 6))
    torch.testing.assert_close(y[..., 1:-1, 1:-1], torch.ones(1, 1, 10, 10))


def test_fully_connected_scales_weights_and_bias() -> None:
    torch.manual_seed(0)
    layer = FullyConnected(4, 3, activation="lrelu", lr_multiplier=0.01, bias_init=2.0)
    assert float(layer.weight.detach().std()) > 10  # stored at 1 / lr_multiplier
    x = torch.randn(5, 4)
    expected = F.leaky_relu(x @ layer.weight.t() * (0.01 / 2) + 0.02, 0.2) * math.sqrt(2)
    torch.testing.assert_close(layer(x), expected)
    with pytest.raises(ValueError, match="activation"):
        FullyConnected(4, 3, activation="tanh")


def test_second_moment_is_one() -> None:
    z = normalize_second_moment(torch.randn(3, 64) * torch.tensor([[0.1], [1.0], [50.0]]))
    torch.testing.assert_close(z.square().mean(dim=1), torch.ones(3))
