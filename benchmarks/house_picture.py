"""Draws the house: rooms in their layers, an arrow for an import, the plugins beside them; plain SVG.

`python benchmarks/house.py picture` writes it. Layers and the two sorts of plugins are those of import-linter's
contracts in pyproject.toml. An arrow that a longer way implies is left out: everything would
point at `errors`.
"""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import networkx

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

WIDTH, ROOMS_WIDTH, MARGIN = 1264, 880, 32
TOP, PITCH = 82, 106
BOX, BOX_HEIGHT, GAP = 144, 68, 20
SIDE = ROOMS_WIDTH + 20

#: What a room is for, in the words that fit into its box.
PURPOSES = {
    "api": "the contract",
    "arguments": "KEY=VALUE words",
    "assets": "finds weight files",
    "cli": "the command line",
    "composition": "words → components",
    "editing": "controls → edits",
    "errors": "for people",
    "files": "all or nothing",
    "hookspecs": "what plugins offer",
    "images": "photos in and out",
    "optimisation": "E(w) made small",
    "pipeline": "the job in Python",
    "plugins": "found and guarded",
    "rendering": "for face models",
    "runs": "the run folder",
    "settings": "values, checked",
    "testing": "for plugin authors",
    "version": "a number",
}

STYLE = """
    .bg { fill: #f6f8fc; stroke: #dde3ee; }
    .band { fill: #eceff7; }
    .room { fill: #ffffff; stroke: #8aa2d8; stroke-width: 1.4; }
    .engine { fill: #e8efff; stroke: #4f74d4; }
    .frame { fill: #ffffff; stroke: #c9d1de; stroke-width: 1.4; }
    .t { fill: #1d2738; font-size: 17px; font-weight: 650; }
    .s { fill: #55617a; font-size: 12.5px; }
    .n { fill: #55617a; font-size: 14px; }
    .l { fill: #8a94a8; font-size: 12px; }
    .m { text-anchor: middle; }
    .e { text-anchor: end; }
    .a { stroke: #8491aa; stroke-width: 1.7; fill: none; marker-end: url(#head); }
    .head { fill: #8491aa; }
    .components { fill: #e08a1e; }
    .commands { fill: #2f9e77; }
    @media (prefers-color-scheme: dark) {
      .bg { fill: #141a24; stroke: #2a3444; }
      .band { fill: #19212e; }
      .room { fill: #1c2432; stroke: #5470ad; }
      .engine { fill: #1d2b4d; stroke: #6b8de3; }
      .frame { fill: #1c2432; stroke: #3a475c; }
      .t { fill: #edf1f8; }
      .s, .n { fill: #a9b5c9; }
      .l { fill: #7c8aa3; }
      .a { stroke: #77859e; }
      .head { fill: #77859e; }
    }"""


def draw(
    rooms: Mapping[str, int], arrows: Mapping[str, Iterable[str]], folder: Path, engine: Iterable[str]
) -> str:
    """The picture as SVG.

    Args:
        rooms: "pie_framework.ROOM" or plugin -> lines.
        arrows: room -> the rooms it imports.
        folder: the root of the tree, whose pyproject.toml has the layers.
        engine: the rooms of the core that are set off.
    """
    layers, plugins = read_contracts(folder / "pyproject.toml")
    size = {name.removeprefix("pie_framework."): n for name, n in rooms.items()}
    known = {
        a.removeprefix("pie_framework."): {b.removeprefix("pie_framework.") for b in bs}
        for a, bs in arrows.items()
    }
    core = {
        a: {b for b in known[a] if b in itertools.chain(*layers)}
        for a in itertools.chain(*layers)
        if a in known
    }
    places, ways = layout(layers, core)
    imported = {sort: set().union(*(known[name] for name in names)) for sort, names in plugins.items()}
    height = TOP + PITCH * len(layers) + 30
    parts = [_head(height, core)]
    above, wide = (PITCH - BOX_HEIGHT) // 2, ROOMS_WIDTH - 2 * MARGIN + 24
    parts += [
        f'  <rect class="band" x="{MARGIN - 12}" y="{_y(row) - above}" width="{wide}" height="{PITCH}" rx="10"/>'
        for row in range(0, len(layers), 2)
    ]
    parts += [f'  <path class="a" d="{_curve(points)}"/>' for points in ways]
    for row, names in enumerate(layers):
        for name in names:
            marks = [sort for sort, used in imported.items() if name in used]
            parts += _room(name, size.get(name, 0), places[name], _y(row), name in set(engine), marks)
    parts += _plugins(plugins, size, known, height)
    return "\n".join([*parts, "</svg>", ""])


def _head(height: int, arrows: Mapping[str, Iterable[str]]) -> str:
    told = (f"{a} imports {', '.join(sorted(others))}" for a, others in arrows.items() if others)
    return f"""\
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img" aria-labelledby="title desc"
    font-family="system-ui, -apple-system, 'Segoe UI', Helvetica, Arial, sans-serif">
  <title id="title">The rooms of pie_framework in their layers, and its plugins</title>
  <desc id="desc">{"; ".join(told)}.</desc>
  <style>{STYLE}
  </style>
  <defs>
    <marker id="head" viewBox="0 0 10 10" refX="8" refY="5" markerWidth="6.5" markerHeight="6.5" orient="auto">
      <path class="head" d="M0 0 10 5 0 10z"/>
    </marker>
  </defs>
  <rect class="bg" x="1" y="1" width="{WIDTH - 2}" height="{height - 2}" rx="14"/>
  <text class="t" x="{MARGIN}" y="40">pie_framework</text>
  <text class="s" x="{MARGIN + 160}" y="40">a room imports only rooms below it; an arrow that a longer way implies is
    left out</text>"""


def read_contracts(file: Path) -> tuple[list[list[str]], dict[str, list[str]]]:
    """Import-linter's layers, highest first, and the plugins of components and of commands."""
    contracts = tomllib.loads(file.read_text(encoding="utf-8"))["tool"]["importlinter"]["contracts"]
    layers = next(c["layers"] for c in contracts if c["type"] == "layers")
    plugins = {
        sort: sorted(
            next(c for c in contracts if c["name"].startswith(f"Plugins of {sort}"))["source_modules"]
        )
        for sort in ("commands", "components")
    }
    return [sorted(layer.replace("|", " ").split()) for layer in layers], plugins


# ---- where everything stands -------------------------------------------------------------------------------------

Point = tuple[float, float]


def layout(
    layers: Sequence[Sequence[str]], arrows: Mapping[str, Iterable[str]]
) -> tuple[dict[str, float], list[list[Point]]]:
    """The middle of each room's box, and the points that each arrow goes through.

    An arrow over several layers gets a place of its own in each of them, so that it passes between the boxes
    (Sugiyama, Tagawa and Toda 1981); rooms are put near those that they point at or that point at them.
    """
    graph = networkx.transitive_reduction(networkx.DiGraph([(a, b) for a, bs in arrows.items() for b in bs]))
    level = {name: row for row, names in enumerate(layers) for name in names}
    rows: list[list[str]] = [list(names) for names in layers]
    chains = []
    for a, b in sorted(graph.edges):
        bends = [f"{a}>{b}@{row}" for row in range(level[a] + 1, level[b])]
        for row, bend in enumerate(bends, level[a] + 1):
            rows[row].append(bend)
        chains.append([a, *bends, b])
    links = networkx.Graph()
    links.add_nodes_from(itertools.chain(*rows))
    for a, b in itertools.chain.from_iterable(map(itertools.pairwise, chains)):
        links.add_edge(a, b, weight=(1.0, 2.0, 16.0)[(">" in a) + (">" in b)])  # long arrows are straight
    x = _settle(_untangled(rows, links), links)
    ways = []
    for chain in chains:
        points = [(x[chain[0]], _y(level[chain[0]]) + BOX_HEIGHT)]
        for row, bend in enumerate(chain[1:-1], level[chain[0]] + 1):
            points += [(x[bend], _y(row) - 4.0), (x[bend], _y(row) + BOX_HEIGHT + 4.0)]
        ways.append([*points, (x[chain[-1]], float(_y(level[chain[-1]])))])
    return {name: x[name] for name in level}, _apart(ways)


def _untangled(rows: list[list[str]], links: Any) -> list[list[str]]:
    """The rows in an order in which few arrows cross: by the middle of the neighbours, down and up, the best kept."""
    best, fewest = rows, _crossings(rows, links)
    for sweep in range(40):
        order = range(1, len(rows)) if sweep % 2 == 0 else range(len(rows) - 2, -1, -1)
        rows = list(rows)
        for i in order:
            fixed = {name: k for k, name in enumerate(rows[i - 1 if sweep % 2 == 0 else i + 1])}
            middles = {}
            for k, name in enumerate(rows[i]):
                near = [fixed[other] / max(1, len(fixed) - 1) for other in links[name] if other in fixed]
                middles[name] = sum(near) / len(near) if near else k / max(1, len(rows[i]) - 1)
            rows[i] = sorted(rows[i], key=lambda name: middles[name])
        rows = _swapped(rows, links)
        if (crossings := _crossings(rows, links)) < fewest:
            best, fewest = rows, crossings
    return best


def _swapped(rows: list[list[str]], links: Any) -> list[list[str]]:
    """Neighbours change places where fewer arrows cross then."""
    rows = [list(row) for row in rows]
    for names in rows:
        for k in range(len(names) - 1):
            before = _crossings(rows, links)
            names[k : k + 2] = names[k + 1], names[k]
            if _crossings(rows, links) >= before:
                names[k : k + 2] = names[k + 1], names[k]
    return rows


def _crossings(rows: Sequence[Sequence[str]], links: Any) -> int:
    found = 0
    for upper, lower in itertools.pairwise(rows):
        place = {name: k for k, name in enumerate(lower)}
        ends = [(i, place[other]) for i, name in enumerate(upper) for other in links[name] if other in place]
        found += sum((a - c) * (b - d) < 0 for (a, b), (c, d) in itertools.combinations(ends, 2))
    return found


def _settle(rows: Sequence[Sequence[str]], links: Any) -> dict[str, float]:
    """x of everything: near the neighbours, in the order of the rows and apart, within the picture."""
    x = {}
    for row in rows:
        places = _offsets(row)
        shift = (ROOMS_WIDTH - places[-1]) / 2
        x.update({name: place + shift for name, place in zip(row, places, strict=True)})
    for _ in range(200):
        for row in rows:
            weights, wanted = [], []
            for name in row:
                near = {other: link["weight"] for other, link in links[name].items()} | {name: 0.2}
                weights.append(sum(near.values()))
                wanted.append(sum(x[other] * weight for other, weight in near.items()) / weights[-1])
                if ">" not in name:  # rooms also like the middle
                    wanted[-1] += 0.2 * (ROOMS_WIDTH / 2 - wanted[-1])
            places = _offsets(row)
            low, high = MARGIN + _half(row[0]), ROOMS_WIDTH - MARGIN - _half(row[-1]) - places[-1]
            free = _in_order([w - place for w, place in zip(wanted, places, strict=True)], weights)
            x.update({n: min(max(f, low), high) + p for n, f, p in zip(row, free, places, strict=True)})
    return x


def _half(name: str) -> float:
    return BOX / 2 if ">" not in name else 4.0


def _offsets(row: Sequence[str]) -> list[float]:
    """How far each stands from the first of a row at least."""
    steps = (_half(a) + GAP + _half(b) for a, b in itertools.pairwise(row))
    return [0.0, *itertools.accumulate(steps)]


def _in_order(values: Sequence[float], weights: Sequence[float]) -> list[float]:
    """The nearest values that do not fall (pool adjacent violators)."""
    pools: list[tuple[float, float, int]] = []
    for value, weight in zip(values, weights, strict=True):
        pool = (value, weight, 1)
        while pools and pools[-1][0] > pool[0]:
            mean, heavy, count = pools.pop()
            whole = heavy + pool[1]
            pool = ((mean * heavy + pool[0] * pool[1]) / whole, whole, count + pool[2])
        pools.append(pool)
    return [mean for mean, _, count in pools for _ in range(count)]


def _apart(ways: list[list[Point]]) -> list[list[Point]]:
    """Arrows that leave one box, or reach it, side by side in the order of where they go."""
    for end, beside in ((0, 1), (-1, -2)):
        at: dict[Point, list[list[Point]]] = {}
        for way in ways:
            at.setdefault(way[end], []).append(way)
        for (x, y), those in at.items():
            those.sort(key=lambda way: way[beside])
            for k, way in enumerate(those):
                way[end] = (x + (k - (len(those) - 1) / 2) * min(22.0, 100.0 / len(those)), y)
    return ways


# ---- ink ---------------------------------------------------------------------------------------------------------


def _y(row: int) -> int:
    return TOP + PITCH * row


def _curve(points: Sequence[Point]) -> str:
    text = f"M{points[0][0]:.0f} {points[0][1]:.0f}"
    for (x0, y0), (x1, y1) in itertools.pairwise(points):
        middle = (y0 + y1) / 2
        text += f"C{x0:.0f} {middle:.0f} {x1:.0f} {middle:.0f} {x1:.0f} {y1:.0f}"
    return text


def _room(name: str, lines: int, x: float, y: int, engine: bool, marks: Sequence[str]) -> Iterator[str]:
    look = "room engine" if engine else "room"
    yield (
        f'  <rect class="{look}" x="{x - BOX / 2:.0f}" y="{y}" width="{BOX}" height="{BOX_HEIGHT}" rx="9"/>'
        f'<text class="t m" x="{x:.0f}" y="{y + 23}">{name}</text>'
        f'<text class="s m" x="{x:.0f}" y="{y + 41}">{PURPOSES.get(name, "")}</text>'
        f'<text class="l m" x="{x:.0f}" y="{y + 58}">{lines}</text>'
    )
    for k, sort in enumerate(marks):
        yield f'  <circle class="{sort}" cx="{x - BOX / 2 + 12 + 14 * k:.0f}" cy="{y + BOX_HEIGHT}" r="5.5"/>'


def _plugins(
    plugins: Mapping[str, Sequence[str]],
    size: Mapping[str, int],
    arrows: Mapping[str, Iterable[str]],
    height: int,
) -> Iterator[str]:
    """A frame for each sort of plugin, with a line for each."""
    step = 30
    y = 28
    for sort, names in plugins.items():
        tall = 62 + step * len(names)
        yield f'  <rect class="frame" x="{SIDE}" y="{y}" width="{WIDTH - SIDE - MARGIN}" height="{tall}" rx="10"/>'
        yield f'  <circle class="{sort}" cx="{SIDE + 22}" cy="{y + 25}" r="7"/>'
        yield f'  <text class="t" x="{SIDE + 38}" y="{y + 31}">plugins of {sort}</text>'
        for k, name in enumerate(names):
            base = y + 64 + step * k
            yield f'  <text class="n" x="{SIDE + 22}" y="{base}">{name}</text>'
            yield f'  <text class="l e" x="{WIDTH - MARGIN - 18}" y="{base}">{size[name]}</text>'
            others = sorted(
                n.removeprefix("pie_") for n in arrows[name] if n in size and n.startswith("pie_")
            )
            if others:
                yield f'  <text class="s" x="{SIDE + 140}" y="{base}">→ {", ".join(others)}</text>'
        y += tall + 18
    notes = ("number: lines of code", "dot: a plugin of that colour imports it", "blue: the engine")
    for k, note in enumerate(notes):
        yield f'  <text class="s" x="{SIDE + 6}" y="{y + 12 + 20 * k}">{note}</text>'
