from __future__ import annotations

import csv
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from pie_framework.errors import ConfigError, RunError
from pie_framework.settings import merge
from pie_training import EngineSettings
from pie_training.engine import Engine
from pie_training.processes import start
from pie_training.recipe import Notes, Progress, TrainingFiles, TrainingRecipe

ROOT = Path(__file__).parents[3]


@dataclass(frozen=True)
class Settings(EngineSettings):
    usual_seconds: ClassVar[float] = 60.0


class Line(TrainingRecipe):
    """Fit y = 2 x + 1 with noise; a second network learns the opposite."""

    validation = "error"

    def __init__(self, rate: float = 0.05, batch: int = 8) -> None:
        self.rng = torch.Generator().manual_seed(1)
        torch.manual_seed(0)
        self.modules = {"up": nn.Linear(1, 1), "down": nn.Linear(1, 1)}
        self.optimizer = torch.optim.Adam([p for m in self.modules.values() for p in m.parameters()], lr=rate)
        self.rate, self.batch, self.steps_seen, self.prepared = rate, batch, 0, 0
        self.saved: list[dict[str, Tensor]] = []

    def prepare(self, resumed: bool) -> None:
        self.prepared += 1

    def losses(self, progress: Progress, notes: Notes) -> Iterator[Tensor]:
        self.steps_seen += 1
        x = torch.rand(self.batch, 1, generator=self.rng)
        y = 2 * x + 1 + 0.1 * torch.randn(self.batch, 1, generator=self.rng)
        for sign, module in zip((1, -1), self.modules.values(), strict=True):
            loss = (module(x) - sign * y).square().mean()
            notes.add("mean_loss", loss)
            yield loss

    def learning_rate(self, progress: Progress) -> float:
        return self.rate * (1 - progress.fraction) + 1e-4

    def measure(self) -> Mapping[str, float]:
        up = self.modules["up"]
        assert not up.training
        return {"error": float((up(torch.ones(1, 1)) - 3).abs()), "slope": float(up.weight)}

    def save(self, figures: Mapping[str, float]) -> None:
        self.saved.append({k: v.clone() for k, v in self.modules["up"].state_dict().items()})

    def sheet(self) -> Tensor:
        return torch.zeros(3, 4, 6)

    def state_dict(self) -> dict[str, Any]:
        return {"steps_seen": self.steps_seen}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.steps_seen = int(state["steps_seen"])


def quiet(_: str) -> None:
    pass


def settings(**others: Any) -> Settings:
    values = {
        "steps": 24,
        "measure_every": 6,
        "precision": "float32",
        "ema": 3.0,
        **others,
    }
    return Settings(**values)


def run(
    folder: Path, recipe: TrainingRecipe | None = None, **others: Any
) -> tuple[Any, list[dict[str, float]]]:
    recipe = recipe or Line()
    return recipe, start_and_run(folder, recipe, settings(**others))


def engine_of(
    folder: Path, recipe: TrainingRecipe, chosen: Settings, report: Callable[[str], None] = quiet
) -> Engine:
    return Engine(recipe, chosen, TrainingFiles.in_folder(folder), start(chosen, "cpu", folder), report)


def start_and_run(
    folder: Path, recipe: TrainingRecipe, chosen: Settings, report: Callable[[str], None] = quiet
) -> list[dict[str, float]]:
    return engine_of(folder, recipe, chosen, report).run()


def weights(recipe: Any) -> list[Tensor]:
    return [p.detach() for m in recipe.modules.values() for p in m.parameters()] + list(
        recipe.saved[-1].values()
    )


@pytest.mark.parametrize(
    "others", [{}, {"accumulate": 3, "precision": "bfloat16"}, {"patience": 50, "ema": 0.0}]
)
def test_a_resumed_training_equals_one_that_was_never_interrupted(
    tmp_path: Path, others: dict[str, Any]
) -> None:
    whole, rows = run(tmp_path / "whole", **others)
    run(tmp_path / "parts", stop_at=10, **others)
    parts, resumed = run(tmp_path / "parts", resume=True, **others)
    for one, other in zip(weights(whole), weights(parts), strict=True):
        assert torch.equal(one, other)
    assert whole.steps_seen == parts.steps_seen == 24 * others.get("accumulate", 1)
    curves = []
    for name in ("whole", "parts"):
        with (tmp_path / name / "curve.csv").open() as file:
            curves.append([{k: v for k, v in r.items() if k != "seconds"} for r in csv.DictReader(file)])
    assert curves[0] == curves[1]
    assert rows[-1]["error"] == resumed[-1]["error"]


def test_accumulated_batches_have_the_gradient_of_their_union(tmp_path: Path) -> None:
    class Fixed(Line):
        def losses(self, progress: Progress, notes: Notes) -> Iterator[Tensor]:
            rows = torch.arange(self.batch) + self.batch * (self.steps_seen % (12 // self.batch))
            self.steps_seen += 1
            x = (rows.float() / 12)[:, None]
            yield (self.modules["up"](x) - x.sin()).square().mean()

    grads = []
    for batch, accumulate in ((12, 1), (4, 3)):
        recipe = Fixed(batch=batch)
        engine = engine_of(tmp_path, recipe, settings(accumulate=accumulate, clip=0.0))
        engine.take_step(Progress(0, 0.0))
        grads.append(recipe.modules["up"].weight.grad)
    torch.testing.assert_close(grads[0], grads[1])


def test_averaged_weights_are_measured_and_saved(tmp_path: Path) -> None:
    recipe, rows = run(tmp_path, ema=5.0)
    saved = recipe.saved[-1]["weight"]
    assert torch.equal(saved, recipe.modules["up"].weight)
    trained = torch.load(tmp_path / "state.pt", weights_only=True)["networks"]["up.weight"]
    assert not torch.equal(saved, trained)
    assert rows[-1]["slope"] == pytest.approx(float(saved))
    plain, rows = run(tmp_path / "plain", ema=0.0)
    assert torch.equal(plain.saved[-1]["weight"], plain.modules["up"].weight)
    assert rows[-1]["slope"] == float(plain.modules["up"].weight.detach())


def test_it_stops_when_nothing_gets_better_and_keeps_the_best(tmp_path: Path) -> None:
    class Worse(Line):
        figures: ClassVar[list[float]] = [9.0, 5.0, 4.0, 6.0, 7.0, 1.0]

        def measure(self) -> Mapping[str, float]:
            return {"error": self.figures[min(self.steps_seen // 6, 5)]}

    recipe, rows = run(tmp_path, Worse(), patience=2, steps=60)
    assert [row["error"] for row in rows] == [9.0, 5.0, 4.0, 6.0, 7.0]
    # Saved at every measurement, and the best again in the end.
    assert len(recipe.saved) == 5
    assert all(torch.equal(recipe.saved[-1][name], recipe.saved[1][name]) for name in recipe.saved[1])
    again, rows = run(tmp_path, Worse(), patience=2, steps=60, resume=True)
    assert again.steps_seen == recipe.steps_seen
    assert all(torch.equal(again.saved[-1][name], recipe.saved[1][name]) for name in recipe.saved[1])


def test_ctrl_c_keeps_the_state(tmp_path: Path) -> None:
    class Interrupted(Line):
        def losses(self, progress: Progress, notes: Notes) -> Iterator[Tensor]:
            if self.steps_seen == 8:
                os.kill(os.getpid(), signal.SIGINT)
            return super().losses(progress, notes)

    whole, _ = run(tmp_path / "whole")
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt, match="step 9 is kept"):
        run(tmp_path / "parts", Interrupted())
    assert signal.getsignal(signal.SIGINT) is before
    parts, _ = run(tmp_path / "parts", resume=True)
    for one, other in zip(weights(whole), weights(parts), strict=True):
        assert torch.equal(one, other)


def test_lines_say_how_long_it_will_still_take(tmp_path: Path) -> None:
    lines: list[str] = []
    chosen = settings()
    start_and_run(tmp_path, Line(), chosen, lines.append)
    assert [" left 0:" in line for line in lines] == [False, True, True, True, False]
    assert lines[1].startswith("step 6 ")


def test_sheets_and_events_are_written(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    run(tmp_path, sheet_every=10, tensorboard=True)
    assert sorted(p.name for p in (tmp_path / "sheets").iterdir()) == [
        "0000010.png",
        "0000020.png",
        "0000024.png",
    ]
    assert Image.open(tmp_path / "sheet.png").size == (6, 4)
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    assert [event.step for event in events.Scalars("error")] == [0, 6, 12, 18, 24]
    assert [event.step for event in events.Images("sheet")] == [10, 20, 24]


def test_without_tensorboard_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("accelerate.utils.is_tensorboard_available", lambda: False)
    recipe = Line()
    with pytest.raises(ConfigError, match="pip install"):
        run(tmp_path, recipe, tensorboard=True)
    assert recipe.prepared == 0, "before time goes into samples"


def test_without_accelerate_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "accelerate", None)
    with pytest.raises(ConfigError, match=r"needs Accelerate.*pip install 'pie-framework\[train\]'"):
        run(tmp_path)


def test_networks_can_be_used_without_accelerate() -> None:
    """Neither the plugins' declarations nor the recipes import it, only a training that starts."""
    recipes = (
        "pie_mofa.training, pie_stylerig.training, pie_stylegan.component, pie_features.recognition_training"
    )
    code = f"import sys, {recipes}, pie_framework.plugins as p; p.discover(); sys.exit('accelerate' in sys.modules)"
    paths = os.pathsep.join([str(ROOT), str(ROOT / "plugins")])
    subprocess.run([sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": paths}, check=True)


def test_a_training_that_starts_again_has_a_curve_of_its_own(tmp_path: Path) -> None:
    for _ in range(2):
        run(tmp_path)
        with (tmp_path / "curve.csv").open() as file:
            assert [row["step"] for row in csv.DictReader(file)] == ["0", "6", "12", "18", "24"]


@pytest.mark.parametrize(
    "content", [b"", b"hello", b"\x80\x02]q", b"PK\x03\x04", b"cos\nsystem\n(S'true'\ntR."]
)
def test_a_state_that_is_none_is_one_error(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "state.pt").write_bytes(content)
    with pytest.raises(RunError, match="cannot be read as a training state"):
        run(tmp_path, resume=True)


def test_a_state_of_other_networks_is_refused(tmp_path: Path) -> None:
    run(tmp_path, stop_at=3)
    state = torch.load(tmp_path / "state.pt", weights_only=True)
    other = Line()
    other.modules = {"up": nn.Linear(2, 1), "down": nn.Linear(1, 1)}
    with pytest.raises(RunError, match=r"does not fit.*up\.weight"):
        run(tmp_path, other, resume=True)
    torch.save({**state, "ranks": [None]}, tmp_path / "state.pt")
    with pytest.raises(RunError, match="does not fit"):
        run(tmp_path, resume=True)


def test_a_loss_that_is_not_finite_leaves_the_weights(tmp_path: Path) -> None:
    class Broken(Line):
        def losses(self, progress: Progress, notes: Notes) -> Iterator[Tensor]:
            for loss in super().losses(progress, notes):
                yield loss * (float("nan") if progress.step == 3 else 1.0)

    recipe = Broken()
    with pytest.raises(RunError, match="step 3"):
        run(tmp_path, recipe)
    assert all(torch.isfinite(p).all() for m in recipe.modules.values() for p in m.parameters())


def test_settings_are_checked(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="GPU"):
        run(tmp_path, precision="float16")
    for wrong, message in (
        ({"precision": "int8"}, "precision"),
        ({"accumulate": 0}, "accumulate"),
        ({"clock": "sun"}, "clock"),
        ({"patience": -1}, "patience"),
        ({"steps": 0, "seconds": 0}, "limit"),
    ):
        with pytest.raises(ConfigError, match=message):
            merge(Settings, {"steps": 5, **wrong})
    assert (Settings().seconds, Settings(steps=5).seconds, Settings(steps=5, seconds=9).seconds) == (60, 0, 9)
    run(tmp_path / "two", stop_at=3)
    state = torch.load(tmp_path / "two" / "state.pt", weights_only=True)
    state["ranks"] = state["ranks"] * 2
    torch.save(state, tmp_path / "two" / "state.pt")
    with pytest.raises(RunError, match="2 processes"):
        run(tmp_path / "two", resume=True)
