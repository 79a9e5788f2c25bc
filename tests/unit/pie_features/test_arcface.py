"""ArcFace: IResNet against its formula and its public layout, the alignment, and files that are something else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from benchmarks.random_assets import write_random_arcface
from pie_features.arcface import TEMPLATE, ArcFace, build, read_network
from pie_features.iresnet import DEPTHS, IResNet, layers_of
from pie_features.settings import FFHQ_POINTS, ArcFaceSettings
from pie_framework.errors import AssetError, ConfigError
from pie_framework.settings import merge
from pie_framework.testing.conformance import FeatureNetworkTests
from tests.unit.pie_features.foreign import Context, images

NORM = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")


def public_shapes(blocks: tuple[int, ...]) -> dict[str, tuple[int, ...]]:
    """Names and shapes of a backbone.pth."""
    shapes: dict[str, tuple[int, ...]] = {}

    def norm(name: str, channels: int) -> None:
        shapes.update({f"{name}.{part}": () if part == NORM[-1] else (channels,) for part in NORM})

    shapes["conv1.weight"] = (64, 3, 3, 3)
    norm("bn1", 64)
    shapes["prelu.weight"] = (64,)
    before = 64
    for stage, (count, width) in enumerate(zip(blocks, (64, 128, 256, 512), strict=True), start=1):
        for number in range(count):
            name = f"layer{stage}.{number}"
            norm(f"{name}.bn1", before)
            shapes[f"{name}.conv1.weight"] = (width, before, 3, 3)
            norm(f"{name}.bn2", width)
            shapes[f"{name}.prelu.weight"] = (width,)
            shapes[f"{name}.conv2.weight"] = (width, width, 3, 3)
            norm(f"{name}.bn3", width)
            if number == 0:
                shapes[f"{name}.downsample.0.weight"] = (width, before, 1, 1)
                norm(f"{name}.downsample.1", width)
            before = width
    norm("bn2", 512)
    shapes["fc.weight"], shapes["fc.bias"] = (512, 25088), (512,)
    norm("features", 512)
    return shapes


@pytest.mark.parametrize(
    ("depth", "parameters"), [(18, 24_025_600), (34, 34_139_328), (50, 43_590_848), (100, 65_156_160)]
)
def test_names_shapes_and_number_of_parameters(depth: int, parameters: int) -> None:
    with torch.device("meta"):
        network = IResNet(DEPTHS[depth])
    found = {name: tuple(value.shape) for name, value in network.state_dict().items()}
    assert found == public_shapes(DEPTHS[depth])
    assert sum(parameter.numel() for parameter in network.parameters()) == parameters
    assert layers_of(DEPTHS[depth]) == depth


def trained(network: IResNet) -> IResNet:
    """Random weights with statistics and slopes that are not those of a new network."""
    generator = torch.Generator().manual_seed(3)
    for name, value in network.state_dict().items():
        if value.ndim > 1:
            value.copy_(torch.randn(value.shape, generator=generator) * (2.0 / value[0].numel()) ** 0.5)
        elif value.ndim == 1 and not name.endswith("running_mean") and not name.endswith("bias"):
            value.copy_(0.3 + 0.7 * torch.rand(value.shape, generator=generator))
        elif value.ndim == 1:
            value.copy_(0.2 * torch.randn(value.shape, generator=generator))
    return network.eval()


def small(embedding: int = 6, dtype: torch.dtype = torch.float64) -> IResNet:
    torch.manual_seed(0)
    return trained(IResNet((1, 2, 1, 1), embedding, widths=(4, 6, 8, 10))).to(dtype)


def formula(state: dict[str, Tensor], x: Tensor, blocks: tuple[int, ...]) -> tuple[dict[str, Tensor], Tensor]:
    """The network from the names alone: He et al.'s improved residual of ArcFace's section 3.2.2."""

    def norm(name: str, value: Tensor) -> Tensor:
        weight, bias, mean, variance = (state[f"{name}.{part}"] for part in NORM[:4])
        shape = (1, -1, *[1] * (value.ndim - 2))
        normal = (value - mean.reshape(shape)) / (variance.reshape(shape) + 1e-5).sqrt()
        return normal * weight.reshape(shape) + bias.reshape(shape)

    def slope(name: str, value: Tensor) -> Tensor:
        return torch.where(value > 0, value, value * state[f"{name}.weight"].view(1, -1, 1, 1))

    x = slope("prelu", norm("bn1", functional.conv2d(x, state["conv1.weight"], padding=1)))
    found = {}
    for stage, count in enumerate(blocks, start=1):
        for number in range(count):
            name, stride = f"layer{stage}.{number}", 2 if number == 0 else 1
            inside = functional.conv2d(norm(f"{name}.bn1", x), state[f"{name}.conv1.weight"], padding=1)
            inside = slope(f"{name}.prelu", norm(f"{name}.bn2", inside))
            inside = functional.conv2d(inside, state[f"{name}.conv2.weight"], stride=stride, padding=1)
            if number == 0:
                x = functional.conv2d(x, state[f"{name}.downsample.0.weight"], stride=2)
                x = norm(f"{name}.downsample.1", x)
            x = x + norm(f"{name}.bn3", inside)
        found[f"stage{stage}"] = x
    flat = norm("bn2", x).reshape(len(x), -1)
    return found, norm("features", flat @ state["fc.weight"].T + state["fc.bias"])


def test_every_map_and_the_embedding_are_the_formula_s() -> None:
    network = small()
    x = images(2, 112).double()
    with torch.no_grad():
        found = network.maps(x)
        maps, embedding = formula(network.state_dict(), x, (1, 2, 1, 1))
        for name, value in maps.items():
            torch.testing.assert_close(found[name], value)
        assert [value.shape[-1] for value in maps.values()] == [56, 28, 14, 7]
        torch.testing.assert_close(network.project(found["stage4"]), embedding)


def test_the_aligned_points_fall_on_the_template() -> None:
    """A portrait whose points are the template's, in whatever place and size, is brought onto it exactly."""
    template = np.reshape(TEMPLATE, (5, 2)) + 0.5
    angle, scale = 0.1, 1 / 180.0
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    points = template @ turn.T + 0.2
    network = ArcFace(small(), points=points.ravel().tolist())
    np.testing.assert_allclose(points @ network.to_crop[:, :2].T + network.to_crop[:, 2], template, atol=1e-9)


def test_the_points_of_ffhq_come_near_the_template() -> None:
    network = ArcFace(small())
    found = np.reshape(FFHQ_POINTS, (5, 2)) @ network.to_crop[:, :2].T + network.to_crop[:, 2]
    assert np.abs(found - np.reshape(TEMPLATE, (5, 2)) - 0.5).max() < 2.5
    corners = np.linalg.solve(
        network.to_crop[:, :2], (np.array([[0, 0], [112, 112]]) - network.to_crop[:, 2]).T
    ).T
    assert (corners > 0.05).all() and (corners < 0.95).all()  # the crop lies inside the portrait


@pytest.mark.parametrize("side", [96, 256, 1024])
def test_a_known_pixel_is_the_known_input(side: int) -> None:
    """A linear ramp stays linear under resampling, so its value at every pixel of the crop is known."""
    network = ArcFace(small())
    place = (torch.arange(side, dtype=torch.float64) + 0.5) / side
    ramp = torch.stack(
        [place.expand(side, side), place[:, None].expand(side, side), 0 * place.expand(side, side)]
    )
    found = network.preprocessed(ramp[None])
    centres = np.stack(np.meshgrid(np.arange(112) + 0.5, np.arange(112) + 0.5), axis=-1)
    expected = np.linalg.solve(network.to_crop[:, :2], (centres.reshape(-1, 2) - network.to_crop[:, 2]).T)
    torch.testing.assert_close(found[0, :2].reshape(2, -1), torch.from_numpy(expected), rtol=0.0, atol=2e-5)
    assert found.shape == (1, 3, 112, 112) and not found[0, 2].any()


def test_fine_stripes_do_not_alias() -> None:
    stripes = (torch.arange(1024) % 2 * 2.0 - 1.0).expand(1, 3, 1024, 1024)
    assert float(ArcFace(small()).preprocessed(stripes).abs().max()) < 0.02


def test_the_embedding_hardly_depends_on_the_portrait_s_size() -> None:
    network = ArcFace(small(dtype=torch.float32))
    smooth = functional.interpolate(images(1, 8), (256, 256), mode="bicubic")
    larger = functional.interpolate(smooth, (1024, 1024), mode="bicubic", antialias=True)
    with torch.no_grad():
        assert float((network.embed(smooth) * network.embed(larger)).sum()) > 0.999


@pytest.fixture(scope="module")
def public(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("arcface") / "backbone.pth"
    write_random_arcface(path, 18)
    return path


def test_a_public_file_is_read_whatever_it_is_wrapped_in(tmp_path: Path, public: Path) -> None:
    state = torch.load(public, weights_only=True)
    assert {name: tuple(value.shape) for name, value in state.items()} == public_shapes(DEPTHS[18])
    built = build(ArcFaceSettings(weights=str(public)), Context())
    assert built.network.blocks == DEPTHS[18]
    with torch.no_grad():
        embedded = built.embed(images(1, 64))
        found = built.features(images(1, 64))
    assert embedded.shape == (1, 512) and list(found) == ["stage2", "stage3", "stage4", "embedding"]
    torch.testing.assert_close(functional.normalize(found["embedding"]), embedded)
    assert not any(parameter.requires_grad for parameter in built.parameters())
    wrapped = {f"module.{name}": value for name, value in state.items() if "tracked" not in name}
    torch.save({"state_dict_backbone": wrapped, "epoch": 1}, tmp_path / "x.pt")
    again = build(ArcFaceSettings(weights=str(tmp_path / "x.pt")), Context())
    with torch.no_grad():
        torch.testing.assert_close(again.embed(images(1, 64)), embedded)
    for name, value in built.state_dict().items():
        assert torch.equal(again.state_dict()[name], value) or name.endswith("num_batches_tracked"), name


def test_files_that_are_something_else(public: Path) -> None:
    state = torch.load(public, weights_only=True)
    for content, said in (
        ({k: v for k, v in state.items() if not k.startswith("layer3.0.bn3")}, "layer3.0.bn3"),
        ({k: v for k, v in state.items() if not k.startswith("layer3")}, "blocks"),
        (state | {"layer3.9.conv1.weight": torch.zeros(1)}, "layer3"),
        (state | {"fc.weight": torch.zeros(512, 100)}, "fc.weight"),
        (state | {"fc.bias": torch.zeros(3)}, "fc.bias"),
        (state | {"head.weight": torch.zeros(3)}, "head.weight"),
        ({"input_layer.0.weight": torch.zeros(64, 3, 3, 3)}, "IR-SE"),
    ):
        with pytest.raises(AssetError, match=said) as caught:
            read_network(content, "x.pth")
        assert "\n" not in str(caught.value)


def test_settings_that_cannot_be(public: Path) -> None:
    for settings, said in (
        ({"layers": ("stage5",)}, "stage5"),
        ({"gain": 0.0}, "gain"),
        ({"points": (0.5,) * 10}, "coincide"),
    ):
        with pytest.raises(ConfigError, match=said):
            build(merge(ArcFaceSettings, {"weights": str(public), **settings}), Context())


class TestArcFace(FeatureNetworkTests):
    sizes = (64, 300)

    def build(self) -> Any:
        return ArcFace(small(dtype=torch.float32)).eval().requires_grad_(False)


class TestArcFaceInDoubles(FeatureNetworkTests):
    dtype = torch.float64

    def build(self) -> Any:
        return ArcFace(small()).eval().requires_grad_(False)
