"""How the values of an edit are worded, the same in captions, in the report and in the terminal.

Works on the readings as `EditResult.to_json` writes them, so that old results can be worded too.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any


def number(value: float | None, unit: str = "") -> str:
    """A number with its unit, short: `15.0°`, `0.80`."""
    if value is None or not math.isfinite(value):
        return "not finite"
    text = f"{value:.1f}°" if unit == "degrees" else f"{value:.2f}"
    return text.replace("-0.0°", "0.0°") if text == "-0.0°" else ("0.00" if text == "-0.00" else text)


def value(amount: float | Sequence[float] | None, unit: str = "") -> str:
    """A number or a vector."""
    if isinstance(amount, Sequence):
        return "(" + ", ".join(number(part, unit) for part in amount) + ")"
    return number(amount, unit)


def label(control: str) -> str:
    """`rotation.yaw` -> `yaw`; `illumination.direction` -> `light direction`."""
    block, _, key = control.partition(".")
    name = (key or block).replace("_", " ")
    return f"light {name}" if block == "illumination" else name


def caption(reading: Mapping[str, Any]) -> str:
    """One short line: `yaw 15.0° → 13.8°`; for directions how far the achieved one is off."""
    name = label(reading["control"])
    if isinstance(reading["asked"], (list, tuple)):
        return f"{name} off by {number(reading['error'], reading['error_unit'])}"
    unit = reading["unit"]
    return f"{name} {number(reading['asked'], unit)} → {number(reading['achieved'], unit)}"


def row(reading: Mapping[str, Any]) -> tuple[str, str, str, str, str]:
    """Cells of a table: control, before, asked, achieved, error."""
    unit = reading["unit"]
    amounts = (value(reading[key], unit) for key in ("before", "asked", "achieved"))
    return (reading["control"], *amounts, number(reading["error"], reading["error_unit"]))


def title(name: str) -> str:
    """A file's name as a heading: `yaw_left` -> `yaw left`."""
    return name.replace("_", " ").strip()
