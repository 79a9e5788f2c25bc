"""The words of readings."""

from __future__ import annotations

import math

import pytest

from pie_framework.editing import wording

YAW = {
    "control": "rotation.yaw",
    "unit": "degrees",
    "before": 0.0,
    "asked": 15.0,
    "achieved": 13.5,
    "error": 1.5,
    "error_unit": "degrees",
}
LIGHT = {
    **YAW,
    "control": "illumination.direction",
    "unit": "",
    "before": [0.0, 0.0, 1.0],
    "asked": [1.0, 0.0, 0.0],
    "achieved": [0.0, 1.0, 0.0],
}


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [(15.04, "degrees", "15.0°"), (-0.01, "degrees", "0.0°"), (-0.001, "", "0.00"), (0.8, "", "0.80")],
)
def test_numbers_are_short_and_zero_has_no_sign(value: float, unit: str, text: str) -> None:
    assert wording.number(value, unit) == text


def test_what_is_no_number_is_said() -> None:
    assert wording.number(None) == wording.number(math.nan) == "not finite"


def test_readings() -> None:
    assert wording.caption(YAW) == "yaw 15.0° → 13.5°"
    assert wording.row(YAW) == ("rotation.yaw", "0.0°", "15.0°", "13.5°", "1.5°")
    assert wording.caption(LIGHT) == "light direction off by 1.5°"
    assert wording.row(LIGHT)[2] == "(1.00, 0.00, 0.00)"
    assert wording.title("yaw_left ") == "yaw left"
