"""The embedded world from the command line: a short run of the main job, an edit, a kill, a sweep, bad input."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from PIL import Image

from pie_framework.cli.main import main
from pie_framework.runs.folder import RunFolder

SHORT = ("schedule.stages.0.steps=4", "schedule.stages.1.steps=4", "prior.pool=2", "schedule.check_every=2")
PHOTOS = Path(__file__).parents[3] / "shared" / "portraits"


def pie(folder: Path, *arguments: str, wait: bool = True) -> subprocess.Popen[str]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        [sys.executable, "-m", "pie_framework.cli.main", *arguments],
        cwd=folder,
        env=environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    if wait:
        process.wait(timeout=900)
    return process


def runs(folder: Path) -> list[Path]:
    outputs = folder / "outputs"
    return sorted(p.parent for p in outputs.glob("*/run.json")) if outputs.is_dir() else []


def test_the_main_job_then_an_edit_and_a_sweep(tmp_path: Path) -> None:
    done = pie(tmp_path, "run", "energy=full", "generator=stylegan2", *SHORT)
    assert done.returncode == 0, done.stderr.read() if done.stderr else ""
    (run,) = runs(tmp_path)
    manifest = RunFolder.open(run).read_manifest()
    assert manifest.outcome == "finished"
    assert {
        "synthesis.l2",
        "identity",
        "edit.landmark",
        "invariance.photometric",
        "recognition.edited",
    } <= set(manifest.energies["raw"])
    assert manifest.metrics["psnr"][0] > 15.0, "even eight steps reconstruct the main colours"
    with Image.open(run / "sheet.png") as sheet:
        assert sheet.width > 500

    edited = pie(tmp_path, "edit", str(run), "rotation.yaw=-10:10:3", "expression.smile=0.5", "name=turning")
    assert edited.returncode == 0, edited.stderr.read() if edited.stderr else ""
    record = json.loads((run / "edits" / "turning.json").read_text())
    assert len(record["frames"]) == 3
    yaws = [
        next(r["achieved"] for r in frame["readings"] if r["control"] == "rotation.yaw")
        for frame in record["frames"]
    ]
    assert yaws[0] < yaws[1] < yaws[2], "asking for more yaw turns the head further"


def test_kill_and_resume_is_bit_exact(tmp_path: Path) -> None:
    arguments = ("run", *SHORT, "schedule.stages.0.steps=6", "checkpoint_every=2", "edit=none")
    process = pie(tmp_path, *arguments, wait=False)
    deadline = time.monotonic() + 900
    while not list(tmp_path.glob("outputs/*/checkpoint.safetensors")):
        assert process.poll() is None, "the run ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    (killed,) = runs(tmp_path)
    assert RunFolder.open(killed).read_manifest().outcome == "running"
    resumed = pie(tmp_path, "run", f"resume={killed}")
    assert resumed.returncode == 0, resumed.stderr.read() if resumed.stderr else ""
    whole = pie(tmp_path, *arguments)
    assert whole.returncode == 0
    (other,) = (run for run in runs(tmp_path) if run != killed)
    assert (killed / "latent.safetensors").read_bytes() == (other / "latent.safetensors").read_bytes()


def test_a_sweep_makes_one_run_for_each_energy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["run", "-m", "energy=full,synth", *SHORT, "schedule.stages.0.steps=1", "edit=none"]) == 0
    terms = sorted(len(RunFolder.open(run).read_manifest().config["terms"]) for run in runs(tmp_path))
    assert terms == [1, 5]


@pytest.mark.parametrize("kind", ["text", "dot", "truncated", "no_face"])
def test_bad_input_is_one_line_and_status_2_and_leaves_nothing(
    tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    photo = tmp_path / "photo.jpg"
    if kind == "text":
        photo.write_text("this is no picture")
    elif kind == "dot":
        photo = tmp_path / "dot.png"
        Image.new("RGB", (1, 1)).save(photo)
    elif kind == "truncated":
        Image.radial_gradient("L").resize((400, 400)).convert("RGB").save(photo)
        photo.write_bytes(photo.read_bytes()[:1500])
    else:
        Image.linear_gradient("L").resize((400, 500)).convert("RGB").save(photo)
    assert main(["run", f"input={photo}", *SHORT]) == 2
    error = capsys.readouterr().err
    assert error.startswith("pie: error: ")
    assert len(error.strip().splitlines()) == 1
    assert "Traceback" not in error
    assert not (tmp_path / "outputs").exists()


@pytest.mark.skipif(
    not PHOTOS.is_dir(), reason=f"needs real photographs in {PHOTOS.parent.name}/{PHOTOS.name}"
)
def test_a_real_photo_runs_to_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    words = (*SHORT, "schedule.stages.0.steps=2", "edit.corrections=0", "paste_back=true")
    assert main(["run", f"input={PHOTOS / 'portrait_00.jpg'}", *words]) == 0
    (run,) = runs(tmp_path)
    with Image.open(PHOTOS / "portrait_00.jpg") as photo, Image.open(run / "pasted" / "smile.png") as pasted:
        assert photo.size == pasted.size
