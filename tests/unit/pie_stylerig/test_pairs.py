from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

import pie_stylerig.samples
from pie_framework.errors import ConfigError
from pie_framework.testing.toys import TOY_LAYOUT, ToyEncoder, ToyFaceModel, ToyGenerator, ToyRig
from pie_stylerig.measure import light_error, measure_edits
from pie_stylerig.network import RigNet
from pie_stylerig.pairs import Edits, read_edits, which_edits
from pie_stylerig.recipe import RigRecipe
from pie_stylerig.settings import Architecture, TrainRigConfig
from pie_stylerig.training import train_rig
from pie_training.engine import Engine
from pie_training.processes import start
from pie_training.recipe import Progress, TrainingFiles

Indices = Sequence[int] | NDArray[np.integer[Any]]
PERSONS, BLOCKS = 40, TOY_LAYOUT.editable


class ToyEdits:
    """Portraits of the toy face model: of each person one as it is, then one edit of every block."""

    def __init__(self, folder: str = "") -> None:
        self.model = ToyFaceModel()
        rng = torch.Generator().manual_seed(3)
        base = torch.randn(PERSONS, TOY_LAYOUT.size, generator=rng)
        other = torch.randn(PERSONS, TOY_LAYOUT.size, generator=rng)
        edited = [TOY_LAYOUT.replace(base, other, block) for block in BLOCKS]
        self.coefficients = torch.stack([base, *edited], dim=1).flatten(0, 1)

    def __len__(self) -> int:
        return len(self.coefficients)

    def theta(self, indices: Indices) -> NDArray[np.float32]:
        found: NDArray[np.float32] = self.coefficients[torch.as_tensor(np.asarray(indices))].numpy()
        return found

    def images(self, indices: Indices) -> NDArray[np.uint8]:
        image = self.model.image(torch.from_numpy(self.theta(indices)))
        pixels: NDArray[np.uint8] = ((image + 1) * 127.5).round().clamp(0, 255).byte().numpy()
        return np.ascontiguousarray(pixels.transpose(0, 2, 3, 1))

    def edits(self, block: str) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        bases = np.arange(PERSONS) * (1 + len(BLOCKS))
        return bases, bases + 1 + BLOCKS.index(block)


class ToyInverter:
    def __init__(self, generator: ToyGenerator, encoder: ToyEncoder) -> None:
        self.generator, self.encoder = generator, encoder

    def invert(self, image: torch.Tensor) -> torch.Tensor:
        return self.generator.latent(self.encoder.encode(image))


class ToyWorld:
    def __init__(self) -> None:
        self.model = ToyFaceModel()
        self.generator, self.encoder = ToyGenerator(self.model), ToyEncoder(self.model)
        self.inverter = ToyInverter(self.generator, self.encoder)

    def edits(self, spread: float = 0.0) -> Edits:
        return read_edits(
            ToyEdits(), BLOCKS, self.generator, self.encoder, self.inverter, PERSONS, 5, spread, 0.5, 16,
            torch.Generator().manual_seed(0),
        )  # fmt: skip


def quiet(_: str) -> None:
    pass


def test_what_is_measured_comes_first_and_is_not_trained_on() -> None:
    order, rows, held = which_edits(ToyEdits(), BLOCKS, 20, 5)
    assert held == 5 * (1 + len(BLOCKS))
    assert len(np.unique(order)) == len(order) == 20 * (1 + len(BLOCKS))
    for block in BLOCKS:
        bases, edited = ToyEdits().edits(block)
        number = rows[block]
        assert np.array_equal(order[number[:, 0]], bases[:20])
        assert np.array_equal(order[number[:, 1]], edited[:20])
        assert ((number[:, 0] < held) == (number[:, 1] < held)).all()
        assert int((number[:, 0] < held).sum()) == 5
    with pytest.raises(ConfigError, match="too few"):
        which_edits(ToyEdits(), BLOCKS, 5, 5)


def test_an_edit_changes_its_block_alone_and_both_ends_share_their_offset() -> None:
    world = ToyWorld()
    edits = world.edits(spread=0.5)
    plain = PERSONS * (1 + len(BLOCKS))
    assert len(edits) == plain + round(0.5 * 35) * (1 + len(BLOCKS))
    rng = torch.Generator().manual_seed(1)
    for block in BLOCKS:
        assert len(edits.chosen(block, held=True)) == 5
        before, after = edits.draw(block, 30, rng)
        assert int(before.min()) >= edits.held
        same = TOY_LAYOUT.replace(edits.known[after], edits.known[before], block)
        torch.testing.assert_close(same, edits.known[before])
        moved = edits.rows[block][edits.rows[block][:, 0] >= plain]
        away = edits.latents[moved[:, 0]] - world.generator.latent(edits.known[moved[:, 0]])
        other = edits.latents[moved[:, 1]] - world.generator.latent(edits.known[moved[:, 1]])
        assert float(away.abs().max()) > 0.1
        assert float((away - other).abs().max()) < 0.2


def test_requests_are_read_or_known() -> None:
    edits = ToyWorld().edits()
    shifted = Edits(**{**edits.state_dict(), "theta": edits.known + 1.0})
    rng = torch.Generator().manual_seed(1)
    before, after = shifted.draw("expression", 64, rng)
    true = TOY_LAYOUT.get(shifted.known[after], "expression")
    read = shifted.ask(TOY_LAYOUT, "expression", before, after, 0.0, rng)
    torch.testing.assert_close(read, true + 1.0)
    known = shifted.ask(TOY_LAYOUT, "expression", before, after, 1.0, rng) - true
    assert set(known.mean(dim=1).round(decimals=3).tolist()) == {0.0, 1.0}


def test_measure_edits_knows_a_perfect_rig_from_none() -> None:
    world = ToyWorld()
    edits = world.edits()
    for strength, missing in ((1.0, 0.0), (0.0, 1.0)):
        rig = ToyRig(world.generator, "rotation", strength)
        found = measure_edits(rig, world.generator, world.encoder, world.model, edits)
        assert found["true_missing"] == pytest.approx(missing, abs=0.1)
        assert found["inverted_missing"] == pytest.approx(0.0, abs=0.1)
    gamma = torch.randn(3, 27, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(light_error(1.1 * gamma, gamma), torch.full((3,), 0.1))


@pytest.mark.parametrize("readout", [False, True])
def test_true_edits_are_learnt_and_survive_a_resume(tmp_path: Path, readout: bool) -> None:
    world = ToyWorld()
    monkey = pytest.MonkeyPatch()
    monkey.setattr(pie_stylerig.samples, "open_reader", lambda reader, folder: ToyEdits())
    architecture = Architecture(code=8, readout=readout)
    config: dict[str, Any] = {
        "seconds": 0, "steps": 120, "pool": 64, "batch": 16, "image_batch": 2, "render_size": 16,
        "metric_samples": 1, "precision": "float32", "measure_every": 120, "measure_latents": 8, "mlp_hidden": 8,
        "pairs": "toys", "pair_batch": 32, "truth_every": 1, "pair_share": 0.8,
        "pair_learning_rate": 3e-2, "learning_rate": 1e-3, "blocks": ("rotation",), "architecture": architecture,
    }  # fmt: skip
    networks = (world.generator, world.encoder, world.model, None, world.inverter)
    whole = train_rig(TrainRigConfig(output=str(tmp_path / "whole"), **config), *networks, report=quiet)
    with (tmp_path / "whole" / "curve.csv").open() as file:
        first, last = list(csv.DictReader(file))
    assert float(last["rotation_true_missing"]) < 0.5 * float(first["rotation_true_missing"])
    assert float(last["rotation_truth_loss"]) < 1.0
    train_rig(TrainRigConfig(output=str(tmp_path / "parts"), stop_at=60, **config), *networks, report=quiet)
    parts = train_rig(
        TrainRigConfig(output=str(tmp_path / "parts"), resume=True, **config), *networks, report=quiet
    )
    expected = RigNet.load(whole["rotation"]).state_dict()
    for name, value in RigNet.load(parts["rotation"]).state_dict().items():
        assert torch.equal(value, expected[name]), name
    monkey.undo()


def test_pairs_need_an_inverter(tmp_path: Path) -> None:
    world = ToyWorld()
    with pytest.raises(ConfigError, match="inverter"):
        train_rig(
            TrainRigConfig(output=str(tmp_path), pairs="toys"), world.generator, world.encoder, world.model
        )


def test_the_readout_stays_as_it_was_fitted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    world = ToyWorld()
    monkeypatch.setattr(pie_stylerig.samples, "open_reader", lambda reader, folder: ToyEdits())
    config = TrainRigConfig(
        output=str(tmp_path), seconds=0, steps=6, pool=64, batch=16, image_batch=2, render_size=16, metric_samples=1,
        precision="float32", measure_latents=8, mlp_hidden=8, pairs="toys", pair_batch=32, pair_share=0.5,
        learning_rate=0.1, blocks=("rotation",), architecture=Architecture(code=8, readout=True),
    )  # fmt: skip
    accelerator = start(config, "cpu", tmp_path)
    recipe = RigRecipe(
        config, world.generator, world.encoder, world.model, None, world.inverter, accelerator, quiet
    )
    recipe.prepare(resumed=False)
    readout = recipe.rigs["rotation"].readout
    assert readout is not None
    fitted = readout.weight.clone()
    engine = Engine(recipe, config, TrainingFiles.in_folder(tmp_path), accelerator, quiet)
    for step in range(6):
        engine.take_step(Progress(step, step / 6))
    assert torch.equal(readout.weight, fitted)
