"""The analysis loss on small numbers: what the mask and the scale of the landmarks do, in both units."""

from __future__ import annotations

from typing import Any, cast

import pytest
import torch
from torch import Tensor

from pie_framework.api import Rendering, analysis_losses, landmark_loss, photometric_loss
from pie_framework.api.analysis import REDUCTIONS, check_reduction
from pie_framework.errors import ConfigError


def picture(*values: float) -> Tensor:
    """(1, 3, 1, N): the same three colours c, 2c, 3c at each pixel."""
    return torch.tensor(values) * torch.tensor([1.0, 2.0, 3.0]).view(1, 3, 1, 1)


def test_only_covered_pixels_count() -> None:
    image, rendered = picture(1.0, 1.0, 5.0, 0.5), picture(0.0, 3.0, -9.0, 0.5)
    mask = torch.tensor([[[[1.0, 1.0, 0.0, 1.0]]]])
    squared = (1 + 4 + 9) * (1.0 + 4.0)
    assert photometric_loss(image, rendered, mask).tolist() == pytest.approx([squared / 9])
    assert photometric_loss(image, rendered, mask, "sum").tolist() == pytest.approx([squared])


def test_each_portrait_has_its_own_mask() -> None:
    image, rendered = picture(2.0, 3.0).expand(3, -1, -1, -1), torch.zeros(3, 3, 1, 2)
    mask = torch.tensor([[1.0, 0.0], [1.0, 1.0], [0.0, 0.0]]).view(3, 1, 1, 2)
    assert photometric_loss(image, rendered, mask).tolist() == pytest.approx([14 * 4 / 3, 14 * 13 / 6, 0.0])
    assert photometric_loss(image, rendered, mask, "sum").tolist() == pytest.approx([14 * 4, 14 * 13, 0.0])


def test_a_soft_mask_weighs_and_a_trace_of_one_does_not_count_for_a_whole() -> None:
    image, rendered = picture(2.0), torch.zeros(1, 3, 1, 1)
    half, trace = torch.full((1, 1, 1, 1), 0.5), torch.full((1, 1, 1, 1), 0.1)
    assert photometric_loss(image, rendered, half).tolist() == pytest.approx([14 * 4 / 3])
    assert photometric_loss(image, rendered, trace).tolist() == pytest.approx([0.1 * 14 * 4])


def test_landmarks_are_measured_in_sides_or_summed_in_pixels() -> None:
    detected = torch.tensor([[[3.0, 4.0], [0.0, 0.0], [10.0, 0.0]], [[0.0, 0.0]] * 3])
    projected = torch.tensor([[[0.0, 0.0], [0.0, 0.0], [0.0, 0.0]], [[0.0, 6.0]] * 3])
    assert landmark_loss(detected, projected, 20).tolist() == pytest.approx([125 / 3 / 400, 36 / 400])
    assert landmark_loss(detected, projected, 20, "sum").tolist() == pytest.approx([125.0, 108.0])


class Flat:
    """A face model of one colour c, covering the left half, with two landmarks at (x, x) and (y, y) of the side."""

    def render(self, theta: Tensor, size: int) -> Rendering:
        image = theta[:, :1, None, None].expand(-1, 3, size, size)
        mask = torch.zeros(len(theta), 1, size, size, dtype=theta.dtype)
        mask[..., : size // 2] = 1.0
        return Rendering(image, mask, size * theta[:, 1:, None].expand(-1, 2, 2))


MODEL = cast(Any, Flat())


@pytest.mark.parametrize(("size", "side"), [(None, 8), (8, 8), (4, 4), (2, 2)])
def test_the_portrait_is_averaged_down_and_its_landmarks_keep_their_units(
    size: int | None, side: int
) -> None:
    rng = torch.Generator().manual_seed(0)
    image = torch.rand(2, 3, 8, 8, generator=rng, dtype=torch.float64)
    landmarks = 8 * torch.rand(2, 2, 2, generator=rng, dtype=torch.float64)
    theta = torch.tensor([[0.3, 0.25, 0.5], [-0.2, 0.75, 1.0]], dtype=torch.float64)
    small = image.reshape(2, 3, side, 8 // side, side, 8 // side).mean(dim=(3, 5))
    squared = (small - theta[:, :1, None, None])[..., : side // 2].square().flatten(1)
    apart = (landmarks - 8 * theta[:, 1:, None]).square().sum(dim=2)
    found = analysis_losses(image, landmarks, theta, MODEL, size)
    torch.testing.assert_close(found["photometric"], squared.mean(dim=1))
    torch.testing.assert_close(found["landmark"], apart.mean(dim=1) / 64)
    found = analysis_losses(image, landmarks, theta, MODEL, size, "sum")
    torch.testing.assert_close(found["photometric"], squared.sum(dim=1))
    torch.testing.assert_close(found["landmark"], apart.sum(dim=1))
    assert list(found) == ["photometric", "landmark"]


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_gradients_in_the_image_the_landmarks_and_theta(reduction: str) -> None:
    rng = torch.Generator().manual_seed(1)
    image, landmarks, theta = (
        torch.rand(shape, generator=rng, dtype=torch.float64).requires_grad_(True)
        for shape in ((2, 3, 8, 8), (2, 2, 2), (2, 3))
    )

    def total(*values: Tensor) -> Tensor:
        parts = analysis_losses(*values, MODEL, 4, reduction)
        return torch.stack(list(parts.values()))

    assert torch.autograd.gradcheck(total, (image, landmarks, theta))


def test_another_reduction_is_refused() -> None:
    assert [check_reduction(name) for name in REDUCTIONS] == ["mean", "sum"]
    one = torch.zeros(1, 3, 2, 2)
    points = torch.zeros(1, 2, 2)
    for call in (
        lambda: check_reduction("men"),
        lambda: photometric_loss(one, one, one[:, :1], "men"),
        lambda: landmark_loss(points, points, 2, "men"),
        lambda: analysis_losses(one, points, torch.zeros(1, 3), MODEL, None, "men"),
    ):
        with pytest.raises(ConfigError, match=r"reduction: 'men' is not one of its values.*'mean'"):
            call()
