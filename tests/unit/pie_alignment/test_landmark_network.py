from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn import functional

from pie_alignment.landmark_network import KIND, LandmarkNetwork, build, soft_argmax
from pie_alignment.landmark_settings import LandmarkSettings, LandmarkTraining
from pie_alignment.landmark_training import LandmarkRecipe, landmark_training_loss
from pie_framework.api import BuildContext, LandmarkDetector
from pie_framework.errors import AssetError
from pie_framework.testing.toy_portraits import ToyPortraits
from pie_training.fit import fit
from pie_weights.files import write_weights


class Context(BuildContext):
    """The part of a build context that the factory uses."""

    device = torch.device("cpu")
    dtype = torch.float32

    def asset(self, uri: str) -> str:
        return uri

    def get(self, kind: str, name: str | None = None) -> Any:
        raise AssertionError("not needed")


def small(folded: bool = True) -> LandmarkNetwork:
    torch.manual_seed(0)
    return LandmarkNetwork(side=64, widths=(8, 16, 16, 16), folded=folded)


def test_soft_argmax_of_known_heat_maps() -> None:
    logits = torch.full((1, 3, 4, 8), -1e4)
    logits[0, 0, 1, 6] = 0.0
    logits[0, 1, 3, 0] = logits[0, 1, 3, 1] = 0.0
    logits[0, 2] = 0.0
    expected = torch.tensor([[[6.5 / 8, 1.5 / 4], [1.0 / 8, 3.5 / 4], [0.5, 0.5]]])
    assert torch.allclose(soft_argmax(logits), expected, atol=1e-6)


def test_soft_argmax_gradient() -> None:
    logits = torch.randn(1, 2, 3, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(soft_argmax, logits)


def test_landmarks_are_pixels_of_the_image_given() -> None:
    network = LandmarkNetwork().eval()
    assert isinstance(network, LandmarkDetector)
    assert sum(p.numel() for p in network.parameters()) < 1_000_000
    image = functional.interpolate(torch.rand(1, 3, 8, 8), (128, 128), mode="bilinear")
    found = network.detect(image)
    assert found.shape == (1, 66, 2)
    assert torch.equal(found, network.detect(image))
    assert (found >= 0).all()
    assert (found <= 128).all()
    larger = functional.interpolate(image, (256, 256), mode="bilinear")
    assert torch.allclose(network.detect(larger), 2 * found, atol=2.0)


def test_loss_is_least_at_the_landmark_and_ignores_what_is_outside() -> None:
    wanted = torch.tensor([[[0.375, 0.625]]])
    axis = torch.arange(8) + 0.5

    def loss_of_peak(x: float, y: float) -> float:
        heat = -0.5 * ((axis[None, :] - x) ** 2 + (axis[:, None] - y) ** 2)
        return float(landmark_training_loss(heat[None, None], wanted, 0.2))

    assert loss_of_peak(3.0, 5.0) < loss_of_peak(3.5, 5.0) < loss_of_peak(5.0, 5.0)
    outside = torch.tensor([[[-0.1, 0.5]]])
    assert float(landmark_training_loss(torch.randn(1, 1, 8, 8), outside, 0.2)) == 0.0


def test_training_reduces_the_error_and_the_weight_file_computes_the_same(tmp_path: Path) -> None:
    path = tmp_path / "l.safetensors"
    settings = LandmarkTraining(
        out=str(path), steps=20, evaluate_every=20, batch=4, bf16=False, learning_rate=4e-3, shift=0.02
    )
    recipe = LandmarkRecipe(settings, ToyPortraits(8, 3, 1), ToyPortraits(4, 2, 2), small(folded=False))
    before = float(recipe.loss(torch.Generator().manual_seed(5)).detach())
    rows = fit(recipe, settings, lambda line: None)
    assert float(recipe.loss(torch.Generator().manual_seed(5)).detach()) < before
    assert set(rows[-1]) >= {"pixels", "pixels_95", "blurred_pixels"}
    built = build(LandmarkSettings(weights=str(path)), Context())
    image = torch.rand(2, 3, 64, 64) * 2 - 1
    assert torch.allclose(built.detect(image), recipe.module.eval().detect(image), atol=0.3)


def test_wrong_weight_files(tmp_path: Path) -> None:
    network = small()
    path = tmp_path / "w.safetensors"
    write_weights(path, "other", network.architecture, network.state_dict(), {})
    with pytest.raises(AssetError, match="other"):
        build(LandmarkSettings(weights=str(path)), Context())
    write_weights(path, KIND, {"side": 64, "sides": 3}, network.state_dict(), {})
    with pytest.raises(AssetError, match="cannot be built"):
        build(LandmarkSettings(weights=str(path)), Context())
    with pytest.raises(AssetError):
        build(LandmarkSettings(weights=str(tmp_path / "absent")), Context())
