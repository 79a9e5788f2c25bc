"""Ψ: ArcFace, IResNet checkpoints of insightface (Deng et al. 2019)."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from pie_features.checkpoints import load, read_state, ready
from pie_features.iresnet import DEPTHS, SIDE, STAGES, IResNet
from pie_features.recognition import check_layers
from pie_features.sampling import similarity, warped
from pie_features.settings import FFHQ_POINTS, ArcFaceSettings
from pie_features.vgg import scaled
from pie_framework.api import BuildContext
from pie_framework.errors import AssetError

KIND = "arcface"
LAYERS = (*STAGES, "embedding")
#: Where insightface's alignment puts the eyes, the nose's tip and the mouth's corners at 112 x 112, x and y of each,
#: counted from the centre of the first pixel; image-left first.
TEMPLATE = (38.2946, 51.6963, 73.5318, 51.5014, 56.0252, 71.7366, 41.5493, 92.3655, 70.7299, 92.2041)


class ArcFace(nn.Module):
    """Feature maps and the embedding of the face.

    Args:
        network: IResNet of any depth.
        layers: what `features` returns, of stage1 .. stage4 and embedding.
        points: where the portrait has eyes, nose and mouth's corners, x and y of each in fractions of its sides.
        normalize: scale every position's channels to a mean square of one.
        gain: factor of squared differences.
    """

    def __init__(
        self,
        network: IResNet,
        layers: Sequence[str] = ("stage2", "stage3", "stage4", "embedding"),
        points: Sequence[float] = FFHQ_POINTS,
        normalize: bool = True,
        gain: float = 1.0,
    ) -> None:
        super().__init__()
        self.network = network
        self.layers, self.normalize, self.gain = tuple(layers), normalize, gain
        template = np.reshape(TEMPLATE, (5, 2)) + 0.5
        self.to_crop = similarity(np.reshape(points, (5, 2)), template)

    def preprocessed(self, image: Tensor) -> Tensor:
        """(B, 3, H, W) in [-1, 1] -> (B, 3, 112, 112): the aligned face, RGB in [-1, 1]."""
        return warped(image, self.to_crop, SIDE).contiguous(memory_format=torch.channels_last)

    def features(self, image: Tensor) -> dict[str, Tensor]:
        """Ψ(I): (B, 3, H, W) in [-1, 1] -> {stage: (B, C, H', W'), "embedding": (B, E)} for the chosen layers."""
        found = self.network.maps(self.preprocessed(image))
        if "embedding" in self.layers:
            found["embedding"] = self.network.project(found["stage4"])
        return {name: scaled(found[name], self.normalize, self.gain) for name in self.layers}

    def embed(self, image: Tensor) -> Tensor:
        """(B, 3, H, W) in [-1, 1] -> (B, E), unit length."""
        last = self.network.maps(self.preprocessed(image))["stage4"]
        return functional.normalize(self.network.project(last), dim=1)


def blocks_of(state: Mapping[str, Tensor], path: str | os.PathLike[str]) -> tuple[int, int, int, int]:
    """How many blocks the four stages have, from the names; AssetError when there are none."""
    found: dict[int, set[int]] = {stage: set() for stage in range(1, 5)}
    for name in state:
        place = re.match(r"layer([1-4])\.(\d{1,3})\.", name)
        if place:
            found[int(place[1])].add(int(place[2]))
    one, two, three, four = (len(numbers) for numbers in found.values())
    if min(one, two, three, four) == 0 or one + two + three + four > sum(DEPTHS[200]):
        known = "input_layer.0.weight" in state or any(name.startswith("body.") for name in state)
        raise AssetError(
            f"'{path}' does not hold an IResNet: it has {(one, two, three, four)} blocks in layer1 to layer4",
            "It is an IR-SE network, of another architecture; give a backbone.pth of insightface."
            if known
            else "Give a backbone.pth of insightface's arcface_torch.",
        )
    return one, two, three, four


def read_network(state: Mapping[str, Tensor], path: str | os.PathLike[str]) -> IResNet:
    """The network from insightface's state dict, its depth and its embedding's size as the file has them."""
    blocks = blocks_of(state, path)
    projection = state.get("fc.weight")
    embedding = 512 if projection is None or not 0 < len(projection) <= 4096 else len(projection)
    return load(lambda: IResNet(blocks, embedding), state, path, f"IResNet with {blocks} blocks")


def build(config: ArcFaceSettings, context: BuildContext) -> ArcFace:
    """Ψ from its file, frozen; AssetError when it does not fit."""
    check_layers(config.layers, LAYERS)
    path = context.asset(config.weights)
    network = ArcFace(
        read_network(read_state(path), path), config.layers, config.points, config.normalize, config.gain
    )
    return ready(network, context)
