from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from pie_features.perceptual import PerceptualNetwork
from pie_features.perceptual_training import PerceptualRecipe, landmark_cells, rarity_weights
from pie_features.recognition import KIND, RecognitionNetwork
from pie_features.recognition_training import RecognitionRecipe, replace_surroundings, shared_columns
from pie_features.settings import PerceptualTraining, RecognitionTraining
from pie_framework.errors import ConfigError
from pie_framework.testing.toy_portraits import ToyPortraits
from pie_training.fit import fit
from pie_weights.files import load_network

TRAIN, HELDOUT = ToyPortraits(persons=8, shots=3, seed=1), ToyPortraits(persons=4, shots=3, seed=2)


def quiet(line: str) -> None:
    pass


def recognition_recipe(settings: RecognitionTraining) -> RecognitionRecipe:
    torch.manual_seed(0)
    network = RecognitionNetwork(side=32, widths=(8, 8, 8, 8), embedding=8, folded=False)
    return RecognitionRecipe(settings, TRAIN, HELDOUT, network)


def test_recognition_learns_and_its_weight_file_computes_the_same(tmp_path: Path) -> None:
    path = tmp_path / "r.safetensors"
    settings = RecognitionTraining(
        out=str(path), steps=30, evaluate_every=15, batch=12, bf16=False, surroundings=(0,)
    )
    recipe = recognition_recipe(settings)
    first = float(recipe.loss(torch.Generator().manual_seed(5)).detach())
    rows = fit(recipe, settings, quiet)
    image = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(3)) * 2 - 1
    module = recipe.module.eval()
    expected = module.embed(module.network.maps(image)["stage4"])  # a loss would move the running statistics
    module.train()
    assert float(recipe.loss(torch.Generator().manual_seed(5)).detach()) < first
    assert set(rows[-1]) >= {"accuracy", "same", "other", "blurred_accuracy"}
    loaded = load_network(path, KIND, RecognitionNetwork, torch.device("cpu"), torch.float32)
    assert torch.allclose(loaded.embed(image), expected, atol=0.02)


def test_the_same_seed_gives_the_same_loss() -> None:
    settings = RecognitionTraining(batch=8, bf16=False)
    losses = [recognition_recipe(settings).loss(torch.Generator().manual_seed(3)) for _ in range(2)]
    assert torch.equal(losses[0], losses[1])


def test_recognition_needs_two_portraits_of_a_person_and_a_known_margin() -> None:
    single = ToyPortraits(persons=3, shots=1)
    with pytest.raises(ConfigError, match="two portraits"):
        RecognitionRecipe(RecognitionTraining(), single, HELDOUT)
    with pytest.raises(ConfigError, match="cosface"):
        RecognitionRecipe(RecognitionTraining(margin_kind="none"), TRAIN, HELDOUT)


def test_columns_of_the_person_are_found() -> None:
    rows = np.arange(len(TRAIN))
    shots = [rows[i : i + 3] for i in range(0, len(rows), 3)]
    assert shared_columns(TRAIN.theta(rows), shots).tolist() == [2, 3]


def test_surroundings_are_replaced_and_the_person_is_not() -> None:
    images = torch.rand(6, 3, 8, 8)
    outside = torch.ones(6, 8, 8, dtype=torch.bool)
    outside[:, 2:6, 2:6] = False
    changed = replace_surroundings(images, outside, 1.0, torch.Generator().manual_seed(0))
    assert torch.equal(changed[:, :, 2:6, 2:6], images[:, :, 2:6, 2:6])
    assert not torch.equal(changed, images)
    kept = replace_surroundings(images, outside, 0.0, torch.Generator().manual_seed(0))
    assert torch.equal(kept, images)


def test_perceptual_learns_to_label(tmp_path: Path) -> None:
    settings = PerceptualTraining(
        out=str(tmp_path / "p.safetensors"), steps=30, evaluate_every=30, batch=8, bf16=False
    )
    torch.manual_seed(0)
    network = PerceptualNetwork(widths=(8, 8, 8, 8), depths=(1, 1, 1, 1), folded=False)
    recipe = PerceptualRecipe(settings, TRAIN, HELDOUT, network)
    first = float(recipe.loss(torch.Generator().manual_seed(5)).detach())
    rows = fit(recipe, settings, quiet)
    assert float(recipe.loss(torch.Generator().manual_seed(5)).detach()) < first
    assert rows[-1]["pixel_accuracy"] > 0.8
    assert set(rows[-1]) >= {"mean_iou", "theta_explained"}


def test_cells_and_rarity() -> None:
    points = torch.tensor([[[0.0, 0.0], [63.9, 63.9], [5.0, 9.0], [-3.0, 99.0]]])
    assert landmark_cells(points, 16).tolist() == [[0, 255, 2 * 16 + 1, 15 * 16]]
    assert rarity_weights(torch.tensor([400.0, 100.0, 0.0, 0.01])).tolist() == [1.0, 2.0, 0.0, 12.0]
