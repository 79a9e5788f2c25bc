"""Public feature networks for `pie convert`: VGG-16 of torchvision, VGG-Face-16 and ArcFace."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor, nn

from pie_features import arcface, vgg16, vggface16
from pie_features.checkpoints import read_state
from pie_features.iresnet import layers_of
from pie_framework.api.converting import Conversion
from pie_framework.errors import AssetError
from pie_weights.files import write_weights

#: Persons of VGG-Face's last layer, which tells it from VGG-16 where both have torchvision's names.
PERSONS = 2622


def convert(path: Path, kind: str) -> Conversion | None:
    """VGG-16, VGG-Face-16 or an IResNet in a torch file or in safetensors; None for other files.

    Raises:
        AssetError: the file asks for more than data, or it looks like one of them and does not fit.
    """
    if kind not in ("torch-zip", "torch-legacy", "safetensors"):
        return None
    try:
        state = read_state(path)
    except AssetError:
        return None  # no state dict, or refused: whoever knows the file, or `pie convert` itself, says why
    found = network_in(state)
    if found == vgg16.KIND:
        network: nn.Module = vgg16.read_convolutions(state, path)
        return _conversion(
            network, state, path, "VGG-16", found, {}, "features/perceptual=vgg16", "perceptual"
        )
    if found == vggface16.KIND:
        order = vggface16.order_of(state)
        network = vggface16.read_network(state, path, order)
        notes = {"colours": f"{order} in the file, rgb here"}
        return _conversion(
            network, state, path, "VGG-Face-16", found, notes, "features/recognition=vggface16", "recognition"
        )
    if found == arcface.KIND:
        resnet = arcface.read_network(state, path)
        name = f"IResNet-{layers_of(resnet.blocks)}"
        notes = {"blocks": ", ".join(map(str, resnet.blocks))}
        return _conversion(
            resnet, state, path, name, found, notes, "features/recognition=arcface", "recognition"
        )
    return None


def network_in(state: Mapping[str, Tensor]) -> str | None:
    """The kind of network whose layout a state dict has, by its names and the shapes of its last layers."""
    if {"conv1.weight", "layer1.0.prelu.weight", "fc.weight"} <= state.keys():
        return arcface.KIND
    if "fc6.weight" in state and ("conv1_1.weight" in state or "conv_1_1.weight" in state):
        return vggface16.KIND
    if "features.28.weight" in state and state["features.28.weight"].shape == (512, 512, 3, 3):
        last = state.get("classifier.6.weight")
        return vggface16.KIND if last is not None and len(last) == PERSONS else vgg16.KIND
    if "conv1_1.weight" in state and "conv5_3.weight" in state:
        return vgg16.KIND
    return None


def _conversion(
    network: nn.Module,
    state: Mapping[str, Tensor],
    path: Path,
    name: str,
    kind: str,
    notes: Mapping[str, str],
    choose: str,
    role: str,
) -> Conversion:
    dtypes = sorted({str(t.dtype).removeprefix("torch.") for t in state.values() if t.is_floating_point()})

    def write(target: Path, half: bool) -> None:
        write_weights(target, kind, {}, network.state_dict(), {**notes, "source": path.name}, half=half)

    return Conversion(
        f"a state dict of {len(state)} tensors",
        name,
        sum(parameter.numel() for parameter in network.parameters()),
        ", ".join(dtypes),
        write,
        f"{choose} features.{role}.weights=",
        dict(notes),
    )
