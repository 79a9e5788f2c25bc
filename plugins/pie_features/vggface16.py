"""Ψ: VGG-Face-16, the network of Parkhi, Vedaldi & Zisserman 2015 ("Deep Face Recognition")."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence

from torch import Tensor, nn
from torch.nn import functional

from pie_features.checkpoints import load, read_state, ready, renamed
from pie_features.recognition import check_layers
from pie_features.sampling import by_colour, check_box, crop
from pie_features.settings import VggFaceSettings
from pie_features.vgg import LAYERS as MAPS
from pie_features.vgg import TORCHVISION, WIDTHS, Convolutions, scaled
from pie_framework.api import BuildContext

KIND = "vggface16"
SIDE = 224
HIDDEN = 4096
#: Mean of red, green and blue in 0 .. 255 over its training portraits.
MEAN = (129.186279296875, 104.76238250732422, 93.59396362304688)
EMBEDDINGS = ("fc6", "fc7")
LAYERS = (*MAPS, *EMBEDDINGS)

_PLACES = {f"features.{place}": name for name, place in TORCHVISION.items()} | {
    "classifier.0": "fc6",
    "classifier.3": "fc7",
    "classifier.6": "fc8",
}


class VggFace(nn.Module):
    """Feature maps and a descriptor of the face.

    Args:
        network: convolutions, fc6 and fc7.
        layers: what `features` returns, of `LAYERS`; fc6 and fc7 are taken after their ReLU.
        crop: left, top, right, bottom of the face's square in fractions of the portrait.
        embedding: "fc7" or "fc6": what `embed` returns.
        normalize: scale every position's channels to a mean square of one.
        gain: factor of squared differences.
    """

    def __init__(
        self,
        network: Network,
        layers: Sequence[str] = ("relu3_3", "relu4_3", "relu5_3", "fc7"),
        crop: Sequence[float] = (0.09375, 0.125, 0.90625, 0.9375),
        embedding: str = "fc7",
        normalize: bool = True,
        gain: float = 1.0,
    ) -> None:
        super().__init__()
        self.network = network
        self.layers, self.crop = tuple(layers), tuple(crop)
        self.embedding, self.normalize, self.gain = embedding, normalize, gain

    def preprocessed(self, image: Tensor) -> Tensor:
        """(B, 3, H, W) in [-1, 1] -> (B, 3, 224, 224): the crop, RGB in 0 .. 255 minus the mean of each colour."""
        levels = (crop(image, self.crop, SIDE) + 1.0) * 127.5
        return levels - by_colour(MEAN, levels)

    def features(self, image: Tensor) -> dict[str, Tensor]:
        """Ψ(I): (B, 3, H, W) in [-1, 1] -> {layer: (B, C, H', W') or (B, 4096)}."""
        found = self.network.maps(self.preprocessed(image), self.layers)
        return {name: scaled(found[name], self.normalize, self.gain) for name in self.layers}

    def embed(self, image: Tensor) -> Tensor:
        """(B, 3, H, W) in [-1, 1] -> (B, 4096), unit length, no negative value."""
        found = self.network.maps(self.preprocessed(image), (self.embedding,))[self.embedding]
        return functional.normalize(found, dim=1)


class Network(Convolutions):
    """VGG-16 with the two layers of 4096 units that follow its convolutions; the 2622 persons of fc8 are left out.

    Args:
        widths: channels of the five blocks.
        hidden: units of fc6 and fc7.
    """

    def __init__(self, widths: Sequence[int] = WIDTHS, hidden: int = HIDDEN) -> None:
        super().__init__(widths)
        self.fc6 = nn.Linear(self.widths[-1] * (SIDE // 32) ** 2, hidden)
        self.fc7 = nn.Linear(hidden, hidden)

    def maps(self, x: Tensor, wanted: Sequence[str], pooled: bool = False) -> dict[str, Tensor]:  # type: ignore[override]
        """As `Convolutions.maps`; fc6 and fc7, (B, hidden), are rectified."""
        full = [name for name in wanted if name in EMBEDDINGS]
        found = super().maps(x, [name for name in wanted if name not in EMBEDDINGS], pooled or bool(full))
        if full:
            found["fc6"] = functional.relu(self.fc6(found["pool5"].flatten(1)))
            if "fc7" in full:
                found["fc7"] = functional.relu(self.fc7(found["fc6"]))
        return found


def name_of(name: str) -> str | None:
    """The network's own name of a tensor in one of the public layouts; None for the last layer, fc8."""
    place, _, what = name.rpartition(".")
    place = re.sub(r"^conv_(\d_\d)$", r"conv\1", _PLACES.get(place, place))
    return None if place == "fc8" else f"{place}.{what}"


def order_of(state: Mapping[str, Tensor]) -> str:
    """The order of colours by the file's layout: "bgr" for conv_1_1 (from Torch7's VGG_FACE.t7), else "rgb"."""
    return "bgr" if "conv_1_1.weight" in state else "rgb"


def read_network(state: Mapping[str, Tensor], path: str | os.PathLike[str], order: str = "auto") -> Network:
    """The network, which takes RGB, from a state dict in one of the public layouts.

    Args:
        state: tensors by the file's names.
        path: for messages.
        order: colours that the file's first convolution expects: "rgb", "bgr", or "auto" by the layout. Its input
            channels are turned round where they are BGR, which comes to the same as turning every image round.

    Raises:
        AssetError: the tensors do not fit.
    """
    own = renamed(state, name_of)
    for name in ("fc6.weight", "fc7.weight"):  # some files hold them as convolutions
        if name in own and own[name].ndim == 4:
            own[name] = own[name].flatten(1)
    network = load(lambda: Network(hidden=HIDDEN), own, path, "VGG-Face-16")
    if (order_of(state) if order == "auto" else order) == "bgr":
        first = network.get_parameter("conv1_1.weight")
        first.data = first.data.flip(1)
    return network


def build(config: VggFaceSettings, context: BuildContext) -> VggFace:
    """Ψ from its file, frozen; AssetError when it does not fit."""
    check_layers(config.layers, LAYERS)
    check_box(config.crop)
    path = context.asset(config.weights)
    network = VggFace(
        read_network(read_state(path), path, config.order),
        config.layers,
        config.crop,
        config.embedding,
        config.normalize,
        config.gain,
    )
    return ready(network, context)
