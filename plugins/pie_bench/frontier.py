"""The frontier as SVG: what an edit costs against what the reconstruction is worth, one point per method."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape
from typing import NamedTuple

WIDTH, HEIGHT = 500, 340
LEFT, RIGHT, TOP, BOTTOM = 54, 84, 14, 42
#: Width of a letter and height of a line of the labels.
LETTER, LINE = 6.3, 13.0
COLOURS = 11


class Point(NamedTuple):
    """A method: `x` to the right, `y` upwards, with its place among the methods for its colour."""

    name: str
    x: float
    y: float
    place: int


def frontier(points: Sequence[Point], x_title: str, y_title: str) -> str:
    """The plot, "" without points; points on the frontier (none has more x and less y) are joined by a line."""
    points = [point for point in points if math.isfinite(point.x) and math.isfinite(point.y)]
    if not points:
        return ""
    low_x, high_x = _range([point.x for point in points])
    low_y, high_y = _range([point.y for point in points])
    right, bottom = WIDTH - RIGHT, HEIGHT - BOTTOM

    def x(value: float) -> float:
        return round(LEFT + (right - LEFT) * (value - low_x) / (high_x - low_x), 1)

    def y(value: float) -> float:
        return round(bottom - (bottom - TOP) * (value - low_y) / (high_y - low_y), 1)

    label = f"{y_title} against {x_title}, one point per method"
    parts = [f'<svg class="plot" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(label)}">']
    for value in _ticks(low_x, high_x):
        parts.append(f'<line class="grid" x1="{x(value)}" x2="{x(value)}" y1="{TOP}" y2="{bottom}"/>')
        parts.append(f'<text x="{x(value)}" y="{bottom + 16}" text-anchor="middle">{value:g}</text>')
    for value in _ticks(low_y, high_y):
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{right}" y1="{y(value)}" y2="{y(value)}"/>')
        parts.append(f'<text x="{LEFT - 8}" y="{y(value) + 4}" text-anchor="end">{value:g}</text>')
    turned = f'transform="translate(13 {(TOP + bottom) / 2}) rotate(-90)" text-anchor="middle"'
    parts.append(
        f'<text x="{(LEFT + right) / 2}" y="{HEIGHT - 6}" text-anchor="middle">{escape(x_title)}</text>'
        f"<text {turned}>{escape(y_title)}</text>"
    )
    edge = " ".join(f"{x(point.x)},{y(point.y)}" for point in best(points))
    parts.append(f'<polyline class="edge" points="{edge}"/>')
    placed = [(x(point.x), y(point.y)) for point in points]
    for point, (px, py), (tx, ty, anchor) in zip(points, placed, _labels(points, placed), strict=True):
        colour = f"var(--c{1 + point.place % (COLOURS - 1)})"
        words = f"{point.name}: {point.x:.4g}, {point.y:.4g}"
        parts.append(
            f'<circle cx="{px}" cy="{py}" r="5" style="fill:{colour}"><title>{escape(words)}</title></circle>'
            f'<text class="name" x="{tx}" y="{ty}" text-anchor="{anchor}">{escape(point.name)}</text>'
        )
    return "".join(parts) + "</svg>"


def best(points: Sequence[Point]) -> list[Point]:
    """The points that no other one beats in both, by x: more x and less y is better."""

    def beaten(point: Point) -> bool:
        return any(
            other.x >= point.x and other.y <= point.y and (other.x, other.y) != (point.x, point.y)
            for other in points
        )

    return sorted((point for point in points if not beaten(point)), key=lambda point: (point.x, point.y))


def _range(values: Sequence[float]) -> tuple[float, float]:
    low, high = min(values), max(values)
    pad = 0.09 * (high - low) or 0.1 * abs(high) or 1.0
    return low - pad, high + pad


def _ticks(low: float, high: float) -> list[float]:
    step = 10.0 ** math.floor(math.log10((high - low) / 4))
    step *= next(factor for factor in (1, 2, 5, 10) if (high - low) / (step * factor) <= 6)
    return [round(i * step, 10) for i in range(math.ceil(low / step), math.floor(high / step) + 1)]


def _labels(points: Sequence[Point], placed: Sequence[tuple[float, float]]) -> list[tuple[float, float, str]]:
    """Where each name is written: beside its point, moved up or down until it lies on no other name or point."""
    taken = [(px - 6, py - 6, px + 6, py + 6) for px, py in placed]
    found = []
    for point, (px, py) in zip(points, placed, strict=True):
        length, places = LETTER * len(point.name), []
        for shift in (0, 1, -1, 2, -2, 3, -3, 4, -4):
            base = py + 4 + shift * LINE * 0.9
            for x, anchor, left in ((px + 9, "start", px + 9), (px - 9, "end", px - 9 - length)):
                box = (left, base - LINE + 3, left + length, base + 3)
                outside = box[0] < LEFT or box[2] > WIDTH or box[1] < 0 or box[3] > HEIGHT - BOTTOM
                clashes = 3 * outside + sum(_overlap(box, other) for other in taken)
                places.append((clashes, (round(x, 1), round(base, 1), anchor), box))
        _, label, box = min(places, key=lambda place: place[0])
        taken.append(box)
        found.append(label)
    return found


def _overlap(a: tuple[float, ...], b: tuple[float, ...]) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]
