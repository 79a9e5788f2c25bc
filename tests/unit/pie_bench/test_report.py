"""The report: files written whole, a page that needs nothing beside it and shows every picture."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from pie_bench.columns import COLUMNS
from pie_bench.page import render_page
from pie_bench.report import write_report
from pie_bench.results import KEYS, summarise
from pie_framework.cli.main import main
from pie_framework.errors import RunError

MakeBench = Callable[..., Path]
VOID = {"meta", "img", "br", "circle", "line", "polyline"}


class Page(HTMLParser):
    """Collects tags and attributes, and checks that every element is closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag


def stored_pictures(text: str) -> list[str]:
    found = re.search(r'id="pictures">(.*?)</script>', text, re.S)
    assert found is not None
    pictures: list[str] = json.loads(found.group(1))
    return pictures


def test_a_report_writes_its_files(make_bench: MakeBench) -> None:
    folder = make_bench()
    results = write_report(folder, None)
    assert json.loads((folder / "results.json").read_text())["methods"].keys() == results.methods.keys()
    with (folder / "results.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert list(rows[0]) == [*KEYS, *COLUMNS] and len(rows) == 16
    assert (rows[0]["method"], rows[0]["edit"], float(rows[0]["psnr"])) == ("full", "reconstruction", 27.0)
    assert sorted(path.name for path in folder.iterdir()) == [
        "bench.json",
        "index.html",
        "pictures",
        "results.csv",
        "results.json",
        "rows",
    ]


def test_the_page_needs_nothing_and_shows_every_picture_once(make_bench: MakeBench) -> None:
    folder = make_bench()
    write_report(folder, None)
    text = (folder / "index.html").read_text()
    page = Page(text)
    assert not [t for t, a in page.tags if t in ("link", "iframe") or "src" in a or "href" in a]
    pictures = stored_pictures(text)
    # 4 of the truth, 4 of each of two methods, and a difference for each of these.
    assert len(pictures) == 4 + 2 * 4 + 2 * 4
    assert all(uri.startswith("data:image/webp;base64,") for uri in pictures)
    shown = [int(a["data-picture"] or 0) for t, a in page.tags if t == "img"]
    assert set(shown) == set(range(len(pictures)))
    # Reconstructions show three pictures per method, edits five.
    assert len(shown) == 2 * (3 + 3 * 5)
    assert len([t for t, a in page.tags if t == "table" and a.get("class") == "sortable"]) == 5 + 5
    assert len([t for t, a in page.tags if t == "svg"]) == 2
    assert "rotation.yaw+=10" in text and "what full is" in text


def test_differences_are_amplified(make_bench: MakeBench) -> None:
    import base64
    import io

    folder = make_bench(("synth",))
    write_report(folder, None)
    pictures = stored_pictures((folder / "index.html").read_text())
    shown = [Image.open(io.BytesIO(base64.b64decode(uri.split(",")[1]))) for uri in pictures]
    darkest = min(np.asarray(picture)[8, 8].tolist() for picture in shown)
    assert darkest == pytest.approx([30, 0, 0], abs=3), "10 steps of red, three times"


def test_names_are_escaped(make_row: Callable[..., dict[str, Any]], tmp_path: Path) -> None:
    hostile = "</script><img src=x onerror=alert(1)>&\"'"
    row = make_row("full", 0, "smile")
    rows = pd.DataFrame([row | {"method": hostile}, row | {"edit": hostile}])
    bench = {"set": hostile, "methods": {hostile: {"summary": hostile}}}
    text = render_page(summarise(rows, bench), tmp_path)
    Page(text)
    assert "onerror=alert(1)>" not in text


def test_a_bench_without_pictures_has_a_page(make_bench: MakeBench) -> None:
    import shutil

    folder = make_bench()
    shutil.rmtree(folder / "pictures")
    write_report(folder, None)
    assert "<h2>Pictures</h2>" not in (folder / "index.html").read_text()


def test_a_folder_that_is_no_bench_is_named(
    tmp_path: Path, make_bench: MakeBench, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(RunError, match="holds no bench"):
        write_report(tmp_path, None)
    assert main(["bench", "report", str(tmp_path)]) == 2
    assert "pie: error:" in capsys.readouterr().err
    folder = make_bench()
    assert main(["bench", "report", str(folder), "--markdown"]) == 0
    assert capsys.readouterr().out.startswith("### Likeness to the truth\n")
    assert main(["bench", "report", str(folder)]) == 0
    assert "Asked and achieved" in capsys.readouterr().out
