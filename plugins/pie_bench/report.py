"""`pie bench report`: from a folder of rows to results.json, results.csv, tables and a page. Imports no torch."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pie_bench.columns import COLUMNS
from pie_bench.page import render_page
from pie_bench.results import KEYS, Results, read_rows, summarise
from pie_bench.tables import markdown_tables, print_tables
from pie_framework.errors import RunError
from pie_framework.files.io import read_json, write_json, write_text

if TYPE_CHECKING:
    from rich.console import Console

RESULTS, TABLE, PAGE = "results.json", "results.csv", "index.html"


def write_report(folder: Path, console: Console | None) -> Results:
    """Summarise the rows of a folder, write results.json, results.csv and index.html, and print the tables.

    May be called while the bench still runs: it shows what is complete.

    Args:
        folder: of a bench, with `bench.json`, `rows/` and, where pictures were kept, `pictures/`.
        console: where the tables are printed; None for nowhere.

    Raises:
        RunError: the folder holds no bench, a damaged file, or no row yet.
    """
    manifest = folder / "bench.json"
    if not manifest.is_file():
        raise RunError(
            f"'{folder}' holds no bench (no bench.json)", "Give the folder that `pie bench` wrote."
        )
    results = summarise(read_rows(folder), read_json(manifest))
    write_json(folder / RESULTS, results.to_json())
    write_text(
        folder / TABLE,
        results.rows.to_csv(columns=[*KEYS, *COLUMNS], index=False, na_rep="nan", lineterminator="\n"),
    )
    write_text(folder / PAGE, render_page(results, folder))
    if console is not None:
        print_tables(results, console)
        console.print(f"[dim]page:[/] {folder / PAGE}")
    return results


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the report of a folder and print its tables; returns the exit status.

    Raises:
        PieError: as `write_report` does.
    """
    from rich.console import Console

    parser = argparse.ArgumentParser(
        prog="pie bench report", description="Summarise the rows of a bench: tables, results and a page."
    )
    parser.add_argument("folder", type=Path, help="what `pie bench` wrote")
    parser.add_argument("--markdown", action="store_true", help="print the tables as Markdown, all of them")
    options = parser.parse_args(arguments)
    results = write_report(options.folder, None if options.markdown else Console())
    if options.markdown:
        print(markdown_tables(results), end="")
    return 0
