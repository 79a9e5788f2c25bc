"""Means, standard errors and shares of the baseline come from the rows alone; every table says the same."""

from __future__ import annotations

import io
import math
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

from pie_bench.columns import COLUMNS
from pie_bench.results import missing, statistics, summarise
from pie_bench.rows import Row, read_all
from pie_bench.tables import markdown_tables, more_tables, print_tables, tables
from pie_framework.errors import RunError
from pie_framework.files.io import read_json

MakeRow = Callable[..., Row]
MakeBench = Callable[..., Path]


def test_statistics_are_over_portraits(make_row: MakeRow) -> None:
    rows = [make_row("synth", portrait, "smile", seed) for portrait in (0, 1) for seed in (0, 1)]
    found = statistics([*rows, make_row("synth", 1, "smile", 2)])
    assert found["expression_px"]["mean"] == pytest.approx(1.0), "a portrait with more rows weighs no more"
    assert found["expression_px"]["error"] == pytest.approx(0.1)
    assert found["expression_px"]["portraits"] == 2
    assert found["seconds"]["mean"] == 1.5
    assert "ssim_background" not in found, "it has no finite value"
    assert statistics(rows[:2])["psnr"]["error"] is None, "one portrait has no spread"
    assert statistics([]) == {}


def test_results_hold_every_method_and_edit(make_bench: MakeBench) -> None:
    folder = make_bench(("full", "synth", "unedited"))
    results = summarise(read_all(folder), read_json(folder / "bench.json"))
    assert list(results["methods"]) == ["full", "synth", "unedited"]
    assert list(results["edits"]) == ["yaw_plus_10", "smile", "light_left"]
    full = results["methods"]["full"]
    assert full["summary"] == "what full is" and full["pictures"] == 8
    assert (
        full["reconstruction"]["psnr"]["mean"] == 27.0 and full["reconstruction"]["seconds"]["mean"] == 30.0
    )
    assert full["rotation"]["yaw_error"]["mean"] == pytest.approx(0.25)
    assert full["relative"] == {
        "rotation": pytest.approx(0.25),
        "expression": pytest.approx(0.25),
        "illumination": pytest.approx(0.25),
        "asked": pytest.approx(0.25),
        "perceptual": pytest.approx(0.25),
        "perceptual_face": pytest.approx(0.25),
    }
    assert results["methods"]["synth"]["relative"]["asked"] == 1.0
    assert results["edits"]["smile"]["methods"]["unedited"]["expression_px"]["mean"] == pytest.approx(2.0)
    assert len(results["rows"]) == 24 and missing(results) == {}


def test_a_share_is_over_what_both_have(make_row: MakeRow) -> None:
    edits = ("reconstruction", "yaw_plus_10", "smile", "light_left")
    full = [make_row("full", 0, edit) for edit in edits]
    synth = [make_row("synth", portrait, edit) for portrait in (0, 1) for edit in edits]
    results = summarise([*full, *synth], {})
    assert results["methods"]["full"]["relative"]["asked"] == pytest.approx(0.25)
    assert missing(results) == {"full": (4, 8)}
    assert "Incomplete: full (4 of 8 pictures)" in tables(results)[0].note


def test_without_the_baseline_there_is_no_share(make_row: MakeRow) -> None:
    results = summarise([make_row("full", 0, "reconstruction"), make_row("full", 0, "smile")], {})
    assert results["baseline"] is None
    assert results["methods"]["full"]["relative"]["asked"] is None
    titles = [table.title for table in tables(results)]
    assert titles == ["Likeness to the truth", "Asked and achieved", "Expression edits"]
    assert [head.name for head in tables(results)[1].heads] == ["expression_px", "identity"]


def test_the_last_of_several_rows_counts_and_none_is_an_error(make_row: MakeRow) -> None:
    first, second = make_row("full", 0, "smile"), make_row("full", 0, "smile")
    again = Row(**{**vars(second), "seconds": 9.0})
    assert [row["seconds"] for row in summarise([first, again], {})["rows"]] == [9.0]
    with pytest.raises(RunError, match="nothing to report"):
        summarise([], {})


def test_tables_mark_the_best_the_right_way_round(make_bench: MakeBench) -> None:
    folder = make_bench()
    results = summarise(read_all(folder), read_json(folder / "bench.json"))
    pictures = tables(results)[0]
    assert pictures.heading(0) == "recon. PSNR (dB) ↑"
    assert [pictures.rows[name][0].best for name in ("full", "synth")] == [False, True]
    rotation = tables(results)[2]
    assert rotation.title == "Rotation edits" and rotation.heads[0].name == "yaw_error"
    assert [rotation.rows[name][0].best for name in ("full", "synth")] == [True, False]
    assert rotation.text(0, rotation.rows["synth"][0]) == "1.00 ± 0.10"


def test_every_column_is_in_some_table(make_bench: MakeBench) -> None:
    folder = make_bench()
    results = summarise(read_all(folder), read_json(folder / "bench.json"))
    shown = {head.name for table in (*tables(results), *more_tables(results)) for head in table.heads}
    assert set(COLUMNS) <= shown


def test_markdown_and_terminal_hold_the_numbers(make_bench: MakeBench) -> None:
    folder = make_bench()
    results = summarise(read_all(folder), read_json(folder / "bench.json"))
    text = markdown_tables(results)
    assert "### Asked and achieved" in text and "### Rotation, edit by edit" in text
    lines = [line for line in text.splitlines() if line.startswith("|")]
    start = next(i for i, line in enumerate(lines) if "error / synth" in line)
    heads, _, full, synth = lines[start : start + 4]
    assert len({line.count("|") for line in (heads, full, synth)}) == 1
    assert full.startswith("| full | **0.25 ± 0.03** |") and "| **0.250** |" in full
    assert "| 1.000 |" in synth
    assert "| – |" in text, "a region without pixels has no number"

    for width in (80, 240):
        stream = io.StringIO()
        print_tables(results, Console(file=stream, width=width))
        printed = stream.getvalue()
        assert "Rotation edits" in printed and "0.250" in printed
        assert ("±" in printed.split("Reconstructions")[0]) == (width == 240)


def test_measures_that_are_not_finite_are_left_out(make_row: MakeRow) -> None:
    good, bad = make_row("full", 0, "smile"), make_row("full", 1, "smile")
    broken = Row(**{**vars(bad), "measures": {**bad.measures, "psnr": math.inf}})
    assert statistics([good, broken])["psnr"]["portraits"] == 1
