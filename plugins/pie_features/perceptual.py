"""Φ: a plain convolutional network with four scales, trained to label the regions of a portrait."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from pie_features.normalisation import unit_mean_square
from pie_features.recognition import check_layers
from pie_features.settings import PerceptualSettings
from pie_framework.api import BuildContext
from pie_training.blocks import ConvBlock
from pie_weights.files import load_network

KIND = "perceptual"
LAYERS = ("scale1", "scale2", "scale3", "scale4")


class PerceptualNetwork(nn.Module):
    """Feature maps at 1/2 to 1/16 of the size, in the manner of VGG: 3 x 3 convolutions, averages between
    scales.

    The first convolution sees blocks of 2 x 2 pixels as 12 channels, which keeps all detail at a quarter of
    the cost.

    Args:
        widths: channels of the scales.
        depths: convolutions of the scales.
        folded: without batch normalisation, as weight files hold it.
    """

    def __init__(
        self,
        widths: Sequence[int] = (32, 64, 96, 128),
        depths: Sequence[int] = (1, 1, 2, 1),
        folded: bool = True,
    ) -> None:
        super().__init__()
        self.architecture: dict[str, Any] = {"widths": list(widths), "depths": list(depths)}
        self.layers: tuple[str, ...] = LAYERS
        self.normalize = True
        self.scales = nn.ModuleList()
        before = 12
        for width, depth in zip(widths, depths, strict=True):
            blocks = [ConvBlock(before if i == 0 else width, width, folded=folded) for i in range(depth)]
            self.scales.append(nn.Sequential(*blocks))
            before = width

    def maps(self, image: Tensor) -> dict[str, Tensor]:
        """All scales' feature maps, {scale: (B, C, H', W')}, unscaled."""
        x = functional.pixel_unshuffle(image, 2).contiguous(memory_format=torch.channels_last)
        found: dict[str, Tensor] = {}
        for name, scale in zip(LAYERS, self.scales, strict=True):
            if found:
                x = functional.avg_pool2d(x, 2)
            x = scale(x)
            found[name] = x
        return found

    def features(self, image: Tensor) -> dict[str, Tensor]:
        """Φ(I): (B, 3, H, W) in [-1, 1], sides multiples of 16 -> {layer: (B, C, H', W')} for the chosen
        layers.

        With `normalize` every position's channels have a mean square of one.
        """
        found = self.maps(image)
        return {
            name: unit_mean_square(found[name]) if self.normalize else found[name] for name in self.layers
        }


def build(config: PerceptualSettings, context: BuildContext) -> PerceptualNetwork:
    """Φ from its weight file, frozen; AssetError when the file does not fit."""
    check_layers(config.layers, LAYERS)
    path = context.asset(config.weights)
    network = load_network(path, KIND, PerceptualNetwork, context.device, context.dtype)
    network.layers, network.normalize = tuple(config.layers), config.normalize
    return network
