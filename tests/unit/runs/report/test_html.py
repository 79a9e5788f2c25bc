"""Pieces of pages: escaped, self-contained, and settings as YAML."""

from __future__ import annotations

import math
from pathlib import Path

import yaml
from PIL import Image

from pie_framework.runs.report import html


def test_settings_are_yaml_and_escaped() -> None:
    tree = {"list": [1, {"a": "<b>"}], "none": None, "empty": {}, "nested": {"x": True}}
    text = html.settings(tree)
    assert "<b>" not in text
    plain = text.removeprefix("<pre>").removesuffix("</pre>").replace("&lt;", "<").replace("&gt;", ">")
    assert yaml.safe_load(plain) == tree


def test_numbers_and_what_is_none() -> None:
    assert html.number(1.23456) == "1.235"
    assert html.number(math.nan) == html.number(None) == html.number("x") == "–"


def test_cells_of_tables_are_escaped_unless_they_are_html() -> None:
    assert "&lt;i&gt;" in html.table(["a"], [["<i>"]])
    assert "<i>" in html.table(["a"], [["<i>"]], html=True)


def test_large_pictures_are_shown_smaller(tmp_path: Path) -> None:
    for name, side, kind in (("small.png", 16, "png"), ("large.png", html.SHOWN_SIDE + 100, "webp")):
        Image.new("RGB", (side, side)).save(tmp_path / name)
        assert (html.picture_uri(tmp_path / name) or "").startswith(f"data:image/{kind};base64,")
    assert html.picture_uri(tmp_path / "missing.png") is None
