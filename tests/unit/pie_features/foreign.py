"""What the tests of the public feature networks share: contexts, images, files, and the literal layouts."""

from __future__ import annotations

import functools
from typing import Any

import torch
from torch import Tensor

from pie_framework.api import BuildContext

#: VGG-16 of torchvision: place in `features`, channels out, channels in.
VGG16 = (
    (0, 64, 3),
    (2, 64, 64),
    (5, 128, 64),
    (7, 128, 128),
    (10, 256, 128),
    (12, 256, 256),
    (14, 256, 256),
    (17, 512, 256),
    (19, 512, 512),
    (21, 512, 512),
    (24, 512, 512),
    (26, 512, 512),
    (28, 512, 512),
)
NAMES = (
    *("1_1", "1_2", "2_1", "2_2", "3_1", "3_2", "3_3"),
    *("4_1", "4_2", "4_3", "5_1", "5_2", "5_3"),
)


class Context(BuildContext):
    """The part of a build context that the factories use."""

    device = torch.device("cpu")

    def __init__(self, dtype: torch.dtype = torch.float32) -> None:
        self.dtype = dtype

    def asset(self, uri: str) -> str:
        return uri

    def get(self, kind: str, name: str | None = None) -> Any:
        raise AssertionError("not needed")


def images(count: int = 2, side: int = 64, seed: int = 1) -> Tensor:
    return torch.rand(count, 3, side, side, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def he(*shape: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator) * (2.0 / max(1, torch.Size(shape[1:]).numel())) ** 0.5


def vgg_state(prefix: str = "features.{place}") -> dict[str, Tensor]:
    """VGG-16's convolutions under the names that `prefix` makes of the place, the name and its two numbers."""
    state = {}
    for (place, outputs, inputs), name in zip(VGG16, NAMES, strict=True):
        own = prefix.format(place=place, name=name)
        state[f"{own}.weight"], state[f"{own}.bias"] = convolution(place, outputs, inputs)
    return state


@functools.cache
def convolution(place: int, outputs: int, inputs: int) -> tuple[Tensor, Tensor]:
    """Random weights of one convolution, drawn once; not to be changed in place."""
    return he(outputs, inputs, 3, 3, seed=place), 0.1 * he(outputs, seed=100 + place)
