"""Whole runs in the toy world: folder, outcome, resume, batches, errors."""

from __future__ import annotations

import dataclasses
import io
import json
from collections.abc import Callable
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from rich.console import Console

from pie_framework import pipeline as pipeline_module
from pie_framework.composition import plan as plan_module
from pie_framework.composition.schema import RunConfig, parse
from pie_framework.errors import InputError, PieError, RunError
from pie_framework.optimisation.history import History
from pie_framework.optimisation.state import SolverState
from pie_framework.pipeline import Pipeline
from pie_framework.plugins import discover
from pie_framework.runs.folder import RunFolder
from pie_framework.runs.run import run_from_config
from pie_framework.testing.toy_plugin import TOYS

FIRST_PARTY = [
    EntryPoint(name=name, value=f"pie_{name}.plugin", group="pie_framework")
    for name in ("energies", "optimizers", "starts", "alignment")
]
BLOCKS = ("rotation", "expression", "illumination")


@pytest.fixture(autouse=True)
def toys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan_module, "discover", lambda: discover(entry_points=[*FIRST_PARTY, TOYS]))


@pytest.fixture
def photos(tmp_path: Path) -> list[Path]:
    rng = np.random.default_rng(0)
    paths = []
    for i in range(3):
        paths.append(tmp_path / f"photo{i}.png")
        Image.fromarray(rng.integers(90, 160, (32, 32, 3), dtype=np.uint8)).save(paths[-1])
    return paths


@pytest.fixture
def config(tmp_path: Path, photos: list[Path]) -> Callable[..., RunConfig]:
    def make(**changes: Any) -> RunConfig:
        tree: dict[str, Any] = {
            "terms": {
                name: {"term": name, "weight": 1.0}
                for name in ("synthesis", "identity", "edit", "invariance", "recognition")
            },
            **{
                kind: {"name": "toy"}
                for kind in ("generator", "face_model", "encoder", "editor", "landmarks")
            },
            "rig": {block: {"name": "toy", "block": block} for block in BLOCKS},
            "features": {"perceptual": {"name": "toy"}, "recognition": {"name": "toy", "seed": 3}},
            "aligner": {"name": "none"},
            "optimizer": {"name": "adam"},
            "schedule": {
                "stages": [
                    {"name": "w", "space": "w", "steps": 12, "lr": 0.05},
                    {"name": "w_plus", "space": "w_plus", "steps": 8, "lr": 0.02},
                ],
                "check_every": 4,
            },
            "edit": {"requests": {"turn": ["rotation.yaw=10"], "smile": ["expression.smile=0.5"]}},
            "prior": {"pool": 4},
            "input": str(photos[0]),
            "outputs": str(tmp_path / "outputs"),
            "device": "cpu",
            "checkpoint_every": 4,
        }
        return parse({**tree, **changes})

    return make


def quiet() -> Console:
    return Console(quiet=True)


def runs(tmp_path: Path) -> list[Path]:
    return sorted((tmp_path / "outputs").iterdir()) if (tmp_path / "outputs").exists() else []


def test_a_run_leaves_everything_needed_to_go_on(tmp_path: Path, config: Callable[..., RunConfig]) -> None:
    assert run_from_config(config(), quiet()) == 0
    (path,) = runs(tmp_path)
    names = {str(p.relative_to(path)) for p in path.rglob("*") if p.is_file()}
    assert {
        "run.json",
        "latent.safetensors",
        "checkpoint.safetensors",
        "input.png",
        "reconstruction.png",
        "sheet.png",
        "energies.csv",
        "report.html",
        "edits/turn.png",
        "edits/smile.png",
    } <= names
    assert not [name for name in names if Path(name).name.startswith(".")], "no temporary file is left"
    manifest = RunFolder.open(path).read_manifest()
    assert manifest.outcome == "finished"
    assert manifest.steps == 20
    assert set(manifest.energies["raw"]) >= {
        "synthesis.l2",
        "identity",
        "edit.landmark",
        "recognition.edited",
    }
    assert {"psnr", "ssim", "identity_similarity"} <= set(manifest.metrics)
    assert {entry["kind"] for entry in manifest.plugins} >= {"generator", "rig", "energy"}
    assert len((path / "energies.csv").read_text().splitlines()) == 21
    edit = json.loads((path / "edits" / "turn.json").read_text())["frames"][0]["readings"][0]
    assert edit["asked"] == pytest.approx(10.0, abs=1e-3)
    assert edit["achieved"] == pytest.approx(10.0, abs=1e-2), "the toy rig does exactly what it is asked"


def test_without_steps_the_result_is_what_the_inverter_says(
    tmp_path: Path, config: Callable[..., RunConfig]
) -> None:
    stages = [{"name": "w_plus", "space": "w_plus", "steps": 0, "lr": 0.04}]
    settings = config(init="inverter", inverter={"name": "toy"}, schedule={"stages": stages})
    assert run_from_config(settings, quiet()) == 0
    (path,) = runs(tmp_path)
    folder = RunFolder.open(path)
    manifest = folder.read_manifest()
    assert (manifest.outcome, manifest.steps, manifest.energies) == ("finished", 0, {})
    assert "no step" in manifest.message
    assert {entry["kind"] for entry in manifest.plugins} >= {"inverter"}
    pipeline = Pipeline(settings)
    images = pipeline.images([pipeline.portrait(str(settings.input))])
    torch.testing.assert_close(folder.read_latent(), pipeline.networks.need_inverter().invert(images))
    assert folder.read_energies() == []
    assert folder.read_checkpoint(torch.device("cpu"))[0].total_steps == 0
    assert "no step" in (path / "report.html").read_text()
    edit = json.loads((path / "edits" / "turn.json").read_text())["frames"][0]["readings"][0]
    assert edit["achieved"] == pytest.approx(10.0, abs=1e-2)
    assert run_from_config(config(resume=str(path)), quiet()) == 0, "a complete run is left as it is"


def test_same_seed_same_latent_and_two_runs_never_share_a_folder(
    tmp_path: Path, config: Callable[..., RunConfig]
) -> None:
    for seed in (1, 1, 2):
        run_from_config(config(seed=seed), quiet())
    latents = [RunFolder.open(path).read_latent() for path in runs(tmp_path)]
    assert len(latents) == 3
    same = [torch.equal(latents[0], latents[1]), torch.equal(latents[0], latents[2])]
    assert same == [True, False]


def test_resume_after_a_kill_is_bit_exact(
    tmp_path: Path, config: Callable[..., RunConfig], monkeypatch: pytest.MonkeyPatch
) -> None:
    run_from_config(config(), quiet())
    (whole,) = runs(tmp_path)

    class Killed(BaseException):
        pass

    original = pipeline_module.solve

    def killed(problem: Any, state: Any, history: Any, every: int, on_check: Any, stop: Any) -> Any:
        def check(state: SolverState, history: History) -> None:
            on_check(state, history)
            if state.total_steps >= 8:
                raise Killed

        return original(problem, state, history, every, check, stop)

    monkeypatch.setattr(pipeline_module, "solve", killed)
    with pytest.raises(Killed):
        run_from_config(config(), quiet())
    monkeypatch.setattr(pipeline_module, "solve", original)
    (left,) = [path for path in runs(tmp_path) if path != whole]
    assert RunFolder.open(left).read_manifest().outcome == "running"
    assert not (left / "latent.safetensors").exists()
    assert run_from_config(config(resume=str(left)), quiet()) == 0
    assert torch.equal(RunFolder.open(left).read_latent(), RunFolder.open(whole).read_latent())
    assert (left / "energies.csv").read_text() == (whole / "energies.csv").read_text()
    assert run_from_config(config(resume=str(left)), quiet()) == 0, "a complete run stays as it is"


def test_several_portraits_come_out_as_alone(
    tmp_path: Path, config: Callable[..., RunConfig], photos: list[Path]
) -> None:
    assert run_from_config(config(input=[str(p) for p in photos]), quiet()) == 0
    (path,) = runs(tmp_path)
    together = RunFolder.open(path).read_latent()
    assert together.shape[0] == 3
    assert (path / "reconstruction_02.png").is_file()
    for i, photo in enumerate(photos):
        alone = Pipeline(config(input=str(photo))).embed(photo).latent
        torch.testing.assert_close(alone[0], together[i], rtol=1e-4, atol=1e-5)


def test_bad_input_leaves_no_folder(tmp_path: Path, config: Callable[..., RunConfig]) -> None:
    (tmp_path / "text.jpg").write_text("no picture")
    for bad in ("text.jpg", "missing.jpg"):
        with pytest.raises(InputError):
            run_from_config(config(input=str(tmp_path / bad)), quiet())
    assert runs(tmp_path) == []


def test_what_cannot_be_read_or_written_is_found_before_anything_is_loaded(
    tmp_path: Path, config: Callable[..., RunConfig], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Pipeline, "networks", property(lambda self: pytest.fail("networks were loaded")))
    with pytest.raises(InputError, match="no file"):
        run_from_config(config(input=str(tmp_path / "missing.jpg")), quiet())
    (tmp_path / "file").write_text("in the way")
    for outputs in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(RunError, match="is not a folder"):
            run_from_config(config(outputs=str(outputs)), quiet())
    monkeypatch.setattr("os.access", lambda path, mode: False)
    with pytest.raises(RunError, match="may not be written to"):
        run_from_config(config(outputs=str(tmp_path / "new" / "place")), quiet())
    assert not (tmp_path / "new").exists()


def test_a_missing_requirement_is_found_before_anything_is_loaded(
    tmp_path: Path, config: Callable[..., RunConfig]
) -> None:
    with pytest.raises(PieError, match="rig"):
        run_from_config(config(rig={}), quiet())
    assert runs(tmp_path) == []


def test_non_finite_and_interrupted_runs_are_kept(
    tmp_path: Path, config: Callable[..., RunConfig], monkeypatch: pytest.MonkeyPatch
) -> None:
    from pie_energies.identity import IdentityPreservation

    original = IdentityPreservation.energy
    calls = 0

    def interrupting(self: Any, view: Any, target: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == 7:
            raise KeyboardInterrupt
        return original(self, view, target)

    monkeypatch.setattr(IdentityPreservation, "energy", interrupting)
    said = io.StringIO()
    assert run_from_config(config(), Console(file=said, width=1000)) == 130
    assert f"go on with: pie run resume={runs(tmp_path)[0]}" in said.getvalue()
    monkeypatch.setattr(
        IdentityPreservation, "energy", lambda self, view, target: original(self, view, target) * float("nan")
    )
    assert run_from_config(config(), quiet()) == 1
    first, second = (RunFolder.open(path) for path in runs(tmp_path))
    assert (first.read_manifest().outcome, second.read_manifest().outcome) == ("interrupted", "non-finite")
    assert first.read_manifest().steps == 6
    assert "identity" in second.read_manifest().message
    for folder in (first, second):
        assert folder.read_latent().isfinite().all()
        assert (folder.path / "report.html").is_file()


def test_paste_back_writes_full_size_photos(tmp_path: Path, config: Callable[..., RunConfig]) -> None:
    run_from_config(config(paste_back=True), quiet())
    (path,) = runs(tmp_path)
    with Image.open(path / "pasted" / "turn.png") as pasted:
        assert pasted.size == (32, 32)


def test_observers_are_told(config: Callable[..., RunConfig], photos: list[Path]) -> None:
    told: list[Any] = []

    class Watching:
        def pie_run_started(self, event: Any) -> None:
            told.append(dataclasses.asdict(event))

        def pie_steps_done(self, event: Any) -> None:
            told.append((event.stage, event.step, event.total))

    pipeline = Pipeline(config())
    pipeline.embed(photos[0], observers=pipeline.registry.observers(Watching()))
    assert told[0]["stages"] == {"w": 12, "w_plus": 8}
    assert [entry[:2] for entry in told[1:]] == [("w", 4), ("w", 8), ("w", 12), ("w_plus", 4), ("w_plus", 8)]
