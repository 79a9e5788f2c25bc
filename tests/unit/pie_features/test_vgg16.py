"""VGG-16 against its formula, LPIPS against its own, and files that are and are not VGG-16."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from pie_energies.distances import feature_distance
from pie_features.settings import Vgg16Settings
from pie_features.vgg import CONVOLUTIONS, LAYERS, Convolutions
from pie_features.vgg16 import LPIPS_LAYERS, Vgg16, build, read_convolutions, read_heads
from pie_framework.errors import AssetError, ConfigError
from pie_framework.settings import merge
from pie_framework.testing.conformance import FeatureNetworkTests
from tests.unit.pie_features.foreign import NAMES, VGG16, Context, images, vgg_state


def heads(seed: int = 5) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {
        f"lin{number}.model.1.weight": torch.rand(1, count, 1, 1, generator=generator)
        for number, count in enumerate((64, 128, 256, 512, 512))
    }


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    where = tmp_path_factory.mktemp("vgg16")
    classifier = {"classifier.0.weight": torch.zeros(2, 2), "classifier.6.bias": torch.zeros(2)}
    torch.save(vgg_state() | classifier, where / "vgg16.pth")
    torch.save(heads(), where / "lpips.pth")
    return where


def network(folder: Path, dtype: torch.dtype = torch.float32, **settings: Any) -> Vgg16:
    return build(Vgg16Settings(weights=str(folder / "vgg16.pth"), **settings), Context(dtype))


def formula(image: Tensor) -> dict[str, Tensor]:
    """Every layer's map before and after the rectification, from torchvision's names alone."""
    mean = torch.tensor([0.485, 0.456, 0.406], dtype=torch.float64).view(3, 1, 1)
    deviation = torch.tensor([0.229, 0.224, 0.225], dtype=torch.float64).view(3, 1, 1)
    x = ((image.double() + 1) / 2 - mean) / deviation
    state, found = vgg_state(), {}
    for (place, _, _), name in zip(VGG16, NAMES, strict=True):
        if name.endswith("_1") and name != "1_1":
            x = functional.max_pool2d(x, kernel_size=2, stride=2)
        weight, bias = state[f"features.{place}.weight"], state[f"features.{place}.bias"]
        x = functional.conv2d(x, weight.double(), bias.double(), padding=1)
        found[f"conv{name}"] = x
        x = x.clamp_min(0.0)
        found[f"relu{name}"] = x
    return found


def test_names_shapes_and_number_of_parameters() -> None:
    convolutions = Convolutions()
    shapes = {name: tuple(value.shape) for name, value in convolutions.state_dict().items()}
    assert list(CONVOLUTIONS) == [f"conv{name}" for name in NAMES]
    for (_, outputs, inputs), name in zip(VGG16, NAMES, strict=True):
        assert shapes.pop(f"conv{name}.weight") == (outputs, inputs, 3, 3)
        assert shapes.pop(f"conv{name}.bias") == (outputs,)
    assert not shapes
    assert sum(parameter.numel() for parameter in convolutions.parameters()) == 14_714_688


def test_every_map_is_the_formula_s(folder: Path) -> None:
    built = network(folder, torch.float64, layers=LAYERS, normalize=False)
    found, expected = built.features(images().double()), formula(images())
    assert list(found) == list(LAYERS) and set(expected) == set(LAYERS)
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, rtol=1e-6, atol=1e-6)


def test_a_known_pixel_is_the_known_input(folder: Path) -> None:
    grey = torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1).expand(1, 3, 16, 16) * 2 - 1
    assert network(folder).preprocessed(grey).abs().max() < 1e-6
    white = network(folder).preprocessed(torch.ones(1, 3, 16, 16))[0, :, 0, 0]
    torch.testing.assert_close(
        white, torch.tensor([(1 - 0.485) / 0.229, (1 - 0.456) / 0.224, (1 - 0.406) / 0.225])
    )


def test_large_images_are_reduced_and_small_ones_are_not(folder: Path) -> None:
    built = network(folder, size=48)
    assert built.preprocessed(images(1, 96)).shape == (1, 3, 48, 48)
    assert built.preprocessed(images(1, 96)[:, :, :48]).shape == (1, 3, 24, 48)
    assert built.preprocessed(images(1, 32)).shape == (1, 3, 32, 32)
    stripes = (torch.arange(96) % 2 * 2.0 - 1.0).expand(1, 3, 96, 96)  # would alias without antialiasing
    inner = built.preprocessed(stripes)[:, :, 8:-8, 8:-8]
    assert inner.std(dim=(2, 3)).max() < 0.01
    assert network(folder, size=0).preprocessed(images(1, 96)).shape == (1, 3, 96, 96)


def lpips(first: Tensor, second: Tensor) -> Tensor:
    """Zhang et al. 2018, eq. 1, for the maps of LPIPS 0.1."""
    total = torch.zeros(len(first), dtype=torch.float64)
    maps, others = formula(first), formula(second)
    for number, layer in enumerate(LPIPS_LAYERS):
        head = heads()[f"lin{number}.model.1.weight"].double()
        units = [m[layer] / (m[layer].square().sum(1, keepdim=True).sqrt() + 1e-10) for m in (maps, others)]
        total += ((units[0] - units[1]).square() * head).sum(1).mean(dim=(1, 2))
    return total


def test_distance_with_heads_is_lpips(folder: Path) -> None:
    first, second = images(2, 48, 1), images(2, 48, 2)
    expected = lpips(first, second)
    for dtype, tolerance in ((torch.float64, 1e-9), (torch.float32, 1e-5)):
        built = network(folder, dtype, heads=str(folder / "lpips.pth"))
        found = feature_distance(built.features(first.to(dtype)), built.features(second.to(dtype)))
        torch.testing.assert_close(found.double(), expected, rtol=tolerance, atol=0.0)
    doubled = network(folder, torch.float64, heads=str(folder / "lpips.pth"), gain=2.0)
    found = feature_distance(doubled.features(first.double()), doubled.features(second.double()))
    torch.testing.assert_close(found, 2 * expected)


def test_some_of_the_heads_give_their_part_of_lpips(folder: Path) -> None:
    first, second = images(1, 32, 1), images(1, 32, 2)

    def distance(*layers: str) -> Tensor:
        built = network(folder, torch.float64, heads=str(folder / "lpips.pth"), layers=layers)
        return feature_distance(built.features(first.double()), built.features(second.double()))

    torch.testing.assert_close(distance(*LPIPS_LAYERS), distance("relu5_3") + distance(*LPIPS_LAYERS[:4]))


def test_normalised_maps_are_on_one_scale_and_gain_multiplies_distances(folder: Path) -> None:
    first, second = images(1, 32, 1), images(1, 32, 2)
    for value in network(folder).features(first).values():
        assert float(value.square().mean()) == pytest.approx(1.0, abs=1e-3)
    one, three = network(folder, normalize=False), network(folder, normalize=False, gain=3.0)
    torch.testing.assert_close(
        feature_distance(three.features(first), three.features(second)),
        3 * feature_distance(one.features(first), one.features(second)),
    )


def test_a_dark_place_has_a_finite_gradient(folder: Path) -> None:
    built = network(folder, heads=str(folder / "lpips.pth"))
    built.convolutions.conv1_1.weight.data.zero_()  # type: ignore[union-attr]
    built.convolutions.conv1_1.bias.data.fill_(-1.0)  # type: ignore[union-attr]
    image = images(1, 32).requires_grad_(True)
    torch.stack([value.square().sum() for value in built.features(image).values()]).sum().backward()
    assert image.grad is not None and image.grad.isfinite().all()


def test_nothing_beyond_the_deepest_layer_is_computed() -> None:
    with torch.device("meta"):
        convolutions = Convolutions()
    calls: list[str] = []
    for name in CONVOLUTIONS:
        convolutions.get_submodule(name).register_forward_hook(lambda m, i, o, name=name: calls.append(name))
    convolutions.maps(torch.empty(1, 3, 64, 64, device="meta"), ("relu2_1",))
    assert calls == ["conv1_1", "conv1_2", "conv2_1"]


@pytest.mark.parametrize(
    ("wrap", "prefix"),
    [
        (lambda state: state, "features.{place}"),
        (lambda state: {"state_dict": state, "epoch": 3}, "module.features.{place}"),
        (lambda state: state, "net.slice1.{place}"),
        (lambda state: state, "conv{name}"),
    ],
)
def test_layouts(tmp_path: Path, wrap: Any, prefix: str) -> None:
    path = tmp_path / "anything.bin"
    torch.save(wrap(vgg_state(prefix)), path)
    built = build(Vgg16Settings(weights=str(path)), Context())
    assert torch.equal(built.convolutions.state_dict()["conv5_3.weight"], vgg_state()["features.28.weight"])
    assert not any(parameter.requires_grad for parameter in built.parameters())


def test_files_of_old_torch(tmp_path: Path) -> None:
    """torchvision's first weights and LPIPS's heads were saved before torch files were archives."""
    for name, state in (("vgg16.pth", vgg_state()), ("lpips.pth", heads())):
        torch.save(state, tmp_path / name, _use_new_zipfile_serialization=False)
    built = network(tmp_path, heads=str(tmp_path / "lpips.pth"))
    assert torch.equal(built.convolutions.state_dict()["conv3_2.bias"], vgg_state()["features.12.bias"])
    assert torch.equal(built.get_buffer("head_relu4_3").flatten(), heads()["lin3.model.1.weight"].flatten())


def test_files_that_are_something_else(tmp_path: Path, folder: Path) -> None:
    def fails(content: object, said: str) -> None:
        torch.save(content, tmp_path / "x.pth")
        with pytest.raises(AssetError, match=said) as caught:
            build(Vgg16Settings(weights=str(tmp_path / "x.pth")), Context())
        assert "\n" not in str(caught.value)

    state = vgg_state()
    fails({name: value for name, value in state.items() if name != "features.28.bias"}, "conv5_3.bias")
    fails(state | {"features.30.weight": torch.zeros(1)}, "features.30.weight")
    fails(state | {"features.0.weight": torch.zeros(64, 4, 3, 3)}, "conv1_1.weight")
    fails(state | {"features.0.bias": torch.zeros(64, dtype=torch.int64)}, "conv1_1.bias")
    fails(state | {"features.0.bias": torch.full((64,), float("nan"))}, "conv1_1.bias")
    fails({"layer1.0.weight": torch.zeros(3)}, "VGG-16")
    fails([1, 2], "by name")
    fails({"epoch": 3}, "by name")
    (tmp_path / "text").write_text("not weights")
    with pytest.raises(AssetError, match="neither"):
        build(Vgg16Settings(weights=str(tmp_path / "text")), Context())
    with pytest.raises(AssetError):
        build(Vgg16Settings(weights=str(tmp_path / "absent")), Context())


class Touches:
    """Asks whoever unpickles it to make a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return Path.touch, (self.path,)


@pytest.mark.parametrize("zipped", [True, False])
def test_a_file_that_asks_for_more_than_data_is_refused_and_does_nothing(
    tmp_path: Path, zipped: bool
) -> None:
    path, mark = tmp_path / "x.pth", tmp_path / "touched"
    state = {"features.0.weight": torch.zeros(1), "more": Touches(mark)}
    torch.save(state, path, _use_new_zipfile_serialization=zipped)
    with pytest.raises(AssetError) as caught:
        build(Vgg16Settings(weights=str(path)), Context())
    assert not mark.exists() and "\n" not in str(caught.value)


@pytest.mark.parametrize("part", [0.0, 0.3, 0.9, 0.999])
def test_a_file_that_is_cut_off_is_refused(tmp_path: Path, part: float) -> None:
    path = tmp_path / "x.pth"
    torch.save(heads(), path)
    content = path.read_bytes()
    path.write_bytes(content[: int(part * len(content))])
    with pytest.raises(AssetError):
        read_heads(path, LPIPS_LAYERS)


def test_heads_that_are_something_else(tmp_path: Path) -> None:
    path = tmp_path / "heads.pth"
    for content, said in (
        ({k: v for k, v in heads().items() if "lin3" not in k}, "lin3.model.1.weight"),
        (heads() | {"lin1.model.1.weight": torch.zeros(1, 192, 1, 1)}, r"\(1, 192, 1, 1\)"),
        (heads() | {"lin0.model.1.weight": torch.full((1, 64, 1, 1), -1.0)}, "negative"),
    ):
        torch.save(content, path)
        with pytest.raises(AssetError, match=said):
            read_heads(path, LPIPS_LAYERS)


def test_settings_that_cannot_be(folder: Path) -> None:
    with pytest.raises(ConfigError, match="relu6_1"):
        network(folder, layers=("relu6_1",))
    with pytest.raises(ConfigError, match="no head"):
        network(folder, heads=str(folder / "lpips.pth"), layers=("relu1_1",))
    with pytest.raises(ConfigError, match="gain"):
        merge(Vgg16Settings, {"weights": "x", "gain": 0.0})


class TestVgg16(FeatureNetworkTests):
    sizes = (64, 96)

    def build(self) -> Any:
        return Vgg16(read_convolutions(vgg_state(), "memory"), size=80).eval().requires_grad_(False)


class TestLpipsInDoubles(FeatureNetworkTests):
    dtype = torch.float64
    sizes = (32,)

    def build(self) -> Any:
        weights = {layer: heads()[f"lin{i}.model.1.weight"].flatten() for i, layer in enumerate(LPIPS_LAYERS)}
        built = Vgg16(read_convolutions(vgg_state(), "memory"), heads=weights).double()
        return built.eval().requires_grad_(False)
