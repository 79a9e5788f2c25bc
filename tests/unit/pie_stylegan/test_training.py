"""The recipe on tiny networks and made-up portraits: it learns, resumes exactly, and ends with a fitted prior."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from pie_framework.errors import ConfigError
from pie_stylegan.io import load_generator, load_inverter
from pie_stylegan.reconstruction import detail, psnr, pyramid_loss, region_weight_map
from pie_stylegan.settings import GeneratorTraining
from pie_stylegan.training import (
    GeneratorRecipe,
    learning_rate_factor,
    perceptual_loss,
    stage_resolution,
    train_generator,
    training_loss,
)
from pie_training.fit import fit
from pie_training.recipe import Notes, Progress


class Discs:
    """Coloured discs on grey, 16 pixels; the disc is labelled as an eye (5)."""

    def __init__(self, seed: int, count: int = 64) -> None:
        rng = np.random.default_rng(seed)
        y, x = np.mgrid[:16, :16]
        centre = rng.uniform(5, 11, (count, 2, 1, 1))
        inside = (x - centre[:, 0]) ** 2 + (y - centre[:, 1]) ** 2 < 16
        colour = rng.integers(0, 255, (count, 1, 1, 3))
        self._images = np.where(inside[..., None], colour, 128).astype(np.uint8)
        self._regions = np.where(inside, 5, 0).astype(np.uint8)

    def __len__(self) -> int:
        return len(self._images)

    def images(self, indices: Any) -> NDArray[np.uint8]:
        return self._images[np.asarray(indices)]

    def regions(self, indices: Any) -> NDArray[np.uint8]:
        return self._regions[np.asarray(indices)]


def settings(folder: Path, **others: Any) -> GeneratorTraining:
    values: dict[str, Any] = {
        "out": str(folder / "g.safetensors"),
        "steps": 12,
        "evaluate_every": 1000.0,
        "batch": 8,
        "resolution": 16,
        "latent_dim": 8,
        "channels": (16, 16, 8),
        "inverter_channels": (8, 16, 16),
        "mapping_layers": 2,
        "coarse_share": 0.2,
        "middle_share": 0.2,
        "mapping_seconds": 0.2,
        "bf16": False,
        **others,
    }
    return GeneratorTraining(**values)


def quiet(_: str) -> None:
    """No report."""


def recipe_of(chosen: GeneratorTraining, **others: Any) -> GeneratorRecipe:
    return GeneratorRecipe(chosen, Discs(0), Discs(1), **others)  # type: ignore[arg-type]


def run(chosen: GeneratorTraining, recipe: GeneratorRecipe | None = None) -> dict[str, torch.Tensor]:
    """Train; the averaged weights."""
    recipe = recipe or recipe_of(chosen)
    fit(recipe, chosen, quiet, ema=chosen.ema_halflife, clip=0.0)
    return recipe.model.state_dict()


def test_loss_falls_and_a_usable_pair_is_written(tmp_path: Path) -> None:
    chosen = settings(tmp_path, steps=150, evaluate_every=50, perceptual=0.0, reading=0.0)
    lines: list[str] = []
    figures = train_generator(chosen, Discs(0), Discs(1), lines.append)  # type: ignore[arg-type]
    with chosen.curve_path.open() as stream:
        rows = list(csv.DictReader(stream))
    assert [(row["step"], row["size"]) for row in rows] == [("50", "8"), ("100", "16"), ("150", "16")]
    assert float(rows[-1]["psnr_16"]) > 13
    assert figures["psnr_16"] == pytest.approx(
        float(rows[-1]["psnr_16"]), abs=0.05
    )  # whitening changes no image
    assert lines[-1].startswith("finished: ")
    generator, inverter = load_generator(chosen.out), load_inverter(chosen.beside(".inverter.safetensors"))
    images = torch.from_numpy(Discs(1).images(range(16))).permute(0, 3, 1, 2).float() / 127.5 - 1
    made = generator.synthesize_w(inverter(images)).detach()
    assert float(psnr(made, images).mean()) > 12
    assert chosen.beside(".sheet.png").stat().st_size > 1000


def test_resuming_is_exact(tmp_path: Path) -> None:
    class Interrupted(GeneratorRecipe):
        def losses(self, progress: Progress, notes: Notes) -> Iterator[torch.Tensor]:
            if progress.step == 7:
                raise KeyboardInterrupt
            return super().losses(progress, notes)

    whole = run(settings(tmp_path / "whole", evaluate_every=5))
    half = settings(tmp_path / "half", evaluate_every=5)
    with pytest.raises(KeyboardInterrupt):
        run(half, Interrupted(half, Discs(0), Discs(1)))  # type: ignore[arg-type]
    rest = run(replace(half, resume=True))
    for name, tensor in whole.items():
        torch.testing.assert_close(rest[name], tensor, rtol=0, atol=0)


def test_wrong_size_and_empty_sets_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="resolution=16"):
        recipe_of(settings(tmp_path, resolution=32, channels=(8, 8, 8, 8), inverter_channels=(8, 8, 8, 8)))
    with pytest.raises(ConfigError, match="empty"):
        GeneratorRecipe(settings(tmp_path), Discs(0, 0), Discs(1))  # type: ignore[arg-type]


def test_schedule(tmp_path: Path) -> None:
    chosen = settings(tmp_path, resolution=32, channels=(8, 8, 8, 8))
    assert [stage_resolution(chosen, p) for p in (0.0, 0.19, 0.21, 0.39, 0.41, 1.0)] == [8, 8, 16, 16, 32, 32]
    assert learning_rate_factor(0.0, 0) == pytest.approx(0.01)
    assert learning_rate_factor(0.5, 1000) == pytest.approx(0.5)
    assert learning_rate_factor(1.0, 1000) == pytest.approx(0.0)


def test_region_weights_have_mean_one_and_the_asked_ratio() -> None:
    regions = torch.zeros(1, 4, 4, dtype=torch.uint8)
    regions[0, 0, 0], regions[0, 1, 1] = 5, 9
    weight = region_weight_map(regions, (1.0, 1.0, 1.0, 1.0, 2.0, 12.0))
    assert float(weight.mean()) == pytest.approx(1.0)
    assert float(weight[0, 0, 0, 0] / weight[0, 0, 3, 3]) == pytest.approx(12.0)
    assert float(weight[0, 0, 1, 1] / weight[0, 0, 3, 3]) == pytest.approx(1.0)


def test_pyramid_loss_of_a_constant_difference() -> None:
    image, target = torch.full((2, 3, 32, 32), 0.5), torch.zeros(2, 3, 32, 32)
    loss = pyramid_loss(image, target, torch.ones(2, 1, 32, 32), sharpness=7.0, texture=3.0)
    assert float(loss) == pytest.approx(3 * (0.25 + 0.25))  # three scales, no gradients
    assert float(pyramid_loss(image, image, torch.ones(2, 1, 32, 32), texture=1.0)) == 0


def test_detail_does_not_depend_on_sign_or_place() -> None:
    stripes = torch.zeros(1, 1, 8, 8)
    stripes[..., ::2] = 1.0
    torch.testing.assert_close(detail(stripes), detail(1 - stripes))
    assert math.isclose(float(detail(stripes)[0, 0, 0, 0]), 1.0)


class Gradients:
    """Φ of one layer: the differences between neighbouring pixels."""

    def features(self, image: torch.Tensor) -> dict[str, torch.Tensor]:
        return {"differences": image[..., 1:] - image[..., :-1]}


def test_the_perceptual_loss_is_the_mean_squared_difference_of_the_features() -> None:
    image, target = torch.zeros(2, 3, 4, 4), torch.zeros(2, 3, 4, 4)
    image[..., 2:] = 0.5
    assert perceptual_loss(Gradients(), image, target).item() == pytest.approx(0.25 / 3)
    assert perceptual_loss(Gradients(), image, image).item() == 0.0


def test_phi_takes_part_at_the_full_resolution_only(tmp_path: Path) -> None:
    with_phi = recipe_of(settings(tmp_path, perceptual=1.0), phi=Gradients())
    images = torch.rand(4, 3, 16, 16, generator=torch.Generator().manual_seed(0)) * 2 - 1
    weight = torch.ones(4, 1, 16, 16)

    def loss(progress: float, phi: Gradients | None) -> float:
        rng = torch.Generator().manual_seed(1)
        return float(
            training_loss(with_phi.model, images, weight, with_phi.settings, progress, rng, phi).detach()
        )

    assert loss(0.3, Gradients()) == loss(0.3, None)
    assert loss(0.9, Gradients()) > loss(0.9, None)


def test_a_recipe_with_a_perceptual_loss_needs_phi(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="pie train perceptual"):
        train_generator(settings(tmp_path, perceptual=1.0), Discs(0), Discs(1), quiet)  # type: ignore[arg-type]
