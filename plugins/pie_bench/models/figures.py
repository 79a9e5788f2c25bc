"""A measured figure with its bar, and the bars themselves. Imports no torch."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

#: Values by (model, measure), whose mean is a figure; with a third word what a figure is made of in another way.
Columns = dict[tuple[str, ...], NDArray[np.float64]]
#: (model, measure) -> the bar: a figure of at least (">=") or at most ("<=") this value.
BARS: dict[tuple[str, str], tuple[str, float]] = {
    ("generator", "projection PSNR"): (">=", 27.0),
    ("generator", "projection SSIM"): (">=", 0.88),
    ("encoder", "yaw"): ("<=", 1.5),
    ("encoder", "pitch"): ("<=", 1.5),
    ("encoder", "landmarks"): ("<=", 1.0),
    ("encoder", "light"): ("<=", 0.15),
    ("encoder", "expression"): ("<=", 0.8),
    ("recognition", "verification accuracy"): (">=", 0.97),
    ("landmarks", "landmarks"): ("<=", 1.0),
    ("rig", "yaw, single pass"): ("<=", 2.5),
    ("rig", "expression, single pass"): ("<=", 1.0),
    ("rig", "light, single pass"): ("<=", 0.20),
    ("rig", "identity kept, yaw"): (">=", 0.9),
    ("rig", "identity kept, expression"): (">=", 0.9),
    ("rig", "identity kept, light"): (">=", 0.9),
    ("rig", "own request, rotation"): ("<=", 0.1),
    ("rig", "own request, expression"): ("<=", 0.1),
    ("rig", "own request, illumination"): ("<=", 0.1),
    ("weights", "all files"): ("<=", 40.0),
}
#: Units of the measures that have one, by the words before a comma.
UNITS = {
    "projection PSNR": "dB",
    "PSNR": "dB",
    **dict.fromkeys(("yaw", "pitch", "roll"), "deg"),
    **dict.fromkeys(("landmarks", "expression"), "px"),
    "light": "%",
}
#: The models in the order of the table.
MODELS = ("generator", "inverter", "encoder", "judge", "landmarks", "recognition", "rig", "weights")
#: Third word of the values by whose mean that of the others is divided.
OVER = "over"


@dataclass(frozen=True)
class Figure:
    """One row of the table.

    Attributes:
        model: what is measured.
        measure: by what; docs/bench-models.md defines each.
        figure: the value; NaN where there is none.
        unit: "" for a ratio.
        count: number of values it is the mean of, 1 for a figure of its own.
        place: (table, row, column) in a table of details; figures without a place, or with a bar, are in the main
            table.
    """

    model: str
    measure: str
    figure: float
    unit: str = ""
    count: int = 1
    place: tuple[str, str, str] | None = None

    @property
    def bar(self) -> tuple[str, float] | None:
        """The comparison and the value, for figures that have a bar."""
        return BARS.get((self.model, self.measure))

    @property
    def met(self) -> bool | None:
        """Whether the bar is met; None without a bar. A figure that is not finite misses."""
        if self.bar is None:
            return None
        sense, value = self.bar
        if not math.isfinite(self.figure):
            return False
        return self.figure >= value if sense == ">=" else self.figure <= value

    @property
    def verdict(self) -> str:
        """met, MISSED or nothing."""
        return {True: "met", False: "MISSED", None: ""}[self.met]

    def written(self) -> tuple[str, str]:
        """The figure and the bar as a person reads them."""
        bar = "" if self.bar is None else f"{self.bar[0]} {_number(self.bar[1], self.unit)}"
        return _number(self.figure, self.unit), bar

    def to_json(self) -> dict[str, Any]:
        """As plain values, the same keys for every figure."""
        sense, bar = self.bar or (None, None)
        own = {key: getattr(self, key) for key in ("model", "measure", "figure", "unit")}
        return {**own, "bar": bar, "sense": sense, "met": self.met, "count": self.count}


def _number(value: float, unit: str) -> str:
    if not math.isfinite(value):
        return "none"
    if unit == "%":
        return f"{100 * value:.1f} %"
    if unit == "":
        return f"{value:.3f}"
    if unit == "parameters":
        return f"{value / 1e6:.2f} M"
    return f"{value:.2f} {unit}"


def means(columns: Columns) -> list[Figure]:
    """The figures that are means of values, or a mean over another."""
    found = []
    for key, values in columns.items():
        if len(key) == 2:
            model, measure = key
            value = float(values.mean())
            if (over := columns.get((*key, OVER))) is not None:
                value /= max(float(over.mean()), 1e-12)
            unit = UNITS.get(measure.partition(",")[0], "")
            found.append(Figure(model, measure, value, unit, int(values.size), _place(model, measure)))
    return found


def _place(model: str, measure: str) -> tuple[str, str, str] | None:
    """Where a figure of the rig stands among the details: "ROW, COLUMN", without a column the single pass."""
    row, _, column = measure.partition(", ")
    if model != "rig" or row == "identity kept":
        return None
    if row == "own request":
        block, _, column = column.partition(", ")
        row = f"{row}, {block}"
    return "rig: asked against achieved", row, column or "single pass"
