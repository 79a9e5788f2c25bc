"""Means, standard errors and shares of the baseline come from the rows alone."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from pie_bench.columns import COLUMNS
from pie_bench.results import KEYS, read_rows, statistics, summarise, write_rows
from pie_bench.tables import tables
from pie_framework.errors import RunError
from pie_framework.files.io import read_json

MakeRow = Callable[..., dict[str, Any]]
MakeBench = Callable[..., Path]


def test_rows_are_read_as_they_were_written(tmp_path: Path, make_row: MakeRow) -> None:
    path = tmp_path / "rows" / "a.0.0.jsonl"
    row = make_row("full", 3, "smile") | {"psnr": 21.125 / 3, "ssim_face": float("nan")}
    write_rows(path, [row])
    read = read_rows(tmp_path)
    assert list(read.columns) == [*KEYS, *COLUMNS] and len(read) == 1
    (back,) = read.to_dict("records")
    assert back["psnr"] == row["psnr"], "bit for bit"
    assert math.isnan(back["ssim_face"])
    assert {key: back[key] for key in KEYS} == {key: row[key] for key in KEYS}
    for damaged in ("{}\n", "[1]\n", "half", '{"method": '):
        path.write_text(damaged)
        with pytest.raises(RunError, match="is not a file of rows"):
            read_rows(tmp_path)


def test_statistics_are_over_portraits(make_row: MakeRow) -> None:
    rows = [make_row("synth", portrait, "smile", seed) for portrait in (0, 1) for seed in (0, 1)]
    found = statistics(pd.DataFrame([*rows, make_row("synth", 1, "smile", 2)])).loc["synth"]
    assert found["expression_px", "mean"] == pytest.approx(1.0), "a portrait with more rows weighs no more"
    assert found["expression_px", "error"] == pytest.approx(0.1)
    assert found["expression_px", "portraits"] == 2
    assert found["seconds", "mean"] == 1.5
    assert found["ssim_background", "portraits"] == 0, "it has no finite value"
    one = statistics(pd.DataFrame(rows[:2])).loc["synth"]
    assert math.isnan(one["psnr", "error"]), "one portrait has no spread"


def test_results_hold_every_method_and_edit(make_bench: MakeBench) -> None:
    folder = make_bench(("full", "synth", "unedited"))
    whole = summarise(read_rows(folder), read_json(folder / "bench.json"))
    results = whole.to_json()
    assert list(results["methods"]) == ["full", "synth", "unedited"]
    assert list(results["edits"]) == ["yaw_plus_10", "smile", "light_left"]
    full = results["methods"]["full"]
    assert full["summary"] == "what full is" and full["pictures"] == 8
    assert full["seeds"] == [0] and full["portraits"] == 2
    assert full["reconstruction"]["psnr"] == {"mean": 27.0, "error": 0.0, "portraits": 2}
    assert full["reconstruction"]["seconds"]["mean"] == 30.0
    assert full["rotation"]["yaw_error"]["mean"] == pytest.approx(0.25)
    assert "ssim_background" not in full["edits"], "it has no finite value"
    shares = ("rotation", "expression", "illumination", "asked", "perceptual", "perceptual_face")
    assert full["relative"] == {share: pytest.approx(0.25) for share in shares}
    assert results["methods"]["synth"]["relative"]["asked"] == 1.0
    assert results["edits"]["smile"]["methods"]["unedited"]["expression_px"]["mean"] == pytest.approx(2.0)
    assert len(results["rows"]) == 24 and whole.missing() == {}
    assert results["rows"][0]["ssim_background"] is None


def test_a_share_is_over_what_both_have(make_row: MakeRow) -> None:
    edits = ("reconstruction", "yaw_plus_10", "smile", "light_left")
    full = [make_row("full", 0, edit) for edit in edits]
    synth = [make_row("synth", portrait, edit) for portrait in (0, 1) for edit in edits]
    results = summarise(pd.DataFrame([*full, *synth]), {})
    assert results.shares.loc["full", "asked"] == pytest.approx(0.25)
    assert results.missing() == {"full": (4, 8)}
    assert "Incomplete: full (4 of 8 pictures)" in tables(results)[0].note


def test_without_the_baseline_there_is_no_share(make_row: MakeRow) -> None:
    rows = [make_row("full", 0, "reconstruction"), make_row("full", 0, "smile")]
    results = summarise(pd.DataFrame(rows), {})
    assert results.baseline is None
    assert results.to_json()["methods"]["full"]["relative"]["asked"] is None
    titles = [table.title for table in tables(results)]
    assert titles == ["Likeness to the truth", "Asked and achieved", "Expression edits"]
    assert [head.name for head in tables(results)[1].heads] == ["expression_px", "identity"]


def test_the_last_of_several_rows_counts_and_none_is_an_error(make_row: MakeRow) -> None:
    first = make_row("full", 0, "smile")
    rows = pd.DataFrame([first, first | {"seconds": 9.0}])
    assert list(summarise(rows, {}).rows["seconds"]) == [9.0]
    with pytest.raises(RunError, match="nothing to report"):
        summarise(rows[:0], {})


def test_measures_that_are_not_finite_are_left_out(make_row: MakeRow) -> None:
    good, bad = make_row("full", 0, "smile"), make_row("full", 1, "smile") | {"psnr": math.inf}
    assert statistics(pd.DataFrame([good, bad])).loc["full"]["psnr", "portraits"] == 1


def test_methods_and_edits_may_be_called_like_numbers(make_row: MakeRow, tmp_path: Path) -> None:
    row = make_row("full", 0, "smile") | {"method": "1", "edit": "2.50"}
    write_rows(tmp_path / "rows" / "a.jsonl", [row])
    results = summarise(read_rows(tmp_path), {}).to_json()
    assert list(results["methods"]) == ["1"] and list(results["edits"]) == ["2.50"]
