from __future__ import annotations

import csv
import dataclasses
from pathlib import Path

import pytest
import torch

from pie_framework.api import Block, Layout
from pie_framework.errors import ConfigError
from pie_framework.rendering import ambient_light
from pie_framework.testing.toys import TOY_LAYOUT, ToyFaceModel, ToyGenerator, ToyLandmarks
from pie_mofa.calibration import calibrate, coefficient_scale, mean_light, mean_pose
from pie_mofa.network import MofaEncoder
from pie_mofa.samples import CHUNK, SamplePool, make_samples
from pie_mofa.settings import Architecture, SampleTraining, TrainEncoderConfig
from pie_mofa.training import train_encoder
from pie_weights.files import read_weights

SMALL = Architecture(input_size=8, widths=(8, 8), squeeze=8, hidden=32)
BARE = Layout(
    (Block("rotation", 3, "radians"), Block("identity", 5), Block("expression", 0), Block("jaw", 1))
)


def settings(folder: Path, **others: object) -> TrainEncoderConfig:
    config = TrainEncoderConfig(
        output=str(folder), steps=8, batch=4, render_size=16, measure_every=4, measure_portraits=8, architecture=SMALL,
        precision="float32", samples=SampleTraining(pool=24, refresh_every=2),
    )  # fmt: skip
    return dataclasses.replace(config, **others)  # type: ignore[arg-type]


def world(layout: Layout = TOY_LAYOUT) -> tuple[ToyFaceModel, ToyGenerator, ToyLandmarks]:
    model = ToyFaceModel(layout=layout)
    return model, ToyGenerator(model), ToyLandmarks(model)


def quiet(_: str) -> None:
    pass


def test_samples_are_small_and_truncated_towards_the_mean() -> None:
    model, generator, detector = world()
    shown = []
    for truncation in (1.0, 0.5):
        rng = torch.Generator().manual_seed(3)
        images, points = make_samples(generator, detector, 5, rng, 8, truncation)
        assert images.shape == (5, 3, 8, 8)
        assert images.dtype == torch.uint8
        shown.append(points)
    # In the toy world landmarks are linear in the latent, except where colours are clipped.
    assert 0.4 < float((shown[1] - 0.5).norm() / (shown[0] - 0.5).norm()) < 0.6
    images, _ = make_samples(generator, detector, 2, torch.Generator().manual_seed(3), 64)
    assert images.shape[-1] == model.size


def test_a_pool_is_made_again_from_how_far_it_came() -> None:
    _, generator, detector = world()
    pool = SamplePool(generator, detector, 20, seed=5, size=8)
    assert len(pool) == 3 * CHUNK
    assert torch.equal(pool.images[:CHUNK], pool.images[CHUNK : 2 * CHUNK])
    pool.go_to(pool.slots)
    assert not torch.equal(pool.images[:CHUNK], pool.images[CHUNK : 2 * CHUNK])
    before = pool.points.clone()
    for _ in range(4):
        pool.refresh()
    assert not torch.equal(before, pool.points)
    again = SamplePool(generator, detector, 20, seed=5, size=8)
    again.go_to(pool.made)
    assert torch.equal(again.images, pool.images)
    assert torch.equal(again.points, pool.points)
    pool.go_to(3)
    assert torch.equal(before, pool.points)


def test_the_mean_face_is_put_where_samples_show_faces() -> None:
    model, _, _ = world()
    theta = torch.zeros(TOY_LAYOUT.size)
    theta[TOY_LAYOUT.slice("translation")] = torch.tensor([0.5, -0.4, 0.3])
    theta[TOY_LAYOUT.slice("rotation")] = torch.tensor([0.1, 0.0, -0.2])
    points = model.landmarks(theta[None], 1).expand(4, -1, -1)
    start = torch.zeros(TOY_LAYOUT.size)
    scale = coefficient_scale(model, start, {})
    found = mean_pose(model, start, scale, points)
    torch.testing.assert_close(model.landmarks(found[None], 1), points[:1], atol=2e-3, rtol=0)
    assert float(found[TOY_LAYOUT.slice("identity")].abs().sum()) == 0


def test_scales_are_those_of_the_units() -> None:
    model, _, _ = world()
    scale = coefficient_scale(model, torch.zeros(TOY_LAYOUT.size), {"identity": 0.7})
    expected = {"rotation": 0.2, "identity": 0.7, "albedo": 1.0, "expression": 0.3}
    for name, value in expected.items():
        assert torch.all(TOY_LAYOUT.get(scale[None], name) == value), name
    # A standard deviation of a translation moves landmarks by 2 % of the side.
    theta = torch.zeros(2, TOY_LAYOUT.size)
    row = TOY_LAYOUT.slice("translation").start
    theta[1, row] = scale[row]
    first, second = model.landmarks(theta, 1)
    assert float((second - first).square().sum(-1).mean().sqrt()) == pytest.approx(0.02, rel=1e-3)


def test_light_has_the_brightness_of_the_samples() -> None:
    from pie_framework.api import Rendering

    class Grey(ToyFaceModel):
        """Shows only how bright the light is."""

        def render(self, theta: torch.Tensor, size: int) -> Rendering:
            light = self.layout.get(theta, "illumination").reshape(-1, 3, 9)[..., 0] * 0.282095
            image = (2 * light - 1)[..., None, None].expand(-1, -1, size, size)
            return Rendering(image, torch.ones(len(theta), 1, size, size), self.landmarks(theta, size))

    model = Grey()
    colour = torch.tensor([0.6, 0.4, 0.2])
    images = (2 * colour - 1)[:, None, None].expand(4, 3, 8, 8)
    mean, _ = calibrate(model, images, torch.full((4, 6, 2), 0.5), {}, 8)
    light = TOY_LAYOUT.get(mean[None], "illumination").reshape(3, 9)
    torch.testing.assert_close(light[:, 0], colour / 0.282095, rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(
        mean_light(TOY_LAYOUT, torch.zeros(1))[TOY_LAYOUT.slice("illumination")],
        ambient_light(torch.tensor([0.8]))[0],
    )


@pytest.mark.parametrize("layout", [TOY_LAYOUT, BARE])
def test_any_layout_is_trained_and_resumed_exactly(tmp_path: Path, layout: Layout) -> None:
    model, generator, detector = world(layout)

    def train(name: str, **others: object) -> Path:
        return train_encoder(
            settings(tmp_path / name, **others), model, None, None, generator, detector, report=quiet
        )

    whole = MofaEncoder.load(train("whole"))
    train("parts", stop_at=5)
    parts = MofaEncoder.load(train("parts", resume=True))
    assert whole.layout == layout
    for name, value in whole.state_dict().items():
        assert torch.equal(value, parts.state_dict()[name]), name
    assert whole.made_for["num_layers"] == generator.num_layers
    notes = read_weights(tmp_path / "parts" / "encoder.safetensors", "encoder").notes
    assert notes["mean_face"]["landmark_px"] > 0
    assert (tmp_path / "whole" / "sheet.png").stat().st_size > 100


def test_landmarks_get_nearer_than_those_of_the_mean_face(tmp_path: Path) -> None:
    model, generator, detector = world()
    lines: list[str] = []
    config = settings(tmp_path, steps=150, measure_every=75, batch=16)
    config = dataclasses.replace(config, samples=SampleTraining(pool=256))
    train_encoder(config, model, None, None, generator, detector, report=lines.append)
    assert lines[0] == "256 samples made"
    with (tmp_path / "curve.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [int(row["step"]) for row in rows] == [0, 75, 150]
    assert float(rows[-1]["landmark_px"]) < 0.8 * float(rows[0]["landmark_px"])


def test_landmarks_must_be_as_many_as_the_face_models(tmp_path: Path) -> None:
    model, generator, _ = world()
    other = ToyLandmarks(ToyFaceModel(num_landmarks=9))
    with pytest.raises(ConfigError, match="9 landmarks"):
        train_encoder(settings(tmp_path), model, None, None, generator, other, report=quiet)
    with pytest.raises(ConfigError, match="pool"):
        SampleTraining(pool=1)
