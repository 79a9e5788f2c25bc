"""`pie bench` in the embedded world: the truth scores perfectly, a wrong edit worse than none, tables are complete."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch

from pie_bench.columns import COLUMNS
from pie_bench.measure import Judge, measure
from pie_bench.results import read_rows
from pie_framework.api import Kind, KnownPortraits
from pie_framework.cli import main as cli
from pie_framework.composition.build import Builder
from pie_framework.composition.compose import compose
from pie_framework.composition.schema import parse

TINY = [
    "bench",
    "methods=[full,unedited]",
    "portraits=2",
    "pictures=1",
    "overrides=['schedule.stages.0.steps=1','schedule.stages.1.steps=1','prior.pool=2','edit.corrections=0']",
    "~edits.yaw_minus_20",
    "~edits.smile",
    "~edits.light_left",
]


@pytest.fixture(scope="module")
def world() -> tuple[KnownPortraits, Judge]:
    """Two portraits, and who judges them."""
    builder = Builder(parse(compose(["device=cpu"])))
    scenes = builder.get(Kind.SCENES, "embedded")
    judge = Judge(
        builder.get(Kind.ENCODER),
        builder.get(Kind.FACE_MODEL),
        builder.get(Kind.FEATURES, "perceptual"),
        builder.get(Kind.FEATURES, "recognition"),
    )
    return scenes.draw(2, np.random.default_rng(7)), judge


def turned(portraits: KnownPortraits, degrees: float, judge: Judge) -> KnownPortraits:
    layout = judge.face_model.layout
    theta = portraits.theta.clone()
    theta[:, layout.index("rotation", "yaw")] += math.radians(degrees)
    return portraits.edited(theta)


def test_truth_scores_perfectly_and_a_wrong_edit_worse_than_none(
    world: tuple[KnownPortraits, Judge],
) -> None:
    portraits, judge = world
    truth = turned(portraits, 10.0, judge)
    perfect = measure(truth.images, truth, judge)
    for name in COLUMNS:
        best = 100.0 if name.startswith("psnr") else 1.0 if COLUMNS[name].higher else 0.0
        torch.testing.assert_close(perfect[name], torch.full_like(perfect[name], best), atol=1e-4, rtol=0)
    wrong = measure(turned(portraits, -10.0, judge).images, truth, judge)
    without = measure(portraits.images, truth, judge)
    for name in ("psnr", "ssim", "perceptual", "perceptual_face"):
        better = without[name] > wrong[name] if COLUMNS[name].higher else without[name] < wrong[name]
        assert better.all(), (name, without[name], wrong[name])
    for name in ("yaw_error", "landmark_px"):
        assert (wrong[name] > 1.3 * without[name]).all(), (name, without[name], wrong[name])


def test_a_tiny_bench_fills_every_column_and_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    assert cli.main(TINY) == 0
    shown = capsys.readouterr().out
    folder = tmp_path / "outputs" / "bench_smoke"
    found = read_rows(folder)
    edits = ("reconstruction", "yaw_plus_20", "jaw_open", "light_of_another")
    assert set(zip(found["method"], found["portrait"], found["edit"], strict=True)) == {
        (method, portrait, edit) for method in ("full", "unedited") for portrait in (0, 1) for edit in edits
    }
    assert np.isfinite(found[list(COLUMNS)]).all(axis=None)
    assert "full" in shown and "unedited" in shown
    names = {path.name for path in folder.iterdir()}
    assert {"bench.json", "results.json", "results.csv", "index.html", "rows", "latents", "pictures"} <= names
    assert json.loads((folder / "bench.json").read_text())["seconds"] > 0

    before = (folder / "rows" / "full.0.0.jsonl").stat().st_mtime_ns
    assert cli.main(TINY) == 0, "nothing is left to do: only the report is made again"
    assert "0 of 2 jobs to do" in capsys.readouterr().err
    assert (folder / "rows" / "full.0.0.jsonl").stat().st_mtime_ns == before
    assert cli.main([*TINY, "portraits=1"]) == 2
    assert "holds a bench with other settings: portraits was 2" in capsys.readouterr().err
