"""Whitening changes the basis and nothing else; the mapping network starts linear and then matches the codes."""

from __future__ import annotations

import pytest
import torch

from pie_framework.errors import ConfigError
from pie_stylegan.inverter import Inverter, InverterConfig
from pie_stylegan.layers import normalize_second_moment
from pie_stylegan.prior import (
    covariance_roots,
    fit_mapping,
    initialise_linear,
    moments,
    sliced_wasserstein,
    whiten,
)
from pie_stylegan.stylegan2 import StyleGAN2, StyleGAN2Config


def tiny(depth: int = 2) -> StyleGAN2:
    torch.manual_seed(0)
    return StyleGAN2(
        StyleGAN2Config(resolution=8, latent_dim=6, prior_dim=6, channels=(4, 4), mapping_layers=depth)
    )


def skewed_codes(n: int) -> torch.Tensor:
    """Six independent columns, the first three of them with two modes."""
    x = torch.randn(n, 6, generator=torch.Generator().manual_seed(3))
    x[:, :3] = 1.5 * x[:, :3].sign() + 0.2 * x[:, :3]
    return x * torch.tensor([1.0, 2.0, 1.0, 0.5, 1.0, 1.0]) + torch.arange(6.0)


def test_roots() -> None:
    _, covariance = moments(skewed_codes(500).double())
    root, inverse = covariance_roots(covariance)
    torch.testing.assert_close(root @ root, covariance)
    torch.testing.assert_close(root @ inverse, torch.eye(6, dtype=torch.float64))


def test_whitening_keeps_every_image() -> None:
    generator = tiny()
    inverter = Inverter(InverterConfig(8, 6, (8, 8)))
    images = torch.randn(200, 3, 8, 8)
    with torch.no_grad():
        codes = inverter(images) * 1.0
        before = generator.synthesize_w(codes)
        white = whiten(generator, inverter, codes)
        torch.testing.assert_close(inverter(images), white, rtol=1e-3, atol=1e-3)
        torch.testing.assert_close(generator.synthesize_w(white), before, rtol=1e-3, atol=1e-3)
    mean, covariance = moments(white)
    torch.testing.assert_close(mean, torch.zeros(6), rtol=0, atol=1e-3)
    torch.testing.assert_close(covariance, torch.eye(6), rtol=0, atol=1e-3)


@pytest.mark.parametrize("depth", [2, 4])
def test_linear_start_is_exact(depth: int) -> None:
    generator = tiny(depth)
    root, mean = torch.randn(6, 6), torch.randn(6)
    initialise_linear(generator, mean, root)
    z = torch.randn(50, 6)
    expected = mean + normalize_second_moment(z) @ root.t()
    torch.testing.assert_close(generator.mapping(z), expected, rtol=1e-4, atol=1e-4)


def test_sliced_distance_of_shifted_points() -> None:
    x = torch.randn(64, 6)
    shift = torch.tensor([3.0, 0, 0, 0, 0, 0])
    axes = torch.eye(6)
    assert float(sliced_wasserstein(x, x[torch.randperm(64)], axes)) == pytest.approx(0.0, abs=1e-9)
    assert float(sliced_wasserstein(x, x + shift, axes)) == pytest.approx(9.0 / 6, rel=1e-4)


def test_fitting_matches_the_codes_better_than_the_linear_start() -> None:
    generator = tiny()
    figures = fit_mapping(
        generator, skewed_codes(2000), torch.Generator().manual_seed(0), steps=100, batch=512, step_size=3e-2
    )
    assert figures["distance"] < 0.8 * figures["distance_linear"]
    assert figures["mean_error"] < 0.15
    assert figures["covariance_error"] < 0.4
    w = generator.mapping(generator.sample_z(4000, torch.Generator().manual_seed(9)))
    torch.testing.assert_close(generator.mean_latent(), w.mean(dim=0), rtol=0.1, atol=0.3)


def test_shapes_that_cannot_be_fitted_are_refused() -> None:
    with pytest.raises(ConfigError, match="even"):
        fit_mapping(tiny(3), skewed_codes(10), torch.Generator(), steps=1)
    narrow = StyleGAN2(StyleGAN2Config(resolution=8, latent_dim=6, prior_dim=4, channels=(4, 4)))
    with pytest.raises(ConfigError, match="prior_dim"):
        fit_mapping(narrow, skewed_codes(10), torch.Generator(), steps=1)
