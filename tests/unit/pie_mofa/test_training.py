from __future__ import annotations

import csv
import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from pie_framework.api import Mesh
from pie_framework.errors import InputError, PieError
from pie_framework.testing.toys import TOY_LAYOUT, ToyFaceModel, ToyGenerator, ToyLandmarks
from pie_mofa.data import PortraitFolder, augment, blur
from pie_mofa.effects import Effects, front_normals
from pie_mofa.losses import known_losses
from pie_mofa.measure import compare
from pie_mofa.network import MofaEncoder
from pie_mofa.settings import Architecture, Augmentation, TrainEncoderConfig
from pie_mofa.training import train_encoder

SMALL = Architecture(input_size=16, widths=(8, 8), squeeze=8, hidden=32)


class World:
    """Portraits of the toy world."""

    def __init__(self, n: int = 64) -> None:
        self.model = ToyFaceModel()
        rng = torch.Generator().manual_seed(5)
        self._theta = torch.randn(n, TOY_LAYOUT.size, generator=rng) * 0.3

    def __len__(self) -> int:
        return len(self._theta)

    def images(self, indices: Tensor) -> Tensor:
        return self.model.image(self._theta[indices])

    def theta(self, indices: Tensor) -> Tensor:
        return self._theta[indices]


def settings(folder: Path, **others: object) -> TrainEncoderConfig:
    config = TrainEncoderConfig(
        output=str(folder), seconds=0, steps=40, batch=8, render_every=4, render_size=16, measure_every=20,
        architecture=SMALL, precision="float32", ema=0.0, measure_portraits=16,
    )  # fmt: skip
    return dataclasses.replace(config, **others)  # type: ignore[arg-type]


def quiet(_: str) -> None:
    pass


def test_known_losses_vanish_at_the_truth_and_nowhere_else() -> None:
    world = World()
    theta = world.theta(torch.arange(6))
    scale = torch.full((TOY_LAYOUT.size,), 0.3)
    effects = Effects(world.model, torch.zeros(TOY_LAYOUT.size), scale)
    at_truth = known_losses(theta, theta, world.model, effects, scale)
    assert all(float(loss) == pytest.approx(0.0, abs=1e-5) for loss in at_truth.values())
    away = known_losses(theta + 0.1, theta, world.model, effects, scale)
    assert all(float(loss) > 1e-4 for loss in away.values())


def test_effect_of_light_is_the_mean_squared_shading() -> None:
    """Ambient light of shading a has mean squared shading a²; relative to the variance of the portraits."""
    from pie_framework.rendering import ambient_light

    layout = TOY_LAYOUT
    scale = torch.zeros(layout.size)
    scale[layout.slice("illumination")] = ambient_light(torch.tensor([0.5]))[0]
    effects = Effects(ToyFaceModel(), torch.zeros(layout.size), scale)
    difference = torch.zeros(1, layout.size)
    difference[:, layout.slice("illumination")] = ambient_light(torch.tensor([0.25]))
    assert float(effects.errors(difference)["illumination"]) == pytest.approx(0.25, rel=1e-4)
    assert torch.allclose(front_normals().norm(dim=1), torch.ones(200, dtype=torch.float64))


def test_effect_of_expression_is_the_vertex_displacement() -> None:
    basis = torch.randn(5, 7, 3, generator=torch.Generator().manual_seed(1))

    class Moving(ToyFaceModel):
        def mesh(self, theta: Tensor) -> Mesh:
            moved = torch.einsum("bk,kvc->bvc", self.layout.get(theta, "expression"), basis)
            return Mesh(moved, torch.tensor([[0, 1, 2]]), torch.full_like(moved, 0.5))

    layout, scale = TOY_LAYOUT, torch.full((TOY_LAYOUT.size,), 0.5)
    effects = Effects(Moving(), torch.zeros(layout.size), scale)
    difference = torch.zeros(2, layout.size)
    difference[:, layout.slice("expression")] = torch.randn(2, 5, generator=torch.Generator().manual_seed(2))
    moved = Moving().mesh(difference).vertices.square().sum(-1).mean(-1)
    variance = (0.25 * basis.square().sum(-1).mean(-1)).sum()
    torch.testing.assert_close(
        effects.errors(difference)["expression"], moved / variance, rtol=1e-3, atol=1e-4
    )


def test_compare_measures_degrees_and_pixels() -> None:
    model, truth = ToyFaceModel(), torch.zeros(1, TOY_LAYOUT.size)
    theta = truth.clone()
    theta[:, TOY_LAYOUT.index("rotation", "yaw")] = torch.pi / 18
    errors = compare(theta, truth, model)
    assert float(errors["yaw_degrees"]) == pytest.approx(10.0, rel=1e-4)
    assert float(errors["pitch_degrees"]) == 0.0
    assert float(errors["expression_px"]) == pytest.approx(0.0, abs=1e-3)
    assert float(errors["landmark_px"]) > 0.0


def test_augmentation_keeps_the_truth() -> None:
    world, rng = World(), torch.Generator().manual_seed(0)
    rows = torch.arange(8)
    nothing = Augmentation(smallest=16, clean=1.0, noise=0.0, blotches=0.0, gain=0.0)
    images, theta = augment(world.images(rows), world.theta(rows), world.model, nothing, rng)
    torch.testing.assert_close(images, world.images(rows).clamp(-1, 1))
    torch.testing.assert_close(theta, world.theta(rows))
    _, theta = augment(world.images(rows), world.theta(rows), world.model, Augmentation(smallest=4), rng)
    light = TOY_LAYOUT.slice("illumination")
    ratio = theta[:, light] / world.theta(rows)[:, light]
    assert float(ratio.min()) >= 0.92 - 1e-5
    assert float(ratio.max()) <= 1.08 + 1e-5
    theta[:, light] = world.theta(rows)[:, light]
    torch.testing.assert_close(theta, world.theta(rows))
    flat = torch.full((8, 3, 16, 16), 0.3)
    torch.testing.assert_close(blur(flat, Augmentation(smallest=3), rng), flat)


@pytest.mark.parametrize("labels", [True, False])
def test_training_lowers_the_error(tmp_path: Path, labels: bool) -> None:
    world = World()
    config = settings(tmp_path, steps=150)
    if labels:
        path = train_encoder(config, world.model, world, world, report=quiet)
    else:
        generator, detector = ToyGenerator(world.model), ToyLandmarks(world.model)
        path = train_encoder(config, world.model, None, world, generator, detector, report=quiet)
    with (tmp_path / "curve.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert float(rows[-1]["landmark_px"]) < (0.9 if labels else 1.0) * float(rows[0]["landmark_px"])
    assert MofaEncoder.load(path).layout == TOY_LAYOUT


def test_resumed_training_gives_the_same_weights(tmp_path: Path) -> None:
    world = World()
    train_encoder(settings(tmp_path / "whole", steps=6), world.model, world, report=quiet)
    train_encoder(settings(tmp_path / "parts", steps=6, stop_at=3), world.model, world, report=quiet)
    train_encoder(settings(tmp_path / "parts", steps=6, resume=True), world.model, world, report=quiet)
    whole = MofaEncoder.load(tmp_path / "whole" / "encoder.safetensors").state_dict()
    parts = MofaEncoder.load(tmp_path / "parts" / "encoder.safetensors").state_dict()
    for name, value in whole.items():
        assert torch.equal(value, parts[name]), name


def test_portrait_folder(tmp_path: Path) -> None:
    for shard, n in (("00000", 3), ("00001", 2)):
        folder = tmp_path / "shards" / shard
        folder.mkdir(parents=True)
        np.save(folder / "images.npy", np.full((n, 4, 4, 3), 255, np.uint8))
        np.save(folder / "theta.npy", np.full((n, TOY_LAYOUT.size), int(shard), np.float32))
        np.save(folder / "person.npy", np.zeros(n, np.int64))
    folder_all = PortraitFolder(tmp_path, TOY_LAYOUT)
    last = PortraitFolder(tmp_path, TOY_LAYOUT, slice(-2, None))
    assert (len(folder_all), len(last)) == (5, 2)
    assert folder_all.images(torch.tensor([0, 4])).shape == (2, 3, 4, 4)
    assert float(last.images(torch.tensor([1])).max()) == 1.0
    assert float(last.theta(torch.tensor([0]))[0, 0]) == 1.0
    with pytest.raises(InputError, match="no labelled portraits"):
        PortraitFolder(tmp_path / "nowhere", TOY_LAYOUT)


def test_a_training_needs_portraits_and_a_limit(tmp_path: Path) -> None:
    with pytest.raises(PieError, match="landmark detector"):
        train_encoder(settings(tmp_path), ToyFaceModel(), None, report=quiet)
    with pytest.raises(PieError, match="limit"):
        train_encoder(settings(tmp_path, steps=0), ToyFaceModel(), World(), report=quiet)
