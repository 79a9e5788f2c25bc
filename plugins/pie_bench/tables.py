"""The tables of a bench, the same in the terminal, in Markdown and on the page. Imports no torch.

python -m pie_bench.tables OUT > tables.md
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pie_bench.columns import ASKED_ERROR, COLUMNS, SECONDS, Column
from pie_bench.results import missing
from pie_bench.settings import RECONSTRUCTION

if TYPE_CHECKING:
    from rich.console import Console

#: Words of headings that are cut short in the terminal.
SHORT = {"perceptual": "percept.", "landmarks": "landm.", "expression": "expr.", "identity": "ident."}
BLOCK_TITLES = {"rotation": "Rotation", "expression": "Expression", "illumination": "Light"}
_RELATIVE = "edit error as a share of the baseline's"


@dataclass(frozen=True)
class Cell:
    """One number.

    Attributes:
        value: None where there is none.
        error: standard error of the mean over the portraits, None where there is none.
        best: whether no other method is better.
    """

    value: float | None
    error: float | None = None
    best: bool = False


@dataclass(frozen=True)
class Table:
    """Methods against columns.

    Attributes:
        title: what is measured.
        note: what a reader must know.
        heads: the columns after the method.
        rows: method -> one cell for each column.
    """

    title: str
    note: str
    heads: tuple[Column, ...]
    rows: Mapping[str, tuple[Cell, ...]]

    def heading(self, index: int) -> str:
        """The column's title, unit and which way is better."""
        column = self.heads[index]
        return f"{column.heading} {'↑' if column.higher else '↓'}"

    def text(self, index: int, cell: Cell, error: bool = True) -> str:
        """A cell as text: `1.23 ± 0.04`, a dash where there is no number."""
        if cell.value is None:
            return "–"
        form = self.heads[index].form
        spread = f" ± {cell.error:{form}}" if error and cell.error is not None else ""
        return f"{cell.value:{form}}{spread}"


def tables(results: Mapping[str, Any]) -> list[Table]:
    """The tables for the terminal: pictures, asked and achieved, and every kind of edit that was made."""
    found = [_pictures(results), _achieved(results)]
    return found + [_kind(results, block) for block in ASKED_ERROR if _has(results, block)]


def more_tables(results: Mapping[str, Any]) -> list[Table]:
    """Further tables, for pages: the regions of the pictures, and every edit by itself."""
    regions = [
        name for name in COLUMNS if name.startswith(("psnr", "ssim", "perceptual")) and name != "perceptual"
    ]
    found = [
        _of(results, f"{title}, by region", note, [(part, name) for name in regions])
        for part, title, note in (
            (RECONSTRUCTION, "Reconstruction", "The unedited portraits."),
            ("edits", "Edits", "All edits, against the true edits."),
        )
    ]
    for block, column in ASKED_ERROR.items():
        names = [name for name, edit in results["edits"].items() if edit["block"] == block]
        if names:
            about = COLUMNS[column]
            heads = tuple(
                Column(name, name.replace("_", " "), about.unit, about.form, about.higher, about.what)
                for name in names
            )
            rows = {
                method: [_cell(results["edits"][name]["methods"].get(method, {}), column) for name in names]
                for method in results["methods"]
            }
            title = f"{BLOCK_TITLES[block]}, edit by edit"
            found.append(_table(title, f"{about.what[0].upper()}{about.what[1:]}.", heads, rows))
    return found


def _pictures(results: Mapping[str, Any]) -> Table:
    chosen = [(RECONSTRUCTION, "psnr"), (RECONSTRUCTION, "ssim")]
    chosen += [("edits", name) for name in ("psnr", "psnr_face", "perceptual", "perceptual_face")]
    chosen += [(RECONSTRUCTION, SECONDS.name), ("edits", SECONDS.name)]
    note = "Reconstructions against the portraits, edits against the true edits. Means over the portraits"
    note += _spread(results) + "."
    return _of(results, "Likeness to the truth", note + _gaps(results), chosen, prefix=True)


def _achieved(results: Mapping[str, Any]) -> Table:
    parts = [(block, column) for block, column in ASKED_ERROR.items() if _has(results, block)]
    baseline = results["baseline"]
    heads = [COLUMNS[column] for _, column in parts] + [COLUMNS["identity"]]
    rows = {
        name: [_cell(method[part], column) for part, column in [*parts, ("edits", "identity")]]
        for name, method in results["methods"].items()
    }
    note = "What the judge reads in the edits against what it reads in the true edits: yaw over the edits of "
    note += "rotation, landmarks over those of expression, light over those of illumination."
    if baseline:
        for key, title in (("asked", "error / "), ("perceptual", "perceptual / ")):
            heads.append(Column(key, f"{title}{baseline}", "", ".3f", False, _RELATIVE))
            for name, method in results["methods"].items():
                rows[name].append(Cell(method["relative"][key]))
        note += f" Error / {baseline} is the mean of the three errors, each as a share of {baseline}'s."
    return _table("Asked and achieved", note, tuple(heads), rows)


def _kind(results: Mapping[str, Any], block: str) -> Table:
    names = [ASKED_ERROR[block], *(["pitch_error"] if block == "rotation" else []), "landmark_px"]
    names += ["psnr", "psnr_face", "ssim", "perceptual", "perceptual_face", "identity"]
    edits = [name.replace("_", " ") for name, edit in results["edits"].items() if edit["block"] == block]
    note = f"Mean over {', '.join(edits)}."
    return _of(results, f"{BLOCK_TITLES[block]} edits", note, [(block, name) for name in names])


def _of(
    results: Mapping[str, Any], title: str, note: str, chosen: Sequence[tuple[str, str]], prefix: bool = False
) -> Table:
    """A table of columns, each of a part of the statistics; with `prefix` the headings name the part."""
    heads = []
    for part, name in chosen:
        column = SECONDS if name == SECONDS.name else COLUMNS[name]
        if prefix:
            place = "recon." if part == RECONSTRUCTION else "edit"
            text = f"{place} {column.title}"
            column = Column(name, text, column.unit, column.form, column.higher, column.what)
        heads.append(column)
    rows = {
        method: [_cell(about[part], name) for part, name in chosen]
        for method, about in results["methods"].items()
    }
    return _table(title, note, tuple(heads), rows)


def _table(title: str, note: str, heads: tuple[Column, ...], rows: Mapping[str, Sequence[Cell]]) -> Table:
    """The table with the best of every column marked, where there are several methods."""
    best: list[float | None] = []
    for index, column in enumerate(heads):
        values = [cells[index].value for cells in rows.values()]
        there = [value for value in values if value is not None]
        choose = max if column.higher else min
        best.append(choose(there) if len(there) > 1 else None)
    marked = {
        name: tuple(
            Cell(cell.value, cell.error, cell.value is not None and cell.value == top)
            for cell, top in zip(cells, best, strict=True)
        )
        for name, cells in rows.items()
    }
    return Table(title, note, heads, marked)


def _cell(stats: Mapping[str, Mapping[str, Any]], column: str) -> Cell:
    found = stats.get(column)
    return Cell(None) if found is None else Cell(found["mean"], found["error"])


def _has(results: Mapping[str, Any], block: str) -> bool:
    return any(edit["block"] == block for edit in results["edits"].values())


def _spread(results: Mapping[str, Any]) -> str:
    several = any(method["portraits"] > 1 for method in results["methods"].values())
    return ", ± their standard error" if several else ""


def _gaps(results: Mapping[str, Any]) -> str:
    gaps = missing(results)
    texts = [f"{name} ({there} of {all_} pictures)" for name, (there, all_) in gaps.items()]
    return f" Incomplete: {', '.join(texts)}." if texts else ""


def print_tables(results: Mapping[str, Any], console: Console) -> None:
    """The tables in the terminal; standard errors where it is wide."""
    from rich import box
    from rich.table import Table as RichTable

    for table in tables(results):
        wide = console.width >= 16 + 18 * len(table.heads)
        shown = RichTable(
            title=table.title,
            caption=table.note,
            title_justify="left",
            caption_justify="left",
            box=box.SIMPLE_HEAD,
        )
        shown.add_column("method", no_wrap=True)
        for index in range(len(table.heads)):
            words = [SHORT.get(word, word) for word in table.heading(index).split(" ")]
            shown.add_column(" ".join(words), justify="right", overflow="fold")
        for name, cells in table.rows.items():
            texts = [table.text(index, cell, error=wide) for index, cell in enumerate(cells)]
            styled = [f"[bold]{text}[/]" if c.best else text for text, c in zip(texts, cells, strict=True)]
            shown.add_row(name, *styled)
        console.print(shown)


def markdown_tables(results: Mapping[str, Any], level: int = 3) -> str:
    """All tables in Markdown, with headings of a level; what is best in a column is bold."""
    parts = []
    for table in (*tables(results), *more_tables(results)):
        heads = ["method", *(table.heading(index) for index in range(len(table.heads)))]
        lines = ["| " + " | ".join(heads) + " |", "|:--" + "|--:" * len(table.heads) + "|"]
        for name, cells in table.rows.items():
            texts = [table.text(index, cell) for index, cell in enumerate(cells)]
            marked = [f"**{text}**" if c.best else text for text, c in zip(texts, cells, strict=True)]
            lines.append("| " + " | ".join([name, *marked]) + " |")
        parts.append("\n".join([f"{'#' * level} {table.title}", "", table.note, "", *lines]))
    return "\n\n".join(parts) + "\n"


if __name__ == "__main__":
    from pie_bench.report import script

    raise SystemExit(script([*sys.argv[1:], "--markdown"]))
