"""The fit of directions: exact in the toy world, a ridge where there is noise; edits through the whole of `edit`."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch

from pie_directions.directions import LinearEditor
from pie_directions.settings import TrainDirectionsConfig
from pie_directions.training import fit_directions, fit_ridge, run
from pie_framework.api import Networks
from pie_framework.editing.edit import edit, vocabulary_of
from pie_framework.errors import ConfigError
from pie_framework.settings import merge
from pie_framework.testing.toys import TOY_LAYOUT, toy_networks
from pie_weights.files import read_weights

CONFIG = TrainDirectionsConfig(samples=200, batch=64)


@pytest.fixture(scope="module")
def networks() -> Networks:
    """The toy world, edited along fitted directions and without rig networks."""
    world = toy_networks(dtype=torch.float64)
    editor, figures = fit_directions(CONFIG, world.generator, world.need_encoder(), report=lambda line: None)
    assert all(figures[f"explained_{block.name}"] > 0.9999 for block in TOY_LAYOUT.blocks)
    return dataclasses.replace(world, rigs={}, editor=editor)


@pytest.mark.parametrize("corrections", [0, 2])
@pytest.mark.parametrize(
    "words", [["rotation.yaw+=10"], ["expression.smile=0.8"], ["illumination.from=left"]]
)
def test_an_edit_of_the_toy_world_hits(networks: Networks, words: list[str], corrections: int) -> None:
    latent = networks.generator.sample(1, torch.Generator().manual_seed(3))
    requests = vocabulary_of(networks).parse(words)
    (result,) = edit(latent, requests, networks, corrections=corrections)
    for reading in result.readings:
        assert reading.achieved == pytest.approx(reading.asked, abs=1e-3)
    before = networks.need_encoder().encode(networks.generator.synthesize(latent))
    (block,) = requests[0].blocks
    others = [name for name in TOY_LAYOUT.split(before) if name != block]
    kept = TOY_LAYOUT.replace(result.theta, before, others)
    torch.testing.assert_close(result.theta, kept, rtol=0, atol=1e-4, msg="only the block changes")


def test_several_blocks_at_once_hit_too(networks: Networks) -> None:
    latent = networks.generator.sample(1, torch.Generator().manual_seed(4))
    requests = vocabulary_of(networks).parse(["rotation.yaw=12", "expression.smile=0.6"])
    (result,) = edit(latent, requests, networks, corrections=0)
    assert [r.achieved for r in result.readings] == pytest.approx([12.0, 0.6], abs=1e-3)


def test_a_run_is_repeated_exactly() -> None:
    world = toy_networks()
    config = dataclasses.replace(CONFIG, samples=60)
    fits = [
        fit_directions(config, world.generator, world.need_encoder(), lambda line: None) for _ in range(2)
    ]
    assert torch.equal(fits[0][0].weight, fits[1][0].weight)


def test_the_recipe_writes_the_file_with_its_record(tmp_path: Path) -> None:
    world = toy_networks()
    path = tmp_path / "directions.safetensors"
    config = dataclasses.replace(CONFIG, samples=60, out=str(path))
    run(config, cast(Any, SimpleNamespace(generator=lambda: world.generator, encoder=world.need_encoder)))
    notes = read_weights(path, "directions").notes
    assert notes["training"]["samples"] == 60
    assert "out" not in notes["training"]
    assert set(notes["figures"]) >= {"explained_rotation", "ridge_expression"}
    assert LinearEditor.load(path).weight.shape == (TOY_LAYOUT.size, TOY_LAYOUT.size)
    assert [file.name for file in tmp_path.iterdir()] == ["directions.safetensors"]


def test_noise_is_answered_with_a_ridge() -> None:
    rng = torch.Generator().manual_seed(0)
    inputs = torch.randn(60, 40, generator=rng)
    truth = torch.randn(40, 2, generator=rng) / 40**0.5
    targets = inputs @ truth + torch.randn(60, 2, generator=rng)
    weight, ridge, error = fit_ridge(inputs, targets, (1e-8, 1.0), 0.2)
    assert weight.shape == (2, 40)
    assert ridge == 1.0
    assert 0 < error < 1.5
    exact, ridge, error = fit_ridge(inputs, inputs @ truth, (1e-8, 1.0), 0.2)
    assert ridge == 1e-8
    torch.testing.assert_close(exact, truth.T, rtol=0, atol=1e-4)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"heldout": 0.0}, "heldout: 0.0 is too small"),
        ({"samples": 5}, "5 samples of which 0.1 are held out leave none to measure"),
        ({"samples": 4, "heldout": 0.9}, "two samples to fit"),
        ({"ridges": []}, "ridges: 0 values were given, it takes 1 at least"),
        ({"ridges": [0.1, 0.0]}, "ridges.1: 0.0 is too small"),
        ({"batch": 0}, "batch: 0 is too small"),
    ],
)
def test_impossible_settings_are_refused(values: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        merge(TrainDirectionsConfig, values)
