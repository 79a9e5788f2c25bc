from __future__ import annotations

import math

import pytest
import torch

from pie_training.augment import (
    MIRRORED_LANDMARKS,
    degrade,
    gaussian_blur,
    mirror,
    move,
    to_unit_range,
)


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_mirroring_is_its_own_inverse_and_swaps_sides() -> None:
    order = torch.tensor(MIRRORED_LANDMARKS)
    assert torch.equal(order[order], torch.arange(66))
    assert MIRRORED_LANDMARKS[36] == 45  # outer corners of the eyes
    assert MIRRORED_LANDMARKS[8] == 8  # chin
    images, landmarks = torch.rand(2, 3, 16, 16), torch.rand(2, 66, 2) * 16
    flipped = mirror(images, landmarks, torch.tensor([True, False]))
    assert torch.equal(flipped[0][1], images[1])
    assert torch.equal(flipped[1][1], landmarks[1])
    assert torch.allclose(flipped[1][0, 45, 0], 16 - landmarks[0, 36, 0])
    back = mirror(*flipped, torch.tensor([True, False]))
    assert torch.allclose(back[1], landmarks, atol=1e-5)


def test_moving_takes_the_landmark_where_it_takes_the_pixel() -> None:
    axis = torch.arange(64) + 0.5
    points = torch.tensor([[40.0, 24.0], [20.0, 30.0]])
    squared = (axis[None, None, :] - points[:, :1, None]) ** 2 + (
        axis[None, :, None] - points[:, 1:, None]
    ) ** 2
    spots = torch.exp(-squared / 8)[:, None].expand(-1, 3, -1, -1).contiguous()
    moved, landmarks = move(spots, points[:, None], rng(), degrees=15, scale=0.1, shift=0.05)
    mass = moved[:, 0] / moved[:, 0].sum(dim=(1, 2), keepdim=True)
    found = torch.stack([(mass.sum(1) * axis).sum(-1), (mass.sum(2) * axis).sum(-1)], dim=-1)
    assert (landmarks[:, 0] - points).norm(dim=-1).min() > 0.5
    assert torch.allclose(found, landmarks[:, 0], atol=0.05)


def test_blur_keeps_a_plain_image_and_has_the_variance_asked_for() -> None:
    plain = torch.full((1, 3, 16, 16), 0.3)
    assert torch.allclose(gaussian_blur(plain, 1.5), plain)
    point = torch.zeros(1, 1, 33, 33)
    point[..., 16, 16] = 1.0
    profile = gaussian_blur(point, 1.5)[0, 0].sum(dim=0)
    variance = (profile * (torch.arange(33) - 16.0) ** 2).sum()
    assert math.sqrt(float(variance)) == pytest.approx(1.5, rel=0.05)


def test_degrading_is_seeded_and_without_colour_leaves_the_first_quarter() -> None:
    images = torch.rand(8, 3, 32, 32) * 2 - 1
    assert torch.equal(degrade(images, rng(3)), degrade(images, rng(3)))
    untouched = degrade(images, rng(3), colour=0.0)
    assert torch.equal(untouched[:2], images[:2])
    assert not torch.equal(untouched[2:4], images[2:4])


def test_bytes_span_the_unit_range() -> None:
    import numpy as np

    pixels = np.array([[[[0, 255, 0]]]], dtype=np.uint8)
    assert to_unit_range(pixels).flatten().tolist() == [-1.0, 1.0, -1.0]
