"""Ψ: a small residual network that tells persons apart from the inner part of a portrait."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from pie_features.normalisation import unit_mean_square
from pie_features.sampling import crop as cut
from pie_features.settings import RecognitionSettings
from pie_framework.api import BuildContext
from pie_framework.errors import ConfigError, did_you_mean
from pie_training.blocks import ConvBlock
from pie_weights.files import load_network

KIND = "recognition"
STAGES = ("stage1", "stage2", "stage3", "stage4")
LAYERS = (*STAGES, "embedding")


class Residual(nn.Module):
    """x + two 3 x 3 convolutions of x."""

    def __init__(self, channels: int, folded: bool) -> None:
        super().__init__()
        self.first = ConvBlock(channels, channels, folded=folded)
        self.second = ConvBlock(channels, channels, activate=False, folded=folded)

    def forward(self, x: Tensor) -> Tensor:
        return functional.leaky_relu(x + self.second(self.first(x)), 0.1)


class RecognitionNetwork(nn.Module):
    """Identity features of a portrait.

    The portrait is cropped to `crop` and resized to `side` inside. Four stages, at 1/2 to 1/16 of that side,
    the first of them on blocks of 2 x 2 pixels; every channel of the last is weighed by place and summed,
    then projected to the embedding.

    Args:
        crop: left, top, right, bottom of the face's square, as fractions of the portrait's side.
        side: pixels of the crop's side, a multiple of 16.
        widths: channels of the four stages.
        embedding: E.
        folded: without batch normalisation, as weight files hold it.
    """

    def __init__(
        self,
        crop: Sequence[float] = (0.125, 0.1875, 0.875, 0.9375),
        side: int = 96,
        widths: Sequence[int] = (24, 48, 80, 128),
        embedding: int = 128,
        folded: bool = True,
    ) -> None:
        super().__init__()
        self.crop, self.side = tuple(crop), side
        self.architecture: dict[str, Any] = {
            "crop": list(crop),
            "side": side,
            "widths": list(widths),
            "embedding": embedding,
        }
        self.layers: tuple[str, ...] = LAYERS
        self.normalize = True
        first = nn.Sequential(nn.PixelUnshuffle(2), ConvBlock(12, widths[0], folded=folded))
        self.stages = nn.ModuleList([first])
        for before, width in itertools.pairwise(widths):
            self.stages.append(
                nn.Sequential(ConvBlock(before, width, stride=2, folded=folded), Residual(width, folded))
            )
        self.places = nn.Parameter(torch.full((widths[-1], side // 16, side // 16), 16.0 / side))
        self.projection = nn.Linear(widths[-1], embedding)

    def cropped(self, image: Tensor) -> Tensor:
        """The face's square, (B, 3, H, W) -> (B, 3, side, side)."""
        image = cut(image, self.crop, self.side)
        return image.contiguous(memory_format=torch.channels_last)

    def maps(self, image: Tensor) -> dict[str, Tensor]:
        """The four stages' feature maps, {stage: (B, C, H', W')}, unscaled."""
        x = self.cropped(image)
        found = {}
        for name, stage in zip(STAGES, self.stages, strict=True):
            x = stage(x)
            found[name] = x
        return found

    def project(self, last: Tensor) -> Tensor:
        """The last stage's map -> the embedding before it is scaled to unit length, (B, E)."""
        return self.projection((last * self.places).sum(dim=(2, 3)))  # type: ignore[no-any-return]

    def features(self, image: Tensor) -> dict[str, Tensor]:
        """Ψ(I): (B, 3, H, W) in [-1, 1] -> {layer: (B, C, H', W'), embedding: (B, E)} for the chosen layers.

        With `normalize` every position's channels have a mean square of one.
        """
        found = self.maps(image)
        if "embedding" in self.layers:
            found["embedding"] = self.project(found["stage4"])
        return {
            name: unit_mean_square(found[name]) if self.normalize else found[name] for name in self.layers
        }

    def embed(self, image: Tensor) -> Tensor:
        """(B, 3, H, W) in [-1, 1] -> (B, E), unit length."""
        return functional.normalize(self.project(self.maps(image)["stage4"]), dim=1)


def build(config: RecognitionSettings, context: BuildContext) -> RecognitionNetwork:
    """Ψ from its weight file, frozen; AssetError when the file does not fit."""
    check_layers(config.layers, LAYERS)
    path = context.asset(config.weights)
    network = load_network(path, KIND, RecognitionNetwork, context.device, context.dtype)
    network.layers, network.normalize = tuple(config.layers), config.normalize
    return network


def check_layers(chosen: Sequence[str], known: Sequence[str]) -> None:
    """ConfigError when a layer is unknown or none is chosen."""
    if not chosen:
        raise ConfigError("layers is empty", f"Choose from {', '.join(known)}.")
    for name in chosen:
        if name not in known:
            raise ConfigError(f"there is no layer '{name}'", did_you_mean(name, known))
