"""The report: one self-contained file, whatever the run folder holds."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
import torch

from pie_framework.files.io import write_json
from pie_framework.optimisation.history import History, HistoryRow
from pie_framework.runs.folder import Manifest, RunFolder
from pie_framework.runs.report import render_report

HOSTILE = "</script><img src=x onerror=alert(1)>&\"'"
VOID = {"meta", "img", "input", "br", "link"}


class Page(HTMLParser):
    """Collects attributes, tags and whether every element is closed."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.attributes: list[tuple[str, str, str]] = []
        self.open: list[str] = []
        self.tags: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def reading(control: str = "rotation.yaw") -> dict[str, object]:
    return {
        "control": control,
        "unit": "degrees",
        "before": 0.0,
        "asked": 15.0,
        "achieved": 13.5,
        "error": 1.5,
        "error_unit": "degrees",
    }


def make_run(path: Path, text: str = "plain", portraits: int = 1) -> RunFolder:
    run = RunFolder.create(path)
    run.keep()
    run.write_manifest(
        Manifest(
            config={"key": text, text: {"list": [1, {"a": text}], "none": None, "empty": {}}},
            inputs=[f"{text}_{index}.png" for index in range(portraits)],
            outcome="finished",
            message=text,
            steps=3,
            energies={"total": [0.5] * portraits},
            metrics={"psnr": [21.0] * portraits, text: [1.0] * portraits},
            timings={"total": 2.0, text: 1.0},
            versions={text: text},
            plugins=[{"name": text, "package": text}],
            licences=[{"name": text, "licence": text}],
        )
    )
    for index in range(portraits):
        for name in ("input.png", "reconstruction.png"):
            run.write_picture(name, torch.zeros(3, 16, 16), index if portraits > 1 else None)
    everyone = tuple(range(portraits))
    rows = [
        HistoryRow("w", s, everyone, [10.0 / s] * portraits, {text: [5.0 / s] * portraits}, {text: 2.0})
        for s in range(1, 4)
    ]
    run.write_energies(History(rows))
    run.write_picture("edits/one.png", torch.zeros(3, 16, 16))
    frame = {"picture": "one.png", "readings": [reading()], "identity_similarity": 0.9, "warnings": [text]}
    write_json(run.file("edits/one.json"), {"name": text, "portrait": 0, "frames": [frame]})
    write_json(run.file("edits/two.json"), {"name": text, "portrait": 0, "frames": [frame, frame]})
    return run


@pytest.mark.parametrize("portraits", [1, 3])
@pytest.mark.parametrize("text", ["plain", HOSTILE])
def test_self_contained_well_formed_and_escaped(tmp_path: Path, text: str, portraits: int) -> None:
    html = render_report(make_run(tmp_path / "run", text, portraits))
    page = Page(html)
    assert page.open == []
    assert not re.search(r"https?://|@import|url\(", html)
    for tag, name, value in page.attributes:
        assert name not in ("href", "onerror", "onclick", "onload", "srcset")
        assert name != "src" or value.startswith("data:image/"), (tag, value)
    assert "<img src=x" not in html
    assert page.tags.count("script") == 2
    assert "link" not in page.tags
    assert "iframe" not in page.tags


def test_every_section_is_there(tmp_path: Path) -> None:
    html = render_report(make_run(tmp_path / "run"))
    for heading in ("Portrait", "Edits", "Energy", "How it was made", "Configuration", "Versions"):
        assert heading in html
    for value in ("21.0", "15.0°", "13.5°", "identity 0.90", "finished"):
        assert value in html
    assert html.count('class="slider"') == 1


def test_a_bare_folder_still_gives_a_page(tmp_path: Path) -> None:
    run = RunFolder.create(tmp_path / "run")
    run.write_manifest(Manifest(config={}, outcome="interrupted"))
    html = render_report(run)
    assert Page(html).open == []
    assert "interrupted" in html
    assert "<h2>Energy</h2>" not in html


def test_damaged_pictures_and_numbers_are_left_out(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    run.file("input.png").write_bytes(b"\x89PNG damaged")
    run.file("energies.csv").write_text("step,stage,total,raw.a,weighted.a\n1,w,nan,x,1e999\n2,w,,,\n")
    html = render_report(run)
    assert 'class="slider"' not in html
    assert Page(html).open == []
