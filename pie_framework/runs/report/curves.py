"""Energy curves as SVG: one line per term on a logarithmic scale, with the data that the page shows on hover."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from typing import TypeGuard

WIDTH, HEIGHT = 980, 360
LEFT, RIGHT, TOP, BOTTOM = 62, 12, 26, 34
#: More steps than this are thinned before they are drawn.
MAX_POINTS = 480
#: Terms below this share of the largest value lie under the floor of the chart.
FLOOR = 1e-7
COLOURS = 11


@dataclass(frozen=True)
class Series:
    """One curve.

    Attributes:
        name: of the term.
        values: one per step; None or not finite where there is none.
    """

    name: str
    values: Sequence[float | None]

    @property
    def first(self) -> float | None:
        return next((value for value in self.values if value is not None), None)

    @property
    def last(self) -> float | None:
        return next((value for value in reversed(self.values) if value is not None), None)


def chart(identity: str, steps: Sequence[int], stages: Sequence[str], series: Sequence[Series]) -> str:
    """The chart with its data as HTML; "" when no value is positive.

    Args:
        identity: `id` of the chart's element.
        steps: number of each step in the run, increasing.
        stages: the stage each step belongs to.
        series: the first one is the total and drawn strongest.
    """
    positive = [value for one in series for value in one.values if _drawable(value)]
    if not positive or not steps:
        return ""
    high = max(positive)
    low = max(min(positive), high * FLOOR)
    top, bottom = math.log10(high), math.log10(low)
    if top - bottom < 0.3:
        top, bottom = top + 0.15, bottom - 0.15
    pad = 0.03 * (top - bottom)
    top, bottom = top + pad, bottom - pad
    first, last = steps[0], max(steps[-1], steps[0] + 1)

    def x(step: float) -> float:
        return round(LEFT + (WIDTH - LEFT - RIGHT) * (step - first) / (last - first), 1)

    def y(value: float) -> float:
        share = (top - max(math.log10(value), bottom)) / (top - bottom)
        return round(TOP + (HEIGHT - TOP - BOTTOM) * share, 1)

    parts = [
        f'<div class="chart" id="{escape(identity)}">',
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="Energy of each term at every step, log scale">',
    ]
    parts += [_level(value, y(value)) for value in _ticks(bottom, top)]
    parts += [_text(x(step), HEIGHT - 12, step, "middle") for step in _round_steps(first, last)]
    parts += _stage_marks(steps, stages, x)
    kept = spread(len(steps), MAX_POINTS)
    for index in range(len(series) - 1, -1, -1):
        one = series[index]
        points = [(x(steps[k]), y(v)) if _drawable(v := one.values[k]) else None for k in kept]
        path = _path(points)
        if path:
            kind = "curve total" if index == 0 else "curve"
            style = f"stroke:var(--c{index % COLOURS})"
            parts.append(f'<path class="{kind}" data-of="{index}" style="{style}" d="{path}"/>')
    parts.append(f'<line class="cursor" x1="0" x2="0" y1="{TOP}" y2="{HEIGHT - BOTTOM}"/>')
    parts.append(f'<rect x="0" y="0" width="{WIDTH}" height="{HEIGHT}" fill="transparent"/></svg>')
    data = {
        "width": WIDTH,
        "x": [x(steps[k]) for k in kept],
        "step": [steps[k] for k in kept],
        "stage": [stages[k] for k in kept],
        "series": [
            {"name": one.name, "colour": index % COLOURS, "values": [_short(one.values[k]) for k in kept]}
            for index, one in enumerate(series)
        ],
    }
    text = json.dumps(data, separators=(",", ":")).replace("<", "\\u003c").replace("&", "\\u0026")
    parts.append(f'<script type="application/json">{text}</script><div class="tip"></div></div>')
    return "".join(parts)


def _drawable(value: float | None) -> TypeGuard[float]:
    return value is not None and math.isfinite(value) and value > 0.0


def _short(value: float | None) -> float | None:
    return float(f"{value:.4g}") if value is not None and math.isfinite(value) else None


def spread(count: int, most: int) -> list[int]:
    """At most so many indices of a sequence of `count`, evenly spread, the first and the last among them."""
    if count <= most:
        return list(range(count))
    return [round(index * (count - 1) / (most - 1)) for index in range(most)]


def _path(points: Sequence[tuple[float, float] | None]) -> str:
    commands, pen = [], "M"
    for point in points:
        if point is None:
            pen = "M"
            continue
        commands.append(f"{pen}{point[0]:g} {point[1]:g}")
        pen = "L"
    return "".join(commands)


def _ticks(bottom: float, top: float) -> list[float]:
    """Powers of ten, or 1, 2, 5 times them when the range is short."""
    decades = range(math.floor(bottom), math.ceil(top) + 1)
    every = max(1, math.ceil((top - bottom) / 8))
    factors = (1, 2, 5) if top - bottom < 2.2 else (1,)
    values = [factor * 10.0**d for d in decades if d % every == 0 for factor in factors]
    return [value for value in values if bottom <= math.log10(value) <= top]


def _level(value: float, at: float) -> str:
    """A line of the grid at a height, with its value."""
    label = f"{value:g}" if 1e-3 <= value < 1e5 else f"1e{round(math.log10(value))}"
    line = f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{at:g}" y2="{at:g}"/>'
    return line + _text(LEFT - 9, at + 4, label, "end")


def _text(x: float, y: float, text: object, anchor: str) -> str:
    return f'<text x="{x:g}" y="{y:g}" text-anchor="{anchor}">{escape(str(text))}</text>'


def _round_steps(first: int, last: int) -> list[int]:
    span = last - first
    unit = 10 ** math.floor(math.log10(max(span / 5, 1)))
    gap = next(unit * factor for factor in (1, 2, 5, 10) if span / (unit * factor) <= 7)
    return list(range(math.ceil(first / gap) * gap, last + 1, gap))


def _stage_marks(steps: Sequence[int], stages: Sequence[str], x: Callable[[float], float]) -> list[str]:
    """The name of each stage where it begins, and a line where another one ended."""
    marks = []
    for index, (stage, before) in enumerate(zip(stages, [None, *stages], strict=False)):
        if stage != before:
            at = x(steps[index])
            line = f'<line class="stage" x1="{at:g}" x2="{at:g}" y1="{TOP}" y2="{HEIGHT - BOTTOM}"/>'
            marks.append((line if index else "") + _text(at, TOP - 10, stage, "start"))
    return marks
