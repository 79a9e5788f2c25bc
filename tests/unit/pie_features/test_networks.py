from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from pie_features import perceptual, recognition
from pie_features.normalisation import unit_mean_square
from pie_features.perceptual import PerceptualNetwork
from pie_features.recognition import RecognitionNetwork
from pie_features.settings import PerceptualSettings, RecognitionSettings
from pie_framework.api import BuildContext, FeatureNetwork
from pie_framework.api import RecognitionNetwork as RecognitionContract
from pie_framework.errors import AssetError, ConfigError, PieError
from pie_weights.files import write_weights


class Context(BuildContext):
    """The part of a build context that these factories use."""

    device = torch.device("cpu")
    dtype = torch.float32

    def asset(self, uri: str) -> str:
        return uri

    def get(self, kind: str, name: str | None = None) -> Any:
        raise AssertionError("not needed")


def images(n: int = 2, side: int = 128) -> Tensor:
    return torch.rand(n, 3, side, side, generator=torch.Generator().manual_seed(1)) * 2 - 1


def test_recognition_shapes_and_unit_length() -> None:
    torch.manual_seed(0)
    network = RecognitionNetwork().eval()
    shapes = {name: tuple(value.shape) for name, value in network.features(images()).items()}
    assert shapes == {
        "stage1": (2, 24, 48, 48),
        "stage2": (2, 48, 24, 24),
        "stage3": (2, 80, 12, 12),
        "stage4": (2, 128, 6, 6),
        "embedding": (2, 128),
    }
    embedded = network.embed(images())
    assert torch.allclose(embedded.norm(dim=1), torch.ones(2), atol=1e-5)
    assert sum(p.numel() for p in network.parameters()) < 1_500_000
    assert isinstance(network, RecognitionContract)


def test_recognition_reads_any_size_and_ignores_what_is_outside_its_crop() -> None:
    torch.manual_seed(0)
    network = RecognitionNetwork().eval()
    image = images(1)
    outside = image.clone()
    outside[:, :, :, :8] = 1.0
    assert torch.equal(network.embed(image), network.embed(outside))
    smooth = torch.nn.functional.interpolate(images(1, 8), (128, 128), mode="bilinear")
    larger = torch.nn.functional.interpolate(smooth, (256, 256), mode="bilinear")
    assert float((network.embed(smooth) * network.embed(larger)).sum().detach()) > 0.99


def test_perceptual_shapes() -> None:
    torch.manual_seed(0)
    network = PerceptualNetwork().eval()
    shapes = {name: tuple(value.shape[1:]) for name, value in network.features(images(1)).items()}
    assert shapes == {
        "scale1": (32, 64, 64),
        "scale2": (64, 32, 32),
        "scale3": (96, 16, 16),
        "scale4": (128, 8, 8),
    }
    assert isinstance(network, FeatureNetwork)


def test_normalised_features_have_a_mean_square_of_one() -> None:
    torch.manual_seed(0)
    network = PerceptualNetwork().eval()
    for value in network.features(images(1)).values():
        assert float(value.detach().square().mean()) == pytest.approx(1.0, abs=0.01)
    network.normalize = False
    raw = network.features(images(1))
    assert torch.equal(raw["scale2"], network.maps(images(1))["scale2"])


def test_difference_of_normalised_features_is_twice_one_minus_the_cosine() -> None:
    first, second = torch.randn(1, 7, 5, 5), torch.randn(1, 7, 5, 5)
    difference = (unit_mean_square(first) - unit_mean_square(second)).square().mean()
    cosine = torch.nn.functional.cosine_similarity(first, second, dim=1).mean()
    assert float(difference) == pytest.approx(float(2 - 2 * cosine), abs=1e-4)


@pytest.mark.parametrize(
    "network",
    [
        RecognitionNetwork(side=16, widths=(4, 4, 4, 4), embedding=4),
        PerceptualNetwork(widths=(4, 4, 4, 4), depths=(1, 1, 1, 1)),
    ],
)
def test_feature_distance_gradient(network: RecognitionNetwork | PerceptualNetwork) -> None:
    network = network.double().eval()
    generator = torch.Generator().manual_seed(2)
    target = network.features(torch.rand(1, 3, 32, 32, generator=generator, dtype=torch.float64))
    image = torch.rand(1, 3, 32, 32, generator=generator, dtype=torch.float64)
    direction = torch.randn(1, 3, 32, 32, generator=generator, dtype=torch.float64)

    def distance(step: Tensor) -> Tensor:
        found = network.features(image + step * direction)
        return torch.stack([(found[name] - target[name]).square().mean() for name in target]).mean()

    assert torch.autograd.gradcheck(distance, torch.zeros((), dtype=torch.float64, requires_grad=True))


@pytest.mark.parametrize(
    ("module", "network", "settings"),
    [
        (recognition, RecognitionNetwork(), RecognitionSettings),
        (perceptual, PerceptualNetwork(), PerceptualSettings),
    ],
)
def test_weight_files(tmp_path: Path, module: Any, network: Any, settings: Any) -> None:
    path = str(tmp_path / "w.safetensors")
    write_weights(path, module.KIND, network.architecture, network.state_dict(), {})
    built = module.build(settings(weights=path), Context())
    assert not any(parameter.requires_grad for parameter in built.parameters())
    halved = type(network)(**network.architecture)
    halved.load_state_dict({k: v.half().float() for k, v in network.state_dict().items()})
    built.layers = halved.layers
    for name, value in halved.features(images(1)).items():
        assert torch.allclose(value, built.features(images(1))[name], atol=1e-4)

    with pytest.raises(ConfigError, match="layer"):
        module.build(settings(weights=path, layers=("nothing",)), Context())
    with pytest.raises(AssetError, match="weight file"):
        module.build(settings(weights=str(tmp_path / "absent")), Context())
    (tmp_path / "text").write_text("not weights")
    with pytest.raises(AssetError):
        module.build(settings(weights=str(tmp_path / "text")), Context())
    write_weights(path, "something", network.architecture, network.state_dict(), {})
    with pytest.raises(AssetError, match="something"):
        module.build(settings(weights=path), Context())
    write_weights(path, module.KIND, network.architecture, nn.Linear(2, 2).state_dict(), {})
    with pytest.raises(PieError, match="lacks"):
        module.build(settings(weights=path), Context())
