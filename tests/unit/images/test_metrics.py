from __future__ import annotations

import math

import pytest
import torch

from pie_framework.images.metrics import MAX_PSNR, feature_distance, masked_mean, psnr, ssim, ssim_map


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


def test_ssim_counts_only_the_mask() -> None:
    rng = torch.Generator().manual_seed(1)
    reference = torch.rand(2, 3, 40, 40, generator=rng) * 2 - 1
    image = reference.clone()
    image[..., 20:] *= -1
    left = torch.zeros(2, 1, 40, 40)
    left[..., :14] = 1  # beyond the reach of the window from the changed half
    assert ssim(image, reference, left).tolist() == pytest.approx([1.0, 1.0], abs=1e-5)
    assert ssim(image, reference, 1 - left).max() < ssim(image, reference).max() < 1.0


def test_ssim_of_the_whole_is_that_of_the_middle() -> None:
    rng = torch.Generator().manual_seed(2)
    image, reference = torch.rand(2, 1, 3, 24, 24, generator=rng) * 2 - 1
    middle = torch.zeros(1, 1, 24, 24)
    middle[..., 5:-5, 5:-5] = 1
    torch.testing.assert_close(ssim(image, reference, middle), ssim(image, reference))
    assert ssim_map(image, reference).shape == (1, 1, 24, 24)


def test_an_empty_mask_has_no_measure() -> None:
    image, empty = torch.zeros(1, 3, 16, 16), torch.zeros(1, 1, 16, 16)
    assert psnr(image, image, empty).isnan().all() and ssim(image, image, empty).isnan().all()
    assert masked_mean(empty, empty + 0.5).item() == 0.0


def test_feature_distance_weighs_each_layer_s_positions() -> None:
    first = {"fine": torch.zeros(1, 2, 4, 4), "coarse": torch.zeros(1, 3, 2, 2), "flat": torch.zeros(1, 5)}
    second = {name: value.clone() for name, value in first.items()}
    second["fine"][..., :2] = 1.0
    second["coarse"][..., 0] = 2.0
    second["flat"][...] = 3.0
    left = torch.zeros(1, 1, 8, 8)
    left[..., :4] = 1
    assert feature_distance(first, second).item() == pytest.approx((0.5 + 2.0 + 9.0) / 3)
    assert feature_distance(first, second, left).item() == pytest.approx((1.0 + 4.0 + 9.0) / 3)
    assert feature_distance(first, second, 1 - left).item() == pytest.approx(9.0 / 3)
