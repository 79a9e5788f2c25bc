from __future__ import annotations

import pytest
import torch

from pie_framework.errors import InputError
from pie_framework.rendering import downsample


def test_downsample_averages_blocks() -> None:
    image = torch.arange(32.0).view(1, 2, 4, 4)
    expected = torch.tensor([[[[2.5, 4.5], [10.5, 12.5]], [[18.5, 20.5], [26.5, 28.5]]]])
    assert torch.equal(downsample(image, 2), expected)
    assert torch.equal(downsample(image, 1), image)


def test_factor_must_divide_the_image() -> None:
    with pytest.raises(InputError, match="divisor"):
        downsample(torch.zeros(1, 3, 9, 9), 2)
