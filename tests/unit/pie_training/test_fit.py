from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from pie_framework.api import Kind
from pie_framework.errors import ConfigError, RunError
from pie_framework.plugins import Registry, discover
from pie_framework.settings import merge
from pie_training import TrainerSettings
from pie_training.fit import fit, learning_rate_factor
from pie_training.readers import open_readers
from pie_training.running import read, reader_of


class Line:
    """Fit y = 2 x + 1."""

    def __init__(self) -> None:
        torch.manual_seed(0)
        self.module = nn.Linear(1, 1)
        self.saved: list[Path] = []

    def loss(self, rng: torch.Generator) -> Tensor:
        x = torch.rand(16, 1, generator=rng)
        loss: Tensor = (self.module(x) - 2 * x - 1).square().mean()
        return loss

    def evaluate(self) -> Mapping[str, float]:
        return {"slope": float(self.module.weight)}

    def save(self, path: Path, figures: Mapping[str, float]) -> None:
        self.saved.append(path)


def settings(folder: Path, steps: int = 40) -> TrainerSettings:
    return TrainerSettings(
        out=str(folder / "line.safetensors"), steps=steps, evaluate_every=20, learning_rate=0.5
    )


def quiet(line: str) -> None:
    pass


def test_it_learns_and_writes_the_curve(tmp_path: Path) -> None:
    recipe = Line()
    rows = fit(recipe, settings(tmp_path, 100), quiet)
    assert rows[-1]["step"] == 100
    assert rows[-1]["slope"] == pytest.approx(2.0, abs=0.1)
    with settings(tmp_path).curve_path.open() as stream:
        assert [int(row["step"]) for row in csv.DictReader(stream)] == [20 * i for i in range(1, 6)]
    assert recipe.saved[-1] == tmp_path / "line.safetensors"


def test_a_resumed_run_equals_one_that_was_never_interrupted(tmp_path: Path) -> None:
    whole = Line()
    fit(whole, settings(tmp_path), quiet)

    class Interrupted(Line):
        def loss(self, rng: torch.Generator) -> Tensor:
            self.calls = getattr(self, "calls", 0) + 1
            if self.calls > 27:
                raise KeyboardInterrupt
            return super().loss(rng)

    other = tmp_path / "other"
    with pytest.raises(KeyboardInterrupt):
        fit(Interrupted(), settings(other), quiet)
    resumed = Line()
    rows = fit(resumed, replace(settings(other), resume=True), quiet)
    assert torch.equal(resumed.module.weight, whole.module.weight)
    assert [row["step"] for row in rows] == [20, 40]


def test_resuming_without_a_state_and_a_loss_that_is_not_finite_are_explained(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="state"):
        fit(Line(), replace(settings(tmp_path), resume=True), quiet)

    class Broken(Line):
        def loss(self, rng: torch.Generator) -> Tensor:
            return super().loss(rng) * float("nan")

    with pytest.raises(RunError, match="step 0"):
        fit(Broken(), settings(tmp_path), quiet)


def test_time_budget_ends_the_run(tmp_path: Path) -> None:
    timed = TrainerSettings(out=str(tmp_path / "x.safetensors"), seconds=0.05, clock="cpu", evaluate_every=1)
    rows = fit(Line(), timed, quiet)
    assert len(rows) == 1
    assert rows[0]["seconds"] >= 0.05


def test_learning_rate_rises_then_falls_to_zero() -> None:
    assert learning_rate_factor(0.0) < 0.1
    assert learning_rate_factor(0.03) > 0.99
    assert learning_rate_factor(1.0) == pytest.approx(0.0)


def test_settings_are_checked() -> None:
    for wrong, said in (
        ({"clock": "sun"}, "clock: 'sun' is not one of its values"),
        ({"seconds": 0}, "seconds: 0 is too small. It is above 0"),
        ({"batch": 1}, "batch: 1 is too small. It is at least 2"),
        ({"evaluate_every": 0.0}, "evaluate_every: 0.0 is too small"),
    ):
        with pytest.raises(ConfigError, match=said):
            merge(TrainerSettings, wrong)
    with pytest.raises(ConfigError, match="dataset"):
        open_readers(TrainerSettings())
    for reader in ("nowhere:Reader", ""):
        with pytest.raises(ConfigError, match="reader"):
            open_readers(TrainerSettings(dataset="a", heldout="b", out="c", reader=reader))


def test_the_reader_is_the_one_that_a_recipe_for_portraits_declares() -> None:
    registry = discover()
    recipe = registry.get(Kind.TRAINER, "landmarks")
    assert read(recipe, [], registry)[0].reader == "pie_synthetic.dataset:PortraitDataset"
    assert read(recipe, ["reader=mine:Reader"], registry)[0].reader == "mine:Reader"
    assert reader_of(Registry()) == ""
