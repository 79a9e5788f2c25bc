from __future__ import annotations

import csv
import os
import signal
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from pie_framework.errors import ConfigError, RunError
from pie_training import EngineSettings
from pie_training import estimate as estimates
from pie_training.engine import Engine
from pie_training.estimate import estimate, words
from pie_training.recipe import Notes, Phase, Progress, TrainingFiles, TrainingRecipe


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
        "estimate": False,
        **others,
    }
    return Settings(**values)


def run(
    folder: Path, recipe: TrainingRecipe | None = None, **others: Any
) -> tuple[Any, list[dict[str, float]]]:
    recipe = recipe or Line()
    return recipe, Engine(recipe, settings(**others), TrainingFiles.in_folder(folder), report=quiet).run()


def weights(recipe: Any) -> list[Tensor]:
    return [p.detach() for m in recipe.modules.values() for p in m.parameters()] + list(
        recipe.saved[-1].values()
    )


@pytest.mark.parametrize(
    "others", [{}, {"accumulate": 3, "precision": "bfloat16", "estimate": True}, {"patience": 50, "ema": 0.0}]
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
        engine = Engine(
            recipe, settings(accumulate=accumulate, clip=0.0), TrainingFiles.in_folder(tmp_path), report=quiet
        )
        engine.take_step(Progress(0, 0.0))
        grads.append(recipe.modules["up"].weight.grad)
    torch.testing.assert_close(grads[0], grads[1])


def test_averaged_weights_are_measured_and_saved(tmp_path: Path) -> None:
    recipe, rows = run(tmp_path, ema=5.0)
    saved = recipe.saved[-1]["weight"]
    assert not torch.equal(saved, recipe.modules["up"].weight)
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


def test_the_estimate_leaves_everything_as_it_was(tmp_path: Path) -> None:
    plain, _ = run(tmp_path / "plain")
    lines: list[str] = []
    recipe = Line()
    Engine(recipe, settings(estimate=True), TrainingFiles.in_folder(tmp_path), report=lines.append).run()
    for one, other in zip(weights(plain), weights(recipe), strict=True):
        assert torch.equal(one, other)
    assert lines[0].startswith("about ") and "for 24 steps" in lines[0] and "ms a step" in lines[0]
    assert recipe.prepared == 1
    Engine(Line(), settings(stop_at=6), TrainingFiles.in_folder(tmp_path / "parts"), report=quiet).run()
    resumed = settings(estimate=True, resume=True)
    Engine(Line(), resumed, TrainingFiles.in_folder(tmp_path / "parts"), report=lines.append).run()
    assert any("for 18 more steps" in line for line in lines)


def test_the_estimate_weighs_kinds_of_steps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = SimpleNamespace(seconds=5.0)
    monkeypatch.setattr(estimates, "now", lambda device: clock.seconds)

    class Slow(Line):
        def losses(self, progress: Progress, notes: Notes) -> Iterator[Tensor]:
            clock.seconds += 0.04 if progress.fraction > 0.5 else 0.01
            return super().losses(progress, notes)

        def phases(self) -> Sequence[Phase]:
            return [Phase(0.5, [(1.0, Progress(0, 0.0))]), Phase(0.5, [(1.0, Progress(0, 0.9))])]

        def setup(self) -> tuple[float, float, float]:
            return 100.0, 2.0, 1.0

    lines: list[str] = []
    files = TrainingFiles.in_folder(tmp_path)
    seconds, each = estimate(Engine(Slow(), settings(steps=1000), files, report=lines.append))
    assert seconds == pytest.approx(100 + 25)
    assert each == pytest.approx(25)
    assert "after 2 min of preparation" in lines[0]
    # Half of the time each: 100 quick steps a second and 25 slow ones, on average 62.5.
    estimate(Engine(Slow(), settings(steps=0, seconds=100), files, report=lines.append))
    count = int(lines[1].split(" are about ")[1].split()[0])
    assert count == 6250
    assert (words(40), words(720), words(9000)) == ("40 s", "12 min", "2.5 h")


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
    monkeypatch.setitem(__import__("sys").modules, "torch.utils.tensorboard", None)
    recipe = Line()
    with pytest.raises(ConfigError, match="pip install"):
        run(tmp_path, recipe, tensorboard=True)
    assert recipe.prepared == 0, "before time goes into samples"


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
            settings(**wrong)
    assert (Settings().seconds, Settings(steps=5).seconds, Settings(steps=5, seconds=9).seconds) == (60, 0, 9)
    run(tmp_path / "two", stop_at=3)
    state = torch.load(tmp_path / "two" / "state.pt", weights_only=True)
    state["ranks"] = state["ranks"] * 2
    torch.save(state, tmp_path / "two" / "state.pt")
    with pytest.raises(RunError, match="2 processes"):
        run(tmp_path / "two", resume=True)
