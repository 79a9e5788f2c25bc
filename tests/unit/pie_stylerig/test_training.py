from __future__ import annotations

import csv
import dataclasses
from pathlib import Path

import pytest
import torch

from pie_framework.api import Block, Layout
from pie_framework.errors import ConfigError
from pie_framework.settings import merge
from pie_framework.testing.toys import (
    TOY_LAYOUT,
    ToyEncoder,
    ToyFaceModel,
    ToyFeatures,
    ToyGenerator,
    ToyRig,
    toy_networks,
)
from pie_stylerig.latent_coefficients import LatentCoefficients
from pie_stylerig.losses import Analysis, background_loss, photometric_metric, rig_losses
from pie_stylerig.measure import measure_rig
from pie_stylerig.network import RigNet
from pie_stylerig.pool import Pool, at_once, draw_latents, from_bytes, to_bytes
from pie_stylerig.settings import Architecture, RigWeights, TrainRigConfig
from pie_stylerig.training import train_rig


def quiet(_: str) -> None:
    pass


def settings(folder: Path, **others: object) -> TrainRigConfig:
    config = TrainRigConfig(
        output=str(folder), seconds=0, steps=30, pool=96, mlp_hidden=16, mlp_steps=20, batch=16, image_batch=2,
        image_from=0.6, control_variate=True,
        refresh_every=10, refresh=9, refresh_steps=5, render_size=16, metric_samples=1,
        precision="float32", measure_every=30, measure_latents=8, learning_rate=3e-2,
        architecture=Architecture(code=8),
    )  # fmt: skip
    return dataclasses.replace(config, **others)  # type: ignore[arg-type]


def test_the_losses_vanish_for_a_perfect_rig() -> None:
    networks = toy_networks()
    generator, model = networks.generator, networks.face_model
    assert isinstance(generator, ToyGenerator)
    assert isinstance(model, ToyFaceModel)
    rng = torch.Generator().manual_seed(0)
    w, v = generator.sample(4, rng), generator.sample(4, rng)
    theta_w, theta_v = generator.theta(w), generator.theta(v)
    metric = photometric_metric(model, theta_w[:1], torch.ones(TOY_LAYOUT.size), 16)
    analysis = Analysis(model, metric, torch.ones(TOY_LAYOUT.size), RigWeights(), 16)
    for block in TOY_LAYOUT.editable:
        for strength, low, high in ((1.0, 0.0, 1e-8), (0.5, 1e-3, 1e3)):
            rigged = ToyRig(generator, block, strength).rig(w, TOY_LAYOUT.get(theta_v, block))
            images = model.image(theta_v[:2]), model.image(theta_w[:2])
            losses = rig_losses(
                block, analysis, generator.theta(rigged), theta_w, theta_v, images[1], images[0]
            )
            assert low <= float(losses["edit"]) <= high
            assert float(losses["consistency"]) <= 1e-8


def test_the_metric_is_the_photometric_loss_of_a_linear_renderer() -> None:
    from pie_framework.api import photometric_loss

    model = ToyFaceModel()
    rng = torch.Generator().manual_seed(0)
    theta, change = torch.randn(2, 1, TOY_LAYOUT.size, generator=rng)
    metric = photometric_metric(model, theta, torch.ones(TOY_LAYOUT.size), 16)
    seen, moved = model.render(theta, 16), model.render(theta + change, 16)
    expected = photometric_loss(seen.image, moved.image, moved.mask)
    torch.testing.assert_close((change @ metric * change).sum(1), expected, rtol=1e-3, atol=1e-6)


def test_a_linear_world_is_found_by_ridge_regression() -> None:
    model = ToyFaceModel()
    generator = ToyGenerator(model)
    latents = generator.sample(200, torch.Generator().manual_seed(0))
    theta = generator.theta(latents)
    torch.manual_seed(0)
    mlp = LatentCoefficients(TOY_LAYOUT, generator.num_layers, generator.latent_dim, 8)
    mlp.set_statistics(latents, theta)
    assert mlp.fit_linear(latents, theta, (1e-6, 1e-2)) < 1e-3


def test_latents_of_the_pool_leave_the_prior_layer_by_layer() -> None:
    generator = ToyGenerator(ToyFaceModel())
    drawn = draw_latents(generator, 40, 0.5, 0.3, torch.Generator().manual_seed(0))
    apart = (drawn - drawn[:, :1]).abs().amax(dim=(1, 2)) > 1e-6
    assert int(apart.sum()) == 20
    same = draw_latents(generator, 40, 0.5, 0.3, torch.Generator().manual_seed(0))
    assert torch.equal(drawn, same)


def test_the_ring_keeps_the_newest() -> None:
    def samples(*numbers: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        values = torch.tensor(numbers, dtype=torch.float32)
        images = values.to(torch.uint8)[:, None, None, None].expand(-1, 3, 1, 1)
        return values[:, None, None], images, values[:, None]

    pool = Pool(*samples(0, 1), extra=3)
    pool.add(*samples(2, 3))
    pool.add(*samples(4, 5))
    assert len(pool) == 5
    assert sorted(pool.theta[2:, 0].tolist()) == [3.0, 4.0, 5.0]
    pool.add(*samples(6, 7, 8, 9))
    assert sorted(pool.theta[2:, 0].tolist()) == [7.0, 8.0, 9.0]
    other = Pool(*samples(0, 1), extra=3)
    other.load_state_dict(pool.state_dict())
    assert torch.equal(other.latents, pool.latents)
    image = torch.tensor([-1.0, 0.0, 1.0])
    torch.testing.assert_close(from_bytes(to_bytes(image), image), image, atol=1 / 127, rtol=0)


def test_background_counts_only_what_no_face_covers() -> None:
    first, second = torch.zeros(1, 3, 2, 2), torch.zeros(1, 3, 2, 2)
    second[..., 0, 0], second[..., 1, 1] = 5.0, 0.5
    face = torch.zeros(1, 1, 2, 2)
    face[..., 0, 0] = 1.0
    other = torch.zeros(1, 1, 2, 2)
    other[..., 0, 1] = 1.0
    assert float(background_loss(first, second, (face, other))) == pytest.approx(0.25 / 2)


def test_measure_knows_a_perfect_rig_from_none() -> None:
    model = ToyFaceModel()
    generator, encoder = ToyGenerator(model), ToyEncoder(model)
    latents = generator.sample(6, torch.Generator().manual_seed(0))
    theta, metric = generator.theta(latents), torch.eye(TOY_LAYOUT.size)
    for strength, missing in ((1.0, 0.0), (0.25, 0.75), (0.0, 1.0)):
        rig = ToyRig(generator, "rotation", strength)
        found = measure_rig(rig, generator, encoder, model, metric, latents, theta, ToyFeatures())
        assert found["missing"] == pytest.approx(missing, abs=1e-3)
        assert found["others_px"] == pytest.approx(0.0, abs=1e-3)
        assert found["reconstruction"] == pytest.approx(0.0, abs=1e-4)
        # A cosine of vectors of unit length: 1 at most, up to float32's rounding.
        assert -1.0 - 1e-5 <= found["identity"] <= 1.0 + 1e-5


def test_training_makes_rigs_that_do_what_is_asked(tmp_path: Path) -> None:
    model = ToyFaceModel()
    generator, encoder = ToyGenerator(model), ToyEncoder(model)
    weights = RigWeights(photometric=20.0, reconstruction=0.1, drift=0.0)
    config = settings(tmp_path, steps=60, measure_every=60, weights=weights)
    files = train_rig(config, generator, encoder, model, ToyFeatures(), report=quiet)
    with (tmp_path / "curve.csv").open() as file:
        first, last = list(csv.DictReader(file))
    for block in TOY_LAYOUT.editable:
        assert RigNet.load(files[block]).block == block
        assert float(last[f"{block}_missing"]) < 0.8 * float(first[f"{block}_missing"])
    assert (tmp_path / "sheet.png").stat().st_size > 100


def test_resumed_training_gives_the_same_weights(tmp_path: Path) -> None:
    model = ToyFaceModel()
    generator, encoder = ToyGenerator(model), ToyEncoder(model)
    common = {"blocks": ("rotation", "illumination"), "steps": 8, "refresh_every": 3}

    def train(name: str, **others: object) -> dict[str, Path]:
        config = settings(tmp_path / name, **common, **others)
        return train_rig(config, generator, encoder, model, report=quiet)

    whole = train("whole")
    train("parts", stop_at=4)
    parts = train("parts", resume=True)
    for block, path in whole.items():
        expected, found = RigNet.load(path).state_dict(), RigNet.load(parts[block]).state_dict()
        for name, value in expected.items():
            assert torch.equal(value, found[name]), (block, name)


def test_blocks_that_the_face_model_lacks_are_left_out(tmp_path: Path) -> None:
    layout = Layout((Block("rotation", 3, "radians", ("pitch", "yaw", "roll")), Block("identity", 6)))
    model = ToyFaceModel(layout=layout)
    generator, encoder = ToyGenerator(model, num_layers=7), ToyEncoder(model)
    lines: list[str] = []
    config = settings(tmp_path, steps=4, accumulate=2)
    files = train_rig(config, generator, encoder, model, report=lines.append)
    assert list(files) == ["rotation"]
    assert "no expression" in lines[0]
    rig = RigNet.load(files["rotation"])
    assert rig.made_for["num_layers"] == 7
    assert rig.made_for["latent_dim"] == layout.size
    with pytest.raises(ConfigError, match="none of the blocks"):
        train_rig(settings(tmp_path, blocks=("illumination",)), generator, encoder, model, report=quiet)
    with pytest.raises(ConfigError, match="another face model"):
        train_rig(config, generator, ToyEncoder(ToyFaceModel()), model, report=quiet)


def test_few_images_are_made_at_once_at_high_resolutions() -> None:
    generator = ToyGenerator(ToyFaceModel())
    counts = []
    for resolution in (16, 256, 512, 1024, 2048):
        generator.resolution = resolution
        counts.append(at_once(generator))
    assert counts == [16, 16, 4, 1, 1]


def test_settings_that_cannot_be() -> None:
    with pytest.raises(ConfigError, match="adadelta"):
        merge(TrainRigConfig, {"optimizer": "sgd"})
    with pytest.raises(ConfigError, match=r"pool: 10 is too small\. It is at least 32\."):
        merge(TrainRigConfig, {"pool": 10})
    with pytest.raises(ConfigError, match="blocks: 0 values were given, it takes 1 at least"):
        merge(TrainRigConfig, {"blocks": []})
