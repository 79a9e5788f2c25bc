"""VGG-Face against its formula, in the layouts it is found in; its two large layers are small here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from pie_features import vggface16
from pie_features.settings import VggFaceSettings
from pie_features.vggface16 import MEAN, Network, VggFace, build
from pie_framework.errors import AssetError, ConfigError
from pie_framework.settings import merge
from pie_framework.testing.conformance import FeatureNetworkTests
from tests.unit.pie_features.foreign import NAMES, VGG16, Context, he, images, vgg_state

HIDDEN = 12
LARGE = ((("fc6", "0"), HIDDEN, 25088), (("fc7", "3"), HIDDEN, HIDDEN), (("fc8", "6"), 26, HIDDEN))


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vggface16, "HIDDEN", HIDDEN)


def face_state(layout: str = "dag") -> dict[str, Tensor]:
    """One and the same network for RGB, in the layouts "dag", "torchvision" and "torch7" (which takes BGR)."""
    prefix = {"dag": "conv{name}", "torchvision": "features.{place}", "torch7": "conv_{name}"}[layout]
    state = vgg_state(prefix)
    if layout == "torch7":
        state["conv_1_1.weight"] = state["conv_1_1.weight"].flip(1)
    for (name, place), outputs, inputs in LARGE:
        own = f"classifier.{place}" if layout == "torchvision" else name
        state[f"{own}.weight"], state[f"{own}.bias"] = he(outputs, inputs, seed=7), 0.1 * he(outputs, seed=8)
    return state


def saved(path: Path, state: object) -> VggFaceSettings:
    torch.save(state, path)
    return VggFaceSettings(weights=str(path))


def formula(image: Tensor) -> dict[str, Tensor]:
    """The rectified maps and layers of a portrait of 224 x 224."""
    levels = (image + 1) * 127.5
    x, found = levels - torch.tensor(MEAN, dtype=torch.float64).view(3, 1, 1), {}
    state = {name: value.double() for name, value in face_state().items()}
    for name in NAMES:
        if name.endswith("_1") and name != "1_1":
            x = functional.max_pool2d(x, 2, 2)
        x = functional.conv2d(x, state[f"conv{name}.weight"], state[f"conv{name}.bias"], padding=1).relu()
        found[f"relu{name}"] = x
    x = functional.max_pool2d(x, 2, 2).reshape(len(x), -1)
    for name in ("fc6", "fc7"):
        x = (x @ state[f"{name}.weight"].T + state[f"{name}.bias"]).relu()
        found[name] = x
    return found


def test_names_shapes_and_number_of_parameters() -> None:
    with torch.device("meta"):
        network = Network(hidden=4096)
    shapes = {name: tuple(value.shape) for name, value in network.state_dict().items()}
    for (_, outputs, inputs), name in zip(VGG16, NAMES, strict=True):
        assert shapes.pop(f"conv{name}.weight") == (outputs, inputs, 3, 3)
        assert shapes.pop(f"conv{name}.bias") == (outputs,)
    assert shapes == {
        "fc6.weight": (4096, 25088),
        "fc6.bias": (4096,),
        "fc7.weight": (4096, 4096),
        "fc7.bias": (4096,),
    }
    count = sum(parameter.numel() for parameter in network.parameters())
    assert count == 134_260_544
    assert count + 4096 * 1000 + 1000 == 138_357_544  # VGG-16 with its thousand classes
    assert count + 4096 * 2622 + 2622 == 145_002_878  # VGG-Face with its persons


def test_maps_and_embeddings_are_the_formula_s(tmp_path: Path) -> None:
    image = images(1, 224).double()
    expected = formula(image)
    built = build(saved(tmp_path / "x.pth", face_state()), Context(torch.float64))
    built.crop, built.normalize = (0.0, 0.0, 1.0, 1.0), False
    found = built.features(image)
    assert list(found) == ["relu3_3", "relu4_3", "relu5_3", "fc7"]
    for name, value in found.items():
        torch.testing.assert_close(value, expected[name], rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(
        built.embed(image), functional.normalize(expected["fc7"]), rtol=1e-6, atol=1e-9
    )
    built.embedding = "fc6"
    torch.testing.assert_close(
        built.embed(image), functional.normalize(expected["fc6"]), rtol=1e-6, atol=1e-9
    )


@pytest.mark.parametrize("layout", ["dag", "torchvision", "torch7"])
def test_every_layout_is_the_same_network(tmp_path: Path, layout: str) -> None:
    built = build(saved(tmp_path / "x.bin", {"state_dict": face_state(layout)}), Context())
    expected = {name: value for name, value in face_state().items() if not name.startswith("fc8")}
    found = built.network.state_dict()
    assert set(found) == set(expected)
    assert all(torch.equal(found[name], value) for name, value in expected.items())


def test_order_of_colours_can_be_said(tmp_path: Path) -> None:
    path = str(tmp_path / "x.pth")
    torch.save(face_state(), path)
    first = [
        build(VggFaceSettings(weights=path, order=order), Context()).network.get_parameter("conv1_1.weight")
        for order in ("auto", "rgb", "bgr")
    ]
    assert torch.equal(first[0], first[1]) and torch.equal(first[0], first[2].flip(1))
    for wrong in ({"order": "gbr"}, {"embedding": "fc8"}, {"gain": -1.0}):
        with pytest.raises(ConfigError, match=f"{next(iter(wrong))}: "):
            merge(VggFaceSettings, {"weights": path, **wrong})
    with pytest.raises(ConfigError, match="crop"):
        build(VggFaceSettings(weights=path, crop=(0.5, 0.0, 0.5, 1.0)), Context())


def test_a_known_pixel_is_the_known_input_and_what_is_outside_the_crop_does_not_matter() -> None:
    network = VggFace(Network(hidden=HIDDEN))
    red = torch.tensor([1.0, -1.0, -1.0]).view(1, 3, 1, 1).expand(1, 3, 256, 256).clone()
    found = network.preprocessed(red)
    assert found.shape == (1, 3, 224, 224)
    torch.testing.assert_close(found[0, :, 100, 100], torch.tensor([255.0, 0.0, 0.0]) - torch.tensor(MEAN))
    changed = red.clone()
    changed[:, :, :32], changed[:, :, 240:], changed[..., :24], changed[..., 232:] = 0.3, 0.3, 0.3, 0.3
    assert torch.equal(network.preprocessed(changed), found)


def test_layers_held_as_convolutions_are_flattened(tmp_path: Path) -> None:
    state = face_state()
    state["fc6.weight"] = state["fc6.weight"].reshape(HIDDEN, 512, 7, 7)
    state["fc7.weight"] = state["fc7.weight"].reshape(HIDDEN, HIDDEN, 1, 1)
    built = build(saved(tmp_path / "x.pth", state), Context())
    assert torch.equal(built.network.get_parameter("fc6.weight"), face_state()["fc6.weight"])


def test_files_that_are_something_else(tmp_path: Path) -> None:
    for state, said in (
        ({k: v for k, v in face_state().items() if not k.startswith("fc")}, "fc6"),
        (face_state() | {"fc6.weight": torch.zeros(HIDDEN, 3)}, "fc6.weight"),
        (face_state() | {"fc9.weight": torch.zeros(3)}, "fc9.weight"),
        ({"layer1.0.conv1.weight": torch.zeros(3)}, "VGG-Face-16"),
    ):
        with pytest.raises(AssetError, match=said) as caught:
            build(saved(tmp_path / "x.pth", state), Context())
        assert "\n" not in str(caught.value)


class TestVggFace(FeatureNetworkTests):
    sizes = (64, 96)

    def build(self) -> Any:
        torch.manual_seed(0)
        return VggFace(Network((4, 4, 8, 8, 8), HIDDEN)).eval().requires_grad_(False)


class TestVggFaceInDoubles(TestVggFace):
    dtype = torch.float64

    def build(self) -> Any:
        return super().build().double()
