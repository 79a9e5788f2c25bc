"""The page of a bench: tables, the frontier, and the pictures of every method beside the truth. Imports no torch."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import Any

import pandas as pd
from PIL import Image, ImageChops

from pie_bench.columns import ASKED_ERROR, COLUMNS, TRUTH
from pie_bench.frontier import Point, frontier
from pie_bench.results import Results
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


def render_page(results: Results, folder: Path) -> str:
    """The page as HTML that needs nothing beside it; differences are made here.

    Args:
        results: of `summarise`.
        folder: of the bench; its pictures are read.
    """
    title = f"Benchmark {results.bench.get('set', '')}".strip()
    shown = [_section(table.title, _body(table)) for table in tables(results)]
    further = "".join(f"<h3>{escape(table.title)}</h3>{_body(table)}" for table in more_tables(results))
    summaries = html.table(("method", "what it is"), list(results.methods.items()))
    body = [
        _summary(results, title),
        _section("Methods", f'<div class="words">{summaries}</div>'),
        *shown[:2],
        _frontiers(results),
        *shown[2:],
        _section("Regions, and edit by edit", html.folded("Further tables", further)),
        _pictures(results, folder / "pictures"),
        _section("How it was made", html.folded("Settings", html.settings(results.bench))),
    ]
    style, script = html.resource("page.css", PACKAGE), html.resource("page.js", PACKAGE)
    return html.document(f"{title} · portrait embedding", body, style, script)


def _section(title: str, inner: str) -> str:
    return f"<section><h2>{escape(title)}</h2>{inner}</section>"


def _note(text: str) -> str:
    return f'<p class="note">{escape(text)}</p>'


def _summary(results: Results, title: str) -> str:
    counts = {
        "methods": len(results.methods),
        "portraits": results.rows["portrait"].nunique(),
        "edits": len(results.edits),
        "seeds": results.rows["seed"].nunique(),
        "pictures measured": len(results.rows),
    }
    facts = "".join(html.fact(name, str(count)) for name, count in counts.items())
    about = "Every edit is compared with its true result, which the world of these portraits can render."
    return (
        f"<header><h1>{escape(title)}</h1><p>{about} Choose a heading to sort by it; what is best in a column is "
        f'bold.</p></header><div class="facts">{facts}</div>'
    )


def _body(table: Table) -> str:
    rows = [[escape(name), *cells] for name, *cells in table.texts("<b>{}</b>", "<small>±{}</small>")]
    heads = ("method", *(head.heading for head in table.heads))
    return _note(table.note) + html.table(heads, rows, html=True, kind="sortable")


def _frontiers(results: Results) -> str:
    titles = {"edits": "perceptual distance to the true edit"}
    if base := results.baseline:
        titles = {
            "asked": f"asked against achieved, share of {base}'s error",
            "perceptual": f"perceptual distance to the true edit, share of {base}'s",
        }
    quality = results.parts[RECONSTRUCTION].get(("psnr", "mean"))
    plots = []
    for key, title in titles.items():
        error = results.shares[key] if base else results.parts[key].get(("perceptual", "mean"))
        if quality is not None and error is not None:
            both = pd.DataFrame({"x": quality, "y": error}).reindex(list(results.methods))
            points = [Point(str(name), x, y, place) for place, (name, x, y) in enumerate(both.itertuples())]
            plots.append(frontier(points, "reconstruction PSNR (dB)", title))
    shown = "".join(f'<div class="panel">{plot}</div>' for plot in plots if plot)
    note = "Better is further right and lower; the dashed line joins the methods that no other one beats in both."
    return _section("Frontier", f'{_note(note)}<div class="plots">{shown}</div>') if shown else ""


class _Gallery:
    """The pictures of a folder, each held once however often it is shown."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.uris: list[str] = []
        self.shown = functools.cache(self._shown)

    def _shown(self, of: str, name: str, alt: str) -> str:
        """A picture by its folder and name as HTML; an empty place when there is none."""
        return self._add(_open(self.folder / of / name), alt)

    def difference(self, of: str, name: str) -> str:
        """|made - true|, amplified, as HTML; an empty place when one is missing."""
        made, true = _open(self.folder / of / name), _open(self.folder / TRUTH / name)
        if made is None or true is None or made.size != true.size:
            return self._add(None, "")
        return self._add(ImageChops.difference(made, true).point(_AMPLIFY), "difference to the truth")

    def _add(self, picture: Image.Image | None, alt: str) -> str:
        if picture is None:
            return "<span></span>"
        self.uris.append(html.data_uri(picture, "WEBP"))
        return f'<img data-picture="{len(self.uris) - 1}" alt="{escape(alt)}">'


def _open(path: Path) -> Image.Image | None:
    try:
        with Image.open(path) as opened:
            picture: Image.Image = opened.convert("RGB")
    except (OSError, SyntaxError, ValueError):
        return None
    picture.thumbnail((SHOWN_SIDE, SHOWN_SIDE), Image.Resampling.LANCZOS)
    return picture


def _pictures(results: Results, folder: Path) -> str:
    gallery = _Gallery(folder)
    parts: list[str] = []
    several = results.rows.groupby("method", observed=True)["seed"].nunique().max() > 1
    for portrait, of_portrait in results.rows.groupby("portrait"):
        groups: list[str] = []
        for edit, rows in of_portrait.groupby("edit", observed=True):
            if (folder / TRUTH / f"{portrait}.{edit}.png").is_file():
                shown = "".join(_row(gallery, row, several) for row in rows.to_dict("records"))
                groups.append(_group(results, str(edit), shown, opened=not parts and not groups))
        if groups:
            parts.append(f"<h3>Portrait {portrait}</h3>{''.join(groups)}")
    if not parts:
        return ""
    note = f"Differences are absolute and amplified {AMPLIFIED} times; black is equal."
    # "<" is escaped, so that no text can end the element.
    stored = json.dumps(gallery.uris).replace("<", "\\u003c")
    kept = f'<script type="application/json" id="pictures">{stored}</script>'
    return _section("Pictures", f"{_note(note)}{''.join(parts)}{kept}")


def _group(results: Results, edit: str, rows: str, opened: bool) -> str:
    """All methods' pictures of one edit of one portrait."""
    whole = edit == RECONSTRUCTION
    heads = ["", "input", RECONSTRUCTION, *([] if whole else ["edit", "truth"]), f"difference × {AMPLIFIED}"]
    controls = "" if whole else " ".join(results.edits[edit][1])
    title = wording.title(edit) + (f": {controls}" if controls else "")
    top = "".join(f"<span>{escape(head)}</span>" for head in heads)
    kind = "comparison whole" if whole else "comparison"
    return (
        f'<details class="edit-group"{" open" if opened else ""}><summary>{escape(title)}</summary>'
        f'<div class="scroll"><div class="{kind}">{top}{rows}</div></div></details>'
    )


def _row(gallery: _Gallery, row: Mapping[Any, Any], several: bool) -> str:
    """One method's pictures with what was measured on them."""
    of, name = f"{row['method']}.{row['seed']}", f"{row['portrait']}.{row['edit']}.png"
    base = f"{row['portrait']}.{RECONSTRUCTION}.png"
    figures = [gallery.shown(TRUTH, base, "input"), gallery.shown(of, base, RECONSTRUCTION)]
    if row["edit"] != RECONSTRUCTION:
        figures += [gallery.shown(of, name, "edit"), gallery.shown(TRUTH, name, "truth")]
    figures.append(gallery.difference(of, name))
    asked = ASKED_ERROR.get(row["block"])
    texts = []
    for key in [*([asked] if asked else []), "psnr", "perceptual", "identity"]:
        column = COLUMNS[key]
        unit = f" {column.unit}" if column.unit else ""
        texts.append(f"{escape(column.title)} {html.number(row[key], column.form)}{unit}")
    label = row["method"] + (f", seed {row['seed']}" if several else "")
    return f"<p><b>{escape(label)}</b>{'<br>'.join(texts)}</p>{''.join(figures)}"
