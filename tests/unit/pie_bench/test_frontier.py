"""The plot of what an edit costs against what the reconstruction is worth."""

from __future__ import annotations

import re

from pie_bench.frontier import Point, best, frontier


def test_the_frontier_is_what_no_other_method_beats() -> None:
    points = [Point("a", 20, 1.0, 0), Point("b", 25, 0.5, 1), Point("c", 28, 0.9, 2), Point("d", 24, 0.8, 3)]
    assert [point.name for point in best(points)] == ["b", "c"]
    drawn = frontier(points, "quality", "error")
    assert drawn.count("<circle") == 4 and "quality" in drawn
    assert frontier([], "quality", "error") == ""
    one = frontier([Point("only", 20.0, 0.0, 0)], "quality", "error")
    assert one.count("<circle") == 1 and "nan" not in one


def test_names_of_equal_points_do_not_lie_on_one_another() -> None:
    drawn = frontier([Point(name, 20.0, 1.0, place) for place, name in enumerate("abc")], "quality", "error")
    places = re.findall(r'class="name" x="([^"]*)" y="([^"]*)"', drawn)
    assert len(places) == len(set(places)) == 3
