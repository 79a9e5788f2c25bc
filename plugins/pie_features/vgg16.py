"""Φ: VGG-16 trained on ImageNet, plain, scaled, or with the linear heads of LPIPS."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence

from torch import Tensor, nn

from pie_features.checkpoints import load, read_state, ready, renamed
from pie_features.recognition import check_layers
from pie_features.sampling import at_most, by_colour
from pie_features.settings import Vgg16Settings
from pie_features.vgg import LAYERS, TORCHVISION, Convolutions, channels, scaled
from pie_framework.api import BuildContext
from pie_framework.errors import AssetError, ConfigError

KIND = "vgg16"
#: The layers of LPIPS, in the order of its heads lin0 .. lin4.
LPIPS_LAYERS = ("relu1_2", "relu2_2", "relu3_3", "relu4_3", "relu5_3")
#: Mean and deviation of RGB that torchvision's weights expect, turned from [0, 1] to [-1, 1]: 2m - 1 and 2s of
#: m = (0.485, 0.456, 0.406), s = (0.229, 0.224, 0.225). LPIPS 0.1's scaling layer has the same numbers.
SHIFT, SCALE = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)

_OF_TORCHVISION = {f"features.{place}": name for name, place in TORCHVISION.items()}


class Vgg16(nn.Module):
    """Feature maps of VGG-16.

    Args:
        convolutions: the network.
        layers: what `features` returns, names of `pie_features.vgg.LAYERS`.
        size: larger images are reduced (antialiased) until no side exceeds so many pixels; 0 takes them as they are.
        normalize: scale every position's channels to a mean square of one; heads bring their own scaling.
        gain: factor of squared differences.
        heads: {layer: (C,)} non-negative weights of LPIPS; None for none.
    """

    def __init__(
        self,
        convolutions: Convolutions,
        layers: Sequence[str] = LPIPS_LAYERS,
        size: int = 256,
        normalize: bool = True,
        gain: float = 1.0,
        heads: Mapping[str, Tensor] | None = None,
    ) -> None:
        super().__init__()
        self.convolutions = convolutions
        self.layers, self.size, self.normalize, self.gain = tuple(layers), size, normalize, gain
        self.lpips = heads is not None
        for name, weight in (heads or {}).items():
            self.register_buffer(f"head_{name}", weight[None, :, None, None].clone())

    def preprocessed(self, image: Tensor) -> Tensor:
        """(B, 3, H, W) in [-1, 1] -> what the network sees: reduced to `size`, then (I - mean) / deviation."""
        return (at_most(image, self.size) - by_colour(SHIFT, image)) / by_colour(SCALE, image)

    def features(self, image: Tensor) -> dict[str, Tensor]:
        """Φ(I): (B, 3, H, W) in [-1, 1], sides at least 16 -> {layer: (B, C, H', W')}.

        With heads, the mean over channels and positions of the squared difference of two images' maps, averaged over
        the layers, is LPIPS times `gain`: each position's channels are brought to unit length and multiplied by
        the square root of head x channels x layers.
        """
        found = self.convolutions.maps(self.preprocessed(image), self.layers)
        if self.lpips:
            return {name: self._headed(name, found[name]) for name in self.layers}
        return {name: scaled(found[name], self.normalize, self.gain) for name in self.layers}

    def _headed(self, name: str, found: Tensor) -> Tensor:
        head = self.get_buffer(f"head_{name}")
        unit = found * (found.square().sum(dim=1, keepdim=True) + 1e-20).rsqrt()
        return unit * (head * (self.gain * found.shape[1] * len(self.layers))).sqrt()


def name_of(name: str) -> str | None:
    """The network's own name of a tensor in one of the public layouts; None for the classifier.

    torchvision's `features.N.weight`, the same inside LPIPS (`net.sliceK.N.weight`), and the file of 'pie convert'
    (`conv1_1.weight`).
    """
    if name.startswith(("classifier.", "lin", "scaling_layer.")):
        return None
    place, _, what = re.sub(r"^(?:net\.)?slice\d\.", "features.", name).rpartition(".")
    return f"{_OF_TORCHVISION.get(place, place)}.{what}"


def read_convolutions(state: Mapping[str, Tensor], path: str | os.PathLike[str]) -> Convolutions:
    """The convolutions from a state dict in one of the public layouts; AssetError when it does not fit."""
    return load(Convolutions, renamed(state, name_of), path, "VGG-16")


def read_heads(path: str | os.PathLike[str], layers: Sequence[str]) -> dict[str, Tensor]:
    """The heads of the chosen layers from LPIPS's `vgg.pth`: lin0.model.1.weight (1, 64, 1, 1) .. lin4.

    Raises:
        AssetError: a head is missing, has another shape, or is negative somewhere.
    """
    state = read_state(path)
    heads = {}
    for layer in layers:
        number = LPIPS_LAYERS.index(layer)
        known = [
            f"lin{number}.model.1.weight",
            f"lin{number}.model.0.weight",
            f"lins.{number}.model.1.weight",
        ]
        name = next((name for name in known if name in state), None)
        if name is None:
            raise AssetError(
                f"'{path}' does not hold the heads of LPIPS: '{known[0]}' is missing",
                "Give weights/v0.1/vgg.pth of the lpips package.",
            )
        weight = state[name]
        wanted = (1, channels(layer), 1, 1)
        if weight.shape != wanted:
            raise AssetError(
                f"'{name}' in '{path}' is {tuple(weight.shape)}, not {wanted}",
                "Give the heads of VGG; those of AlexNet and SqueezeNet have other shapes.",
            )
        weight = weight.float().flatten()
        if not bool(((weight >= 0.0) & weight.isfinite()).all()):
            raise AssetError(
                f"'{name}' in '{path}' is negative somewhere, or not a number",
                "LPIPS weighs by positive numbers; fetch the file again.",
            )
        heads[layer] = weight
    return heads


def build(config: Vgg16Settings, context: BuildContext) -> Vgg16:
    """Φ from its files, frozen; AssetError when they do not fit."""
    check_layers(config.layers, LAYERS)
    heads = None
    if config.heads is not None:
        others = [name for name in config.layers if name not in LPIPS_LAYERS]
        if others:
            raise ConfigError(
                f"LPIPS has no head for '{others[0]}'", f"Its layers: {', '.join(LPIPS_LAYERS)}."
            )
        heads = read_heads(context.asset(config.heads), config.layers)
    path = context.asset(config.weights)
    convolutions = read_convolutions(read_state(path), path)
    network = Vgg16(convolutions, config.layers, config.size, config.normalize, config.gain, heads)
    return ready(network, context)
