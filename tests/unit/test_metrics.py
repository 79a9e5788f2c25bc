from __future__ import annotations

import math

import pytest
import torch

from pie_framework.metrics import MAX_PSNR, psnr, ssim


def test_psnr_of_a_known_error() -> None:
    reference = torch.zeros(2, 3, 16, 16, dtype=torch.float64)
    image = reference + torch.tensor([0.1, 0.0], dtype=torch.float64)[:, None, None, None]
    assert psnr(image, reference).tolist() == pytest.approx([10 * math.log10(4 / 0.01), MAX_PSNR])


def test_psnr_counts_only_the_mask() -> None:
    reference = torch.zeros(1, 3, 4, 4)
    image = reference.clone()
    image[..., :2] = 1.0
    mask = torch.zeros(1, 1, 4, 4)
    mask[..., 2:] = 1.0
    assert psnr(image, reference, mask).item() == MAX_PSNR
    assert psnr(image, reference, 1 - mask).item() == pytest.approx(10 * math.log10(4))


def test_ssim_is_one_for_equal_images_and_falls_with_noise() -> None:
    rng = torch.Generator().manual_seed(0)
    image = torch.rand(1, 3, 32, 32, generator=rng, dtype=torch.float64) * 2 - 1
    noise = torch.randn(image.shape, generator=rng, dtype=torch.float64)
    values = [ssim(image + s * noise, image).item() for s in (0.0, 0.1, 0.5)]
    assert values[0] == pytest.approx(1.0)
    assert values[0] > values[1] > values[2]


def test_ssim_equals_its_formula_on_constant_images() -> None:
    a, b = (
        torch.full((1, 1, 16, 16), 0.5, dtype=torch.float64),
        torch.full((1, 1, 16, 16), 0.25, dtype=torch.float64),
    )
    c1 = 0.02**2
    assert ssim(a, b).item() == pytest.approx((2 * 0.5 * 0.25 + c1) / (0.25 + 0.0625 + c1), rel=1e-6)
