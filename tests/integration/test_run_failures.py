"""What a run does when a component fails, and what observers are told of it, in the toy world."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from pie_framework.api import RigEditor
from pie_framework.api.events import ResultSaved, RunEnded, RunFailed, RunStarted, StepsDone
from pie_framework.composition import plan as plan_module
from pie_framework.composition.schema import RunConfig, parse
from pie_framework.errors import PluginError
from pie_framework.pipeline import Pipeline
from pie_framework.plugins import Registry, discover
from pie_framework.runs.folder import RunFolder
from pie_framework.runs.run import run_from_config
from pie_framework.testing.toy_plugin import TOYS

SHIPPED = ("energies", "optimizers", "starts", "alignment")
BLOCKS = ("rotation", "expression", "illumination")


class Watching:
    """Keeps every event."""

    def __init__(self) -> None:
        self.told: list[Any] = []

    def pie_run_started(self, event: RunStarted) -> None:
        self.told.append(event)

    def pie_steps_done(self, event: StepsDone) -> None:
        self.told.append(event)

    def pie_result_saved(self, event: ResultSaved) -> None:
        self.told.append(event)

    def pie_run_failed(self, event: RunFailed) -> None:
        self.told.append(event)

    def pie_run_ended(self, event: RunEnded) -> None:
        self.told.append(event)

    def kinds(self) -> list[str]:
        """Names of the events, a row of steps as one."""
        names = [type(event).__name__ for event in self.told]
        return [n for i, n in enumerate(names) if n != "StepsDone" or names[i - 1] != n]


@pytest.fixture
def watching(monkeypatch: pytest.MonkeyPatch) -> Watching:
    watch = Watching()
    points = [EntryPoint(name=n, value=f"pie_{n}.plugin", group="pie_framework") for n in SHIPPED]
    found = discover(entry_points=[*points, TOYS])
    told = Registry.observers
    monkeypatch.setattr(Registry, "observers", lambda self, *others: told(self, watch, *others))
    monkeypatch.setattr(plan_module, "discover", lambda: found)
    return watch


@pytest.fixture
def config(tmp_path: Path) -> Callable[..., RunConfig]:
    rng = np.random.default_rng(0)
    for i in range(2):
        Image.fromarray(rng.integers(90, 160, (16, 16, 3), dtype=np.uint8)).save(tmp_path / f"photo{i}.png")

    def make(**changes: Any) -> RunConfig:
        tree: dict[str, Any] = {
            "terms": {name: {"term": name} for name in ("synthesis", "identity")},
            **{k: {"name": "toy"} for k in ("generator", "face_model", "encoder", "editor", "landmarks")},
            "rig": {block: {"name": "toy", "block": block} for block in BLOCKS},
            "features": {"perceptual": "toy", "recognition": {"name": "toy", "seed": 3}},
            "aligner": "none",
            "optimizer": "adam",
            "schedule": {
                "stages": [{"name": "w", "space": "w", "steps": 12, "lr": 0.05}],
                "check_every": 4,
            },
            "edit": {"requests": {"turn": ["rotation.yaw=10"], "smile": ["expression.smile=0.5"]}},
            "input": str(tmp_path / "photo0.png"),
            "outputs": str(tmp_path / "outputs"),
            "seed": 5,
            "device": "cpu",
        }
        return parse({**tree, **changes})

    return make


def quiet() -> Console:
    return Console(quiet=True)


def only_run(tmp_path: Path) -> RunFolder:
    (path,) = (tmp_path / "outputs").iterdir()
    return RunFolder.open(path)


def test_a_run_tells_its_whole_story(
    tmp_path: Path, config: Callable[..., RunConfig], watching: Watching, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[str] = []
    wrote = RunFolder.write_manifest
    monkeypatch.setattr(
        RunFolder,
        "write_manifest",
        lambda self, manifest: (written.append(f"{len(watching.told)}"), wrote(self, manifest)),
    )
    assert run_from_config(config(), quiet()) == 0
    assert watching.kinds() == ["RunStarted", "StepsDone", "ResultSaved", "RunEnded"]
    started, saved, ended = watching.told[0], watching.told[-2], watching.told[-1]
    folder = only_run(tmp_path)
    assert started.folder == saved.folder == ended.folder == folder.path
    assert started.seed == 5 and started.portraits == 1
    assert started.inputs == (str(tmp_path / "photo0.png"),)
    assert started.stages == {"w": 12} and started.terms == ("synthesis", "identity")
    assert started.config["schedule"]["stages"][0]["steps"] == 12
    assert started.config["generator"]["name"] == "toy"
    assert started.choices["generator"] == "toy"
    assert started.choices["terms.identity"] == "identity"
    assert started.choices["rig.rotation"] == "toy"
    assert started.choices["optimizer"] == "adam" and started.choices["init"] == "mean"
    assert set(started.plugins) >= {"energies", "optimizers", "toys"}
    assert all(" " in origin for origin in started.plugins.values()), "distribution and version"
    assert saved.edits == ("turn", "smile")
    assert {"psnr", "ssim"} <= set(saved.metrics) and len(saved.metrics["psnr"]) == 1
    assert ended.outcome == "finished" and "all 12 steps" in ended.message
    assert written[-1] == f"{len(watching.told) - 2}", "saved and ended are told after everything is written"
    steps = [event for event in watching.told if isinstance(event, StepsDone)]
    assert [event.step for event in steps] == [4, 8, 12]
    assert all(event.running == 1 for event in steps)


def test_embedding_from_python_tells_the_end_too(
    config: Callable[..., RunConfig], watching: Watching, tmp_path: Path
) -> None:
    pipeline = Pipeline(config())
    pipeline.embed(tmp_path / "photo0.png")
    assert watching.kinds() == ["RunStarted", "StepsDone", "RunEnded"]
    assert watching.told[-1].outcome == "finished"
    assert watching.told[0].folder is None


def fails_after(monkeypatch: pytest.MonkeyPatch, calls: int, error: BaseException) -> None:
    from pie_energies.identity import IdentityPreservation

    original = IdentityPreservation.energy
    left = calls

    def energy(self: Any, view: Any, target: Any) -> Any:
        nonlocal left
        left -= 1
        if left < 0:
            raise error
        return original(self, view, target)

    monkeypatch.setattr(IdentityPreservation, "energy", energy)


@pytest.mark.parametrize("after", [0, 6])
def test_a_term_that_fails_keeps_the_last_good_latent(
    tmp_path: Path,
    config: Callable[..., RunConfig],
    watching: Watching,
    monkeypatch: pytest.MonkeyPatch,
    after: int,
) -> None:
    fails_after(monkeypatch, after, ArithmeticError("no more"))
    with pytest.raises(
        PluginError, match=r"the energy term 'identity' of .* failed: ArithmeticError"
    ) as caught:
        run_from_config(config(), quiet())
    assert caught.value.status == 1
    assert isinstance(caught.value.__cause__, PluginError), "--debug shows where"
    folder = only_run(tmp_path)
    manifest = folder.read_manifest()
    assert manifest.outcome == "failed"
    assert "ArithmeticError: no more" in manifest.message
    assert f"at step {after + 1} of stage 'w'" in manifest.message
    assert manifest.steps == after
    assert manifest.portraits == [{"outcome": "failed", "message": manifest.message, "undone": 0}]
    latent = folder.read_latent()
    assert latent.isfinite().all()
    assert bool(latent.abs().max() > 0) == (after > 0)
    assert (folder.path / "report.html").is_file() and (folder.path / "reconstruction.png").is_file()
    assert watching.kinds()[0] == "RunStarted"
    assert watching.kinds()[-3:] == ["RunFailed", "ResultSaved", "RunEnded"]
    assert "no more" in watching.told[-3].reason
    assert watching.told[-1].outcome == "failed" and "no more" in watching.told[-1].message


def test_of_two_portraits_the_healthy_one_is_finished(
    tmp_path: Path, config: Callable[..., RunConfig], watching: Watching, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pie_energies.identity import IdentityPreservation

    original = IdentityPreservation.energy
    Image.new("RGB", (16, 16), "white").save(tmp_path / "photo1.png")

    def picky(self: Any, view: Any, target: Any) -> Any:
        if bool((target.image > 0.99).all(dim=3).all(dim=2).all(dim=1).any()):
            raise ValueError("too white")
        return original(self, view, target)

    monkeypatch.setattr(IdentityPreservation, "energy", picky)
    with pytest.raises(PluginError, match=r"of 2 portraits 1 failed, 1 finished; portrait 1: .*too white"):
        run_from_config(config(input=[str(tmp_path / f"photo{i}.png") for i in range(2)]), quiet())
    manifest = only_run(tmp_path).read_manifest()
    assert [p["outcome"] for p in manifest.portraits] == ["finished", "failed"]
    assert len(manifest.energies["total"]) == 2
    assert manifest.energies["total"][0] is not None and manifest.energies["total"][1] is None


def test_an_edit_that_fails_costs_no_other(
    tmp_path: Path, config: Callable[..., RunConfig], watching: Watching, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = RigEditor.edit

    def edit(self: Any, latent: Any, before: Any, asked: Any, block: str) -> Any:
        return 1 / 0 if block == "rotation" else original(self, latent, before, asked, block)

    monkeypatch.setattr(RigEditor, "edit", edit)
    with pytest.raises(
        PluginError, match=r"the edit 'turn' failed: the editor 'toy' of .* ZeroDivisionError"
    ):
        run_from_config(config(), quiet())
    folder = only_run(tmp_path)
    assert folder.read_manifest().outcome == "failed"
    assert [record["name"] for record in folder.edits()] == ["smile"]
    assert watching.told[-2].edits == ("smile",)
    assert watching.told[-1].outcome == "failed"


@pytest.mark.parametrize("where", ["write_latent", "write_energies"])
def test_a_result_that_cannot_be_written_is_a_failed_run(
    tmp_path: Path,
    config: Callable[..., RunConfig],
    watching: Watching,
    monkeypatch: pytest.MonkeyPatch,
    where: str,
) -> None:
    def full(self: Any, *args: Any) -> None:
        raise OSError(28, "No space left on device", where)

    monkeypatch.setattr(RunFolder, where, full)
    with pytest.raises(OSError, match="No space"):
        run_from_config(config(), quiet())
    assert watching.kinds() == ["RunStarted", "StepsDone", "RunFailed", "RunEnded"]
    assert "No space left" in watching.told[-1].message
    assert only_run(tmp_path).read_manifest().outcome == "failed"


def test_what_fails_before_the_first_step_leaves_nothing_and_tells_nothing(
    tmp_path: Path, config: Callable[..., RunConfig], watching: Watching, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pie_starts.simple import Mean

    monkeypatch.setattr(Mean, "start", lambda self, networks, images, rng: 1 / 0)
    with pytest.raises(PluginError, match=r"the init 'mean' of .* failed in .*ZeroDivisionError"):
        run_from_config(config(), quiet())
    assert list((tmp_path / "outputs").iterdir()) == []
    assert watching.told == []


def test_an_interrupt_is_told_as_one(
    config: Callable[..., RunConfig], watching: Watching, monkeypatch: pytest.MonkeyPatch
) -> None:
    fails_after(monkeypatch, 3, KeyboardInterrupt())
    assert run_from_config(config(), quiet()) == 130
    assert watching.kinds()[-2:] == ["ResultSaved", "RunEnded"]
    assert watching.told[-1].outcome == "interrupted"


def test_metrics_are_of_the_portrait_as_it_was_given(
    tmp_path: Path, config: Callable[..., RunConfig], watching: Watching
) -> None:
    pipeline = Pipeline(config())
    embedding = pipeline.embed(tmp_path / "photo0.png")
    image = embedding.images.clone()
    problem = pipeline.problem(embedding.images)
    problem.target.image.zero_()
    assert (embedding.images == image).all()
    assert dataclasses.is_dataclass(embedding)
