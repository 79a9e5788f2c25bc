from __future__ import annotations

from pie_framework.runs.timing import phases


def test_phases_follow_one_another_and_add_up():
    assert phases(10.0, prepare=11.0, measure=13.5) == {"prepare": 1.0, "measure": 2.5, "total": 3.5}
    assert phases(10.0) == {"total": 0.0}
