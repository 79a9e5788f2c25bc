"""Every table says the same in the terminal and in Markdown, and marks what is best."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

from rich.console import Console

from pie_bench.columns import COLUMNS
from pie_bench.results import Results, read_rows, summarise
from pie_bench.tables import markdown_tables, more_tables, print_tables, tables
from pie_framework.files.io import read_json

MakeBench = Callable[..., Path]


def results_of(folder: Path) -> Results:
    return summarise(read_rows(folder), read_json(folder / "bench.json"))


def test_tables_mark_the_best_the_right_way_round(make_bench: MakeBench) -> None:
    results = results_of(make_bench())
    pictures = tables(results)[0]
    assert pictures.heads[0].heading == "recon. PSNR (dB) ↑"
    assert pictures.best[0].to_dict() == {"full": False, "synth": True}
    rotation = tables(results)[2]
    assert rotation.title == "Rotation edits" and rotation.heads[0].name == "yaw_error"
    assert rotation.best[0].to_dict() == {"full": True, "synth": False}
    assert [row[:2] for row in rotation.texts("<{}>", " ± {}")] == [
        ["full", "<0.25 ± 0.03>"],
        ["synth", "1.00 ± 0.10"],
    ]


def test_a_method_alone_is_not_the_best(make_bench: MakeBench) -> None:
    assert not any(table.best.any(axis=None) for table in tables(results_of(make_bench(("synth",)))))


def test_every_column_is_in_some_table(make_bench: MakeBench) -> None:
    results = results_of(make_bench())
    shown = {head.name for table in (*tables(results), *more_tables(results)) for head in table.heads}
    assert set(COLUMNS) <= shown


def test_markdown_and_terminal_hold_the_numbers(make_bench: MakeBench) -> None:
    results = results_of(make_bench())
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
