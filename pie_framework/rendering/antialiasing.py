"""Anti-aliasing by supersampling: render larger, then average."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

from pie_framework.errors import InputError


def downsample(image: Tensor, factor: int) -> Tensor:
    """Average (B, C, H, W) over factor x factor blocks, giving (B, C, H / factor, W / factor).

    Raises InputError where ``factor`` is below one or does not divide the image's height and width.
    """
    if factor < 1 or image.shape[-1] % factor or image.shape[-2] % factor:
        raise InputError(
            f"cannot downsample an image of {image.shape[-2]}x{image.shape[-1]} pixels by {factor}: "
            "the factor must be a positive divisor of both; render at a multiple of it"
        )
    return image if factor == 1 else functional.avg_pool2d(image, factor)
