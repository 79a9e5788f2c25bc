"""Energy curves: their shape, their gaps, and how many points they keep."""

from __future__ import annotations

import json
import re

import pytest

from pie_framework.runs.report.curves import MAX_POINTS, Series, chart


def test_curves_fall_when_energies_fall() -> None:
    html = chart("c", [1, 2, 3], ["w", "w", "w+"], [Series("total", [100.0, 10.0, 1.0])])
    (path,) = re.findall(r'<path class="curve total"[^>]* d="([^"]+)"', html)
    points = [tuple(map(float, pair.split())) for pair in re.split("[ML]", path)[1:]]
    (x0, y0), (x1, y1), (x2, y2) = points
    assert x1 - x0 == pytest.approx(x2 - x1, abs=0.2)
    assert y1 - y0 == pytest.approx(y2 - y1, abs=0.2)
    assert y0 < y1
    assert html.count('class="stage"') == 1


def test_curves_have_gaps_where_there_is_nothing_to_draw() -> None:
    html = chart("c", [1, 2, 3, 4], ["w"] * 4, [Series("total", [1.0, None, float("nan"), 0.5])])
    (path,) = re.findall(r' d="([^"]+)"', html)
    assert path.count("M") == 2
    assert chart("c", [1, 2], ["w", "w"], [Series("total", [0.0, -1.0])]) == ""
    assert chart("c", [], [], [Series("total", [])]) == ""
    assert chart("c", [1], ["w"], [Series("total", [2.0])])


def test_long_runs_are_thinned_to_their_ends() -> None:
    count = 3000
    html = chart(
        "c", list(range(1, count + 1)), ["w"] * count, [Series("t", [1.0 + s for s in range(count)])]
    )
    match = re.search(r'<script type="application/json">(.*?)</script>', html)
    assert match is not None
    data = json.loads(match[1])
    assert len(data["step"]) == MAX_POINTS
    assert (data["step"][0], data["step"][-1]) == (1, count)
