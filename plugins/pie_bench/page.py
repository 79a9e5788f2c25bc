"""The page of a bench: tables, the frontier, and the pictures of every method beside the truth. Imports no torch."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from html import escape
from pathlib import Path
from typing import Any

from PIL import Image, ImageChops

from pie_bench.columns import ASKED_ERROR, COLUMNS, TRUTH
from pie_bench.frontier import Point, frontier
from pie_bench.settings import RECONSTRUCTION
from pie_bench.tables import Table, more_tables, tables
from pie_framework.editing import wording
from pie_framework.runs.report import html

#: Pictures are shown at most this large.
SHOWN_SIDE = 256
#: How much the difference to the truth is amplified.
AMPLIFIED = 3
_AMPLIFY = [min(255, AMPLIFIED * value) for value in range(256)] * 3
PACKAGE = "pie_bench"


def render_page(results: Mapping[str, Any], folder: Path) -> str:
    """The page as HTML that needs nothing beside it; differences are made here.

    Args:
        results: of `summarise`.
        folder: of the bench; its pictures are read.
    """
    bench = results["bench"]
    title = f"Benchmark {bench.get('set', '')}".strip()
    further = "".join(_table(table) for table in more_tables(results))
    body = [
        _summary(results, title),
        _methods(results),
        *(_section(table) for table in tables(results)[:2]),
        _frontiers(results),
        *(_section(table) for table in tables(results)[2:]),
        f"<section><h2>Regions, and edit by edit</h2>{html.folded('Further tables', further)}</section>",
        _pictures(results, folder / "pictures"),
        f"<section><h2>How it was made</h2>{html.folded('Settings', html.settings(bench))}</section>",
    ]
    return html.document(
        f"{title} · portrait embedding",
        body,
        html.resource("page.css", PACKAGE),
        html.resource("page.js", PACKAGE),
    )


def _summary(results: Mapping[str, Any], title: str) -> str:
    rows = results["rows"]
    counts = {
        "methods": len(results["methods"]),
        "portraits": len({row["portrait"] for row in rows}),
        "edits": len(results["edits"]),
        "seeds": len({row["seed"] for row in rows}),
        "pictures measured": len(rows),
    }
    facts = "".join(html.fact(name, str(count)) for name, count in counts.items())
    about = "Every edit is compared with its true result, which the world of these portraits can render."
    return (
        f"<header><h1>{escape(title)}</h1><p>{about} Choose a heading to sort by it; what is best in a column is "
        f'bold.</p></header><div class="facts">{facts}</div>'
    )


def _methods(results: Mapping[str, Any]) -> str:
    rows = [(name, method["summary"]) for name, method in results["methods"].items()]
    table = f'<div class="words">{html.table(("method", "what it is"), rows)}</div>'
    return f"<section><h2>Methods</h2>{table}</section>"


def _section(table: Table) -> str:
    return f"<section><h2>{escape(table.title)}</h2>{_body(table)}</section>"


def _table(table: Table) -> str:
    return f"<h3>{escape(table.title)}</h3>{_body(table)}"


def _body(table: Table) -> str:
    rows = []
    for name, cells in table.rows.items():
        shown = [escape(name)]
        for index, cell in enumerate(cells):
            text = table.text(index, cell, error=False)
            spread = "" if cell.error is None else f"<small>±{cell.error:{table.heads[index].form}}</small>"
            shown.append((f"<b>{text}</b>" if cell.best else text) + spread)
        rows.append(shown)
    heads = ("method", *(table.heading(index) for index in range(len(table.heads))))
    note = f'<p class="note">{escape(table.note)}</p>'
    return note + html.table(heads, rows, html=True, kind="sortable")


def _frontiers(results: Mapping[str, Any]) -> str:
    baseline, plots = results["baseline"], []
    titles = {
        "asked": f"asked against achieved, share of {baseline}'s error",
        "perceptual": f"perceptual distance to the true edit, share of {baseline}'s",
    }
    if not baseline:
        titles = {"edits": "perceptual distance to the true edit"}
    for key, title in titles.items():
        points = []
        for place, (name, method) in enumerate(results["methods"].items()):
            quality = method[RECONSTRUCTION].get("psnr", {}).get("mean")
            error = method["relative"].get(key) if baseline else method[key].get("perceptual", {}).get("mean")
            if quality is not None and error is not None:
                points.append(Point(name, quality, error, place))
        plots.append(frontier(points, "reconstruction PSNR (dB)", title))
    shown = "".join(f'<div class="panel">{plot}</div>' for plot in plots if plot)
    if not shown:
        return ""
    note = "Better is further right and lower; the dashed line joins the methods that no other one beats in both."
    return f'<section><h2>Frontier</h2><p class="note">{escape(note)}</p><div class="plots">{shown}</div></section>'


class _Gallery:
    """The pictures of a folder, each held once however often it is shown."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.uris: list[str] = []
        self._places: dict[tuple[str, ...], int | None] = {}

    def shown(self, of: str, name: str, alt: str) -> str:
        """A picture by its folder and name as HTML; an empty place when there is none."""
        return self._html((of, name), lambda: _open(self.folder / of / name), alt)

    def difference(self, of: str, name: str, true_name: str) -> str:
        """|made - true|, amplified, as HTML; an empty place when one is missing."""

        def make() -> Image.Image | None:
            made, true = _open(self.folder / of / name), _open(self.folder / TRUTH / true_name)
            if made is None or true is None or made.size != true.size:
                return None
            amplified: Image.Image = ImageChops.difference(made, true).point(_AMPLIFY)
            return amplified

        return self._html((of, name, true_name), make, "difference to the truth")

    def _html(self, key: tuple[str, ...], make: Callable[[], Image.Image | None], alt: str) -> str:
        if key not in self._places:
            picture = make()
            self._places[key] = None if picture is None else len(self.uris)
            if picture is not None:
                self.uris.append(html.data_uri(picture, "WEBP"))
        place = self._places[key]
        return "<span></span>" if place is None else f'<img data-picture="{place}" alt="{escape(alt)}">'


def _open(path: Path) -> Image.Image | None:
    try:
        with Image.open(path) as opened:
            picture: Image.Image = opened.convert("RGB")
    except (OSError, SyntaxError, ValueError):
        return None
    picture.thumbnail((SHOWN_SIDE, SHOWN_SIDE), Image.Resampling.LANCZOS)
    return picture


def _pictures(results: Mapping[str, Any], folder: Path) -> str:
    gallery = _Gallery(folder)
    rows: dict[tuple[int, str], list[Mapping[str, Any]]] = {}
    for row in results["rows"]:
        if (folder / TRUTH / f"{row['portrait']}.{row['edit']}.png").is_file():
            rows.setdefault((row["portrait"], row["edit"]), []).append(row)
    parts: list[str] = []
    order = {name: index for index, name in enumerate((RECONSTRUCTION, *results["edits"]))}
    several = any(len(method["seeds"]) > 1 for method in results["methods"].values())
    for portrait in sorted({number for number, _ in rows}):
        edits = sorted((edit for number, edit in rows if number == portrait), key=order.__getitem__)
        groups = []
        for edit in edits:
            shown = "".join(_row(gallery, row, several) for row in rows[portrait, edit])
            groups.append(_group(results, edit, shown, opened=not parts and edit == edits[0]))
        parts.append(f"<h3>Portrait {portrait}</h3>{''.join(groups)}")
    if not parts:
        return ""
    note = f"Differences are absolute and amplified {AMPLIFIED} times; black is equal."
    # "<" is escaped, so that no text can end the element.
    stored = json.dumps(gallery.uris).replace("<", "\\u003c")
    return (
        f'<section><h2>Pictures</h2><p class="note">{note}</p>{"".join(parts)}'
        f'<script type="application/json" id="pictures">{stored}</script></section>'
    )


def _group(results: Mapping[str, Any], edit: str, rows: str, opened: bool) -> str:
    """All methods' pictures of one edit of one portrait."""
    whole = edit == RECONSTRUCTION
    heads = ["", "input", RECONSTRUCTION, *([] if whole else ["edit", "truth"]), f"difference × {AMPLIFIED}"]
    controls = "" if whole else " ".join(results["edits"][edit]["controls"])
    title = wording.title(edit) + (f": {controls}" if controls else "")
    top = "".join(f"<span>{escape(head)}</span>" for head in heads)
    kind = "comparison whole" if whole else "comparison"
    return (
        f'<details class="edit-group"{" open" if opened else ""}><summary>{escape(title)}</summary>'
        f'<div class="scroll"><div class="{kind}">{top}{rows}</div></div></details>'
    )


def _row(gallery: _Gallery, row: Mapping[str, Any], several: bool) -> str:
    """One method's pictures with what was measured on them."""
    of, name = f"{row['method']}.{row['seed']}", f"{row['portrait']}.{row['edit']}.png"
    base = f"{row['portrait']}.{RECONSTRUCTION}.png"
    figures = [gallery.shown(TRUTH, base, "input"), gallery.shown(of, base, RECONSTRUCTION)]
    if row["edit"] != RECONSTRUCTION:
        figures += [gallery.shown(of, name, "edit"), gallery.shown(TRUTH, name, "truth")]
    figures.append(gallery.difference(of, name, name))
    asked = ASKED_ERROR.get(row["block"])
    texts = []
    for key in [*([asked] if asked else []), "psnr", "perceptual", "identity"]:
        column = COLUMNS[key]
        unit = f" {column.unit}" if column.unit else ""
        texts.append(f"{escape(column.title)} {html.number(row.get(key), column.form)}{unit}")
    label = row["method"] + (f", seed {row['seed']}" if several else "")
    return f"<p><b>{escape(label)}</b>{'<br>'.join(texts)}</p>{''.join(figures)}"
