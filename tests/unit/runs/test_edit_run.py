"""`pie edit` on a run of the toy world."""

from __future__ import annotations

import json
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest
import torch

from pie_framework.cli.main import main
from pie_framework.plugins import discover
from pie_framework.runs.folder import Manifest, RunFolder
from pie_framework.testing.toy_plugin import TOYS

CONFIG = {
    **{kind: {"name": "toy"} for kind in ("generator", "face_model", "encoder", "editor", "landmarks")},
    "rig": {block: {"name": "toy", "block": block} for block in ("rotation", "expression", "illumination")},
    "features": {"recognition": {"name": "toy", "seed": 3}},
    "aligner": {"name": "none"},
    "schedule": {"stages": [{"name": "w", "space": "w", "steps": 1, "lr": 1.0}]},
    "device": "cpu",
}


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunFolder:
    names = ("optimizers", "starts")
    shipped = [EntryPoint(name=n, value=f"pie_{n}.plugin", group="pie_framework") for n in names]
    registry = discover(entry_points=[*shipped, TOYS])
    monkeypatch.setattr("pie_framework.composition.plan.discover", lambda: registry)
    folder = RunFolder.create(tmp_path / "run")
    folder.keep()
    folder.write_manifest(Manifest(config=CONFIG, inputs=["photo.jpg"], outcome="finished"))
    width = 44
    folder.write_latent(0.1 * torch.randn(1, 4, width, generator=torch.Generator().manual_seed(0)))
    for name in ("input.png", "reconstruction.png"):
        folder.write_picture(name, torch.zeros(3, 16, 16))
    return folder


def test_an_edit_is_written_and_told(run: RunFolder, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["edit", str(run.path), "rotation.yaw=15", "expression.smile=0.8", "name=both"]) == 0
    out = capsys.readouterr().out
    assert "rotation.yaw" in out
    assert "15.0°" in out
    assert str(run.file("edits/both.png")) in out.replace("\n", "")
    record = json.loads(run.file("edits/both.json").read_text())
    frame = record["frames"][0]
    assert [r["achieved"] for r in frame["readings"]] == pytest.approx([15.0, 0.8], abs=1e-3)
    assert frame["identity_similarity"] is not None
    assert "both" in run.file("report.html").read_text(encoding="utf-8")
    assert run.file("sheet.png").is_file()


def test_names_of_controls_are_never_cut_short(
    run: RunFolder, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "70")
    assert main(["edit", str(run.path), "illumination.from=left"]) == 0
    assert "illumination.direction " in capsys.readouterr().out


def test_a_sweep_elsewhere_leaves_the_run_alone(run: RunFolder, tmp_path: Path) -> None:
    before = sorted(path.name for path in run.path.iterdir())
    assert main(["edit", str(run.path), "rotation.yaw=-20:20:3", "name=turn", f"out={tmp_path / 'o'}"]) == 0
    assert sorted(path.name for path in run.path.iterdir()) == before
    written = {path.name for path in (tmp_path / "o").iterdir()}
    assert written == {
        "turn.json",
        "turn.gif",
        "turn.webp",
        "turn_strip.png",
        "turn.safetensors",
        "turn_frames",
    }


def test_list_shows_the_controls(run: RunFolder, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["edit", str(run.path), "--list"]) == 0
    out = capsys.readouterr().out
    assert "expression.blink" in out
    assert "illumination.azimuth" in out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["rotation.yaw=x"], "not a number"),
        (["rotation.yav=1"], "rotation.yaw"),
        (["rotation.yaw=1", "portrait=3"], "this run has 1"),
        (["rotation.yaw=1", "device=tpu"], "tpu"),
        (["rotation.yaw=0:1:2", "paste_back=true"], "sweeps"),
        (["source=/nowhere.jpg"], "nowhere"),
    ],
)
def test_what_is_impossible_is_one_line_and_status_2(
    run: RunFolder, capsys: pytest.CaptureFixture[str], words: list[str], message: str
) -> None:
    assert main(["edit", str(run.path), *words]) == 2
    said = capsys.readouterr().err.strip()
    assert message in said
    assert "\n" not in said
    assert not run.file("edits").exists()


def test_folders_that_are_no_runs(run: RunFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["edit", str(tmp_path / "nowhere"), "rotation.yaw=1"]) == 2
    run.write_latent(torch.zeros(1, 4, 7))
    assert main(["edit", str(run.path), "rotation.yaw=1"]) == 2
    assert "its generator takes" in capsys.readouterr().err
