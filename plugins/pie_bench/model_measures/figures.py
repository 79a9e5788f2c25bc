"""A measured figure with its bar, and the bars themselves. Imports no torch."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

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
        return {
            "model": self.model,
            "measure": self.measure,
            "figure": self.figure,
            "unit": self.unit,
            "bar": None if self.bar is None else self.bar[1],
            "sense": None if self.bar is None else self.bar[0],
            "met": self.met,
            "count": self.count,
        }


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


def mean(
    model: str,
    measure: str,
    values: NDArray[np.float64],
    unit: str = "",
    place: tuple[str, str, str] | None = None,
) -> Figure:
    """The mean over all entries of an array as a figure."""
    return Figure(model, measure, float(values.mean()), unit, int(values.size), place)
