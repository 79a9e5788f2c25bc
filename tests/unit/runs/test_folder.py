"""The run folder: never shared, never half written, readable errors."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch

from pie_framework.errors import RunError
from pie_framework.optimisation.history import History, HistoryRow
from pie_framework.optimisation.state import SolverState
from pie_framework.runs.folder import SCHEMA_VERSION, Manifest, RunFolder

CPU = torch.device("cpu")


def new_run(path: Path) -> RunFolder:
    run = RunFolder.create(path)
    run.keep()
    run.write_manifest(Manifest(config={"seed": 3}, seed=3, outcome="finished", metrics={"psnr": [20.0]}))
    return run


def test_two_runs_never_share_a_folder(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        runs = list(pool.map(lambda _: RunFolder.create(tmp_path / "outputs" / "run"), range(16)))
    assert len({run.path for run in runs}) == 16
    assert all(run.path.is_dir() for run in runs)
    assert (tmp_path / "outputs" / "run").is_dir()
    assert (tmp_path / "outputs" / "run-2").is_dir()


def test_a_run_that_cannot_start_leaves_nothing(tmp_path: Path) -> None:
    def fail() -> None:
        with RunFolder.create(tmp_path / "run") as run:
            run.write_latent(torch.zeros(1, 2, 3))
            raise KeyError("bad input")

    with pytest.raises(KeyError):
        fail()
    assert not list(tmp_path.iterdir())


def test_a_kept_folder_stays(tmp_path: Path) -> None:
    def interrupted() -> None:
        with RunFolder.create(tmp_path / "run") as run:
            run.keep()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert (tmp_path / "run").is_dir()


def test_manifest_round_trip(tmp_path: Path) -> None:
    run = new_run(tmp_path / "run")
    manifest = RunFolder.open(run.path).read_manifest()
    assert (manifest.seed, manifest.outcome, manifest.metrics) == (3, "finished", {"psnr": [20.0]})
    assert RunFolder.open(run.path / "run.json").path == run.path


def test_latent_and_checkpoint_keep_every_bit(tmp_path: Path) -> None:
    run = new_run(tmp_path / "run")
    latent = torch.randn(2, 4, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    run.write_latent(latent)
    assert torch.equal(run.read_latent(), latent)
    fault, moved = torch.tensor([0, 1]), torch.tensor([True, False])
    state = SolverState(latent, (latent[:, :1],), fault, undone=fault, moved=moved, step=7, total_steps=9)
    history = History([HistoryRow("w", 7, (0, 1), [0.1, 0.2], {"a": [0.1, 0.2]}, {"a": 1.0})])
    run.write_checkpoint(state, history)
    read, energies = run.read_checkpoint(CPU)
    assert torch.equal(read.variable, latent) and torch.equal(read.optimizer[0], latent[:, :1])
    assert (read.step, read.total_steps) == (7, 9)
    assert energies == history


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "not a run folder"),
        ("{", "not valid JSON"),
        ("[]", "not the manifest"),
        ('{"config": {}}', "not the manifest"),
        (json.dumps({"schema_version": SCHEMA_VERSION + 1, "config": {}}), "newer"),
        (json.dumps({"schema_version": 1}), "damaged"),
        (json.dumps({"schema_version": 1, "config": {}, "metrics": [1]}), "metrics"),
        ("\udce9", "not UTF-8"),
    ],
)
def test_unusable_manifests(tmp_path: Path, content: str | None, message: str) -> None:
    if content is not None:
        (tmp_path / "run.json").write_bytes(content.encode("utf-8", "surrogateescape"))
    with pytest.raises(RunError, match=message):
        RunFolder.open(tmp_path)


def test_missing_and_damaged_files(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="no run folder"):
        RunFolder.open(tmp_path / "nowhere")
    run = new_run(tmp_path / "run")
    with pytest.raises(RunError, match="no file"):
        run.read_latent()
    with pytest.raises(RunError, match="no checkpoint"):
        run.read_checkpoint(CPU)
    run.write_latent(torch.zeros(1, 2, 3))
    file = run.file("latent.safetensors")
    file.write_bytes(file.read_bytes()[:-5])
    with pytest.raises(RunError, match="damaged"):
        run.read_latent()


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(RunError, match="cannot make"):
        RunFolder.create(tmp_path / "file" / "run")


def test_pictures_of_one_and_of_several_portraits(tmp_path: Path) -> None:
    one, many = new_run(tmp_path / "one"), new_run(tmp_path / "many")
    one.write_picture("input.png", torch.zeros(3, 4, 4))
    for index in range(3):
        many.write_picture("input.png", torch.zeros(3, 4, 4), index)
    assert [path.name for path in one.pictures("input")] == ["input.png"]
    assert [path.name for path in many.pictures("input")] == ["input_00.png", "input_01.png", "input_02.png"]


def test_energies_are_means_over_the_portraits(tmp_path: Path) -> None:
    rows = [
        HistoryRow("w", 1, (0, 1), [3.0, 5.0], {"a": [1.0, 3.0], "b": [2.0, 2.0]}, {"a": 1.0, "b": 1.0}),
        HistoryRow("w+", 1, (0, 1), [1.0, 1.0], {"a": [1.0, 1.0]}, {"a": 0.5}),
    ]
    run = new_run(tmp_path / "run")
    assert run.read_energies() == []
    run.write_energies(History(rows))
    first, second = run.read_energies()
    columns = ["step", "stage", "stage_step", "total", "raw.a", "raw.b", "weighted.a", "weighted.b"]
    assert list(first) == columns
    assert (first["total"], first["raw.a"], first["weighted.b"]) == ("4.0", "2.0", "2.0")
    assert list(second.values()) == ["2", "w+", "1", "1.0", "1.0", "", "0.5", ""]
