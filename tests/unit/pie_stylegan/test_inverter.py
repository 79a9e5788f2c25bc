"""The inverter gives w, and W+ by offsets that start at nothing; its recipe learns them and leaves w alone."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from pie_framework.api import BuildContext
from pie_framework.api import Inverter as InverterContract
from pie_framework.errors import ComponentError, ConfigError
from pie_framework.settings import merge
from pie_framework.testing.conformance import InverterTests
from pie_stylegan.component import build_inverter
from pie_stylegan.inverter import FeedbackInverter, Inverter, InverterConfig
from pie_stylegan.inverter_training import InverterRecipe, train_inverter
from pie_stylegan.io import load_inverter, save_inverter
from pie_stylegan.plugin import pie_components
from pie_stylegan.settings import InverterSettings, InverterTraining
from pie_stylegan.stylegan2 import StyleGAN2, StyleGAN2Config
from pie_weights.files import read_weights

TRUNK = InverterConfig(16, 8, (8, 8, 8))


class Discs:
    """Coloured discs on grey, 16 pixels; the disc is labelled as an eye (5)."""

    def __init__(self, seed: int, count: int = 32) -> None:
        rng = np.random.default_rng(seed)
        y, x = np.mgrid[:16, :16]
        centre = rng.uniform(5, 11, (count, 2, 1, 1))
        inside = (x - centre[:, 0]) ** 2 + (y - centre[:, 1]) ** 2 < 16
        colour = rng.integers(0, 255, (count, 1, 1, 3))
        self._images: NDArray[np.uint8] = np.where(inside[..., None], colour, 128).astype(np.uint8)
        self._regions: NDArray[np.uint8] = np.where(inside, 5, 0).astype(np.uint8)

    def __len__(self) -> int:
        return len(self._images)

    def images(self, indices: Any) -> NDArray[np.uint8]:
        chosen: NDArray[np.uint8] = self._images[np.asarray(indices)]
        return chosen

    def regions(self, indices: Any) -> NDArray[np.uint8]:
        chosen: NDArray[np.uint8] = self._regions[np.asarray(indices)]
        return chosen


class Means:
    """Φ and Ψ of one layer: the mean colour."""

    def features(self, image: Tensor) -> dict[str, Tensor]:
        return {"mean": image.mean(dim=(2, 3))}

    def embed(self, image: Tensor) -> Tensor:
        return torch.nn.functional.normalize(image.mean(dim=(2, 3)) + 2.0, dim=1)


def generator() -> StyleGAN2:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        config = StyleGAN2Config(
            resolution=16, latent_dim=8, prior_dim=8, channels=(8, 8, 8), mapping_layers=1
        )
        return StyleGAN2(config).freeze()


def inverter(**others: Any) -> Inverter:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(4)
        return Inverter(replace(TRUNK, **others))


def images(count: int = 3) -> Tensor:
    return torch.rand(count, 3, 16, 16, generator=torch.Generator().manual_seed(0)) * 2 - 1


def settings(folder: Path, **others: Any) -> InverterTraining:
    start = folder / "start.safetensors"
    if not start.is_file():
        save_inverter(inverter(), start, half=False)
    values: dict[str, Any] = {
        "out": str(folder / "i.safetensors"),
        "start": str(start),
        "steps": 6,
        "evaluate_every": 3.0,
        "rank": 4,
        "mixed": 8,
        "channels": (8, 8, 8),
        "perceptual": 0.0,
        "bf16": False,
        **others,
    }
    return InverterTraining(**values)


def train(chosen: InverterTraining, **others: Any) -> list[dict[str, float]]:
    return train_inverter(chosen, generator(), lambda _: None, dataset=Discs(0), heldout=Discs(1), **others)  # type: ignore[arg-type]


# ---- the network ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("resolution", [8, 16, 32, 64])
def test_w_plus_for_every_resolution(resolution: int) -> None:
    stages = {8: 2, 16: 3}.get(resolution, 4)
    network = Inverter(InverterConfig(resolution, 6, (4,) * stages, rank=3, mixed=5))
    image = torch.zeros(2, 3, resolution, resolution)
    layers = StyleGAN2Config(resolution=resolution, channels=(4,) * (resolution.bit_length() - 2)).num_layers
    assert network.invert(image).shape == (2, layers, 6)
    assert network(image).shape == (2, 6)
    assert isinstance(network, InverterContract)


def test_offsets_start_at_nothing_and_differ_between_layers_afterwards() -> None:
    network = inverter(rank=4, mixed=8)
    w, offsets = network.parts(images())
    assert torch.equal(offsets, torch.zeros(3, 6, 8))
    torch.testing.assert_close(network.invert(images()), w[:, None].expand(-1, 6, -1))
    assert network.offsets is not None
    torch.nn.init.normal_(network.offsets.out)
    w, offsets = network.parts(images())
    torch.testing.assert_close(network.invert(images()), w[:, None] + offsets)
    torch.testing.assert_close(network(images()), w)
    assert offsets.std(dim=1).min() > 0 and offsets.std(dim=0).max() > 0


def test_a_file_of_one_w_is_read_and_repeated_for_every_layer(tmp_path: Path) -> None:
    old = inverter()
    assert not [name for name in old.state_dict() if name.startswith("offsets")]
    save_inverter(old, tmp_path / "old.safetensors", half=False)
    read = load_inverter(tmp_path / "old.safetensors")
    torch.testing.assert_close(read.invert(images()), old(images())[:, None].expand(-1, 6, -1))


def test_offsets_survive_the_weight_file(tmp_path: Path) -> None:
    network = inverter(rank=4, mixed=8)
    assert network.offsets is not None
    torch.nn.init.normal_(network.offsets.out)
    save_inverter(network, tmp_path / "i.safetensors", half=False)
    torch.testing.assert_close(
        load_inverter(tmp_path / "i.safetensors").invert(images()), network.invert(images())
    )


def test_the_bundled_size_stays_small() -> None:
    network = Inverter(InverterConfig(rank=InverterTraining().rank, mixed=InverterTraining().mixed))
    assert 2 * sum(p.numel() for p in network.parameters()) < 10_480_000


@pytest.mark.parametrize("values", [{"rank": -1}, {"mixed": 0}])
def test_impossible_heads_are_refused(values: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="rank"):
        replace(TRUNK, **values)


class TestContract(InverterTests):
    dtype = torch.float64
    num_layers, latent_dim = 6, 8
    sizes = (16,)

    def build(self) -> Any:
        network = inverter(rank=4, mixed=8)
        assert network.offsets is not None
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(5)
            torch.nn.init.normal_(network.offsets.out)
        return network.double().requires_grad_(False)


# ---- the component --------------------------------------------------------------------------------------------------


def context(made_for: Any) -> Any:
    class Given(BuildContext):
        device, dtype, asset = torch.device("cpu"), torch.float64, staticmethod(str)

        def get(self, kind: Any, name: str | None = None) -> Any:
            return made_for

    return Given()


def test_declared_targets_exist() -> None:
    for component in pie_components():
        assert callable(component.load())


def test_the_built_inverter_is_frozen_and_gives_w_plus(tmp_path: Path) -> None:
    save_inverter(inverter(rank=4, mixed=8), tmp_path / "i.safetensors")
    built = build_inverter(
        InverterSettings(str(tmp_path / "i.safetensors")), context(generator().double().freeze())
    )
    latent = built.invert(images().double())
    assert (latent.shape, latent.dtype, latent.requires_grad) == ((3, 6, 8), torch.float64, False)
    assert not any(p.requires_grad for p in built.parameters())
    once = replace(InverterSettings(str(tmp_path / "i.safetensors")), passes=0)
    given = load_inverter(tmp_path / "i.safetensors").double()
    torch.testing.assert_close(
        build_inverter(once, context(generator().double().freeze())).invert(images().double()),
        given.invert(images().double()),
    )


class Doubled(Inverter):
    """Reads the mean red of the image, shrunk; for a generator that paints it, its answers are too small."""

    def parts(self, image: Tensor) -> tuple[Tensor, Tensor]:
        w = self(image)
        return w, w.new_zeros(len(w), 6, 8)

    def forward(self, image: Tensor) -> Tensor:
        return 0.5 * image[:, :1].mean(dim=(2, 3)).expand(-1, 8)


def test_feedback_finds_the_latent_whose_image_is_seen_the_same() -> None:
    painter: Any = SimpleNamespace(
        synthesize=lambda latent: latent.mean(dim=(1, 2))[:, None, None, None].expand(-1, 3, 16, 16)
    )
    image = torch.full((1, 3, 16, 16), 0.4)
    errors = [
        float((FeedbackInverter(Doubled(TRUNK), painter, passes, 0.8).invert(image) - 0.4).abs().max())
        for passes in (0, 1, 20)
    ]
    assert errors[0] == pytest.approx(0.2)
    assert errors[1] == pytest.approx(0.2 * 0.6)
    assert errors[2] < 1e-4


@pytest.mark.parametrize("values", [{"passes": -1}, {"rate": 0.0}, {"rate": 1.5}])
def test_impossible_feedback_is_refused(values: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=f"inverter.{next(iter(values))}: .* is too"):
        merge(InverterSettings, values, "inverter")


@pytest.mark.parametrize(("quantity", "value"), [("resolution", 32), ("num_layers", 4), ("latent_dim", 6)])
def test_an_inverter_of_another_generator_is_refused(tmp_path: Path, quantity: str, value: int) -> None:
    save_inverter(inverter(), tmp_path / "i.safetensors")
    made = {"resolution": 16, "num_layers": 6, "latent_dim": 8, quantity: value}
    with pytest.raises(ComponentError, match=f"{quantity} is .*this one's is {value}"):
        build_inverter(InverterSettings(str(tmp_path / "i.safetensors")), context(SimpleNamespace(**made)))


# ---- the recipe -----------------------------------------------------------------------------------------------------


def test_training_lowers_the_error_and_leaves_w_alone(tmp_path: Path) -> None:
    chosen = settings(tmp_path, steps=60, evaluate_every=20.0, offset_penalty=0.0, learning_rate=0.02)
    rows = train(chosen)
    assert rows[-1]["psnr"] > rows[-1]["psnr_w"] + 0.3
    assert rows[-1]["error"] < rows[-1]["error_w"]
    assert rows[-1]["psnr_w"] == pytest.approx(rows[0]["psnr_w"], abs=1e-3)
    assert rows[-1]["offset_size"] > 0
    trained = load_inverter(chosen.out)
    torch.testing.assert_close(trained(images()), inverter()(images()), atol=0.01, rtol=0.01)
    assert not torch.equal(trained.invert(images())[:, 0], trained.invert(images())[:, 5])
    with chosen.curve_path.open() as stream:
        assert [int(row["step"]) for row in csv.DictReader(stream)] == [20, 40, 60]
    notes = read_weights(chosen.out, None).notes
    assert notes["figures"]["psnr"] == pytest.approx(rows[-1]["psnr"])
    assert "start" not in notes["settings"] and notes["settings"]["rank"] == 4


def test_a_penalty_keeps_the_offsets_small(tmp_path: Path) -> None:
    free, held = (
        train(settings(tmp_path, steps=40, evaluate_every=40.0, learning_rate=0.02, offset_penalty=p))[-1]
        for p in (0.0, 100.0)
    )
    assert held["offset_size"] < 0.5 * free["offset_size"]


def test_resuming_is_exact(tmp_path: Path) -> None:
    for name in ("whole", "half"):
        (tmp_path / name).mkdir()
    whole = settings(tmp_path / "whole")
    train(whole)
    half = settings(tmp_path / "half")

    class Stopped(Exception):
        pass

    def stop(_: str) -> None:
        raise Stopped

    with pytest.raises(Stopped):
        train_inverter(half, generator(), stop, dataset=Discs(0), heldout=Discs(1))  # type: ignore[arg-type]
    rows = train(replace(half, resume=True))
    assert [row["step"] for row in rows] == [3, 6]
    first, second = (load_inverter(chosen.out).state_dict() for chosen in (whole, half))
    for name, tensor in first.items():
        torch.testing.assert_close(second[name], tensor, rtol=0, atol=0)


def test_phi_and_psi_take_part_where_they_have_weight(tmp_path: Path) -> None:
    def loss(**weights: float) -> float:
        chosen = settings(tmp_path, **weights)
        recipe = InverterRecipe(chosen, generator(), Discs(0), Discs(1), Means(), Means())  # type: ignore[arg-type]
        return float(recipe.loss(torch.Generator().manual_seed(0)).detach())

    assert loss(perceptual=1.0) > loss()
    assert loss(identity=1.0) > loss()
    rows = train(settings(tmp_path, identity=1.0, steps=3), psi=Means())
    assert -1 <= rows[-1]["identity"] <= 1 + 1e-6


def test_without_a_start_the_trunk_learns_too(tmp_path: Path) -> None:
    for others, learns in (({"start": ""}, True), ({}, False), ({"train_trunk": True}, True)):
        recipe = InverterRecipe(settings(tmp_path, **others), generator(), Discs(0), Discs(1))  # type: ignore[arg-type]
        assert {p.requires_grad for p in recipe.module.trunk_parameters()} == {learns}
        assert recipe.module.offsets is not None
        assert all(p.requires_grad for p in recipe.module.offsets.parameters())


def test_what_does_not_fit_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="Set perceptual=0"):
        train(settings(tmp_path, perceptual=1.0))
    with pytest.raises(ConfigError, match="Set identity=0"):
        train(settings(tmp_path, identity=1.0))
    with pytest.raises(ConfigError, match="empty"):
        InverterRecipe(settings(tmp_path), generator(), Discs(0, 0), Discs(1))  # type: ignore[arg-type]
    small = StyleGAN2(
        StyleGAN2Config(resolution=8, latent_dim=8, prior_dim=8, channels=(4, 4), mapping_layers=1)
    )
    with pytest.raises(ConfigError, match="16 pixels wide"):
        InverterRecipe(settings(tmp_path), small, Discs(0), Discs(1))  # type: ignore[arg-type]
    save_inverter(Inverter(InverterConfig(16, 6, (4, 4, 4))), tmp_path / "other.safetensors")
    with pytest.raises(ConfigError, match="6 latent dimensions"):
        train(settings(tmp_path, start=str(tmp_path / "other.safetensors")))
    with pytest.raises(ConfigError, match="rank: 0 is too small"):
        merge(InverterTraining, {"rank": 0})
    with pytest.raises(ConfigError, match=r"offset_penalty: -1\.0 is too small"):
        merge(InverterTraining, {"offset_penalty": -1.0})
