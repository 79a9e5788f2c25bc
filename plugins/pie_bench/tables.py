"""The tables of a bench, the same in the terminal, in Markdown and on the page. Imports no torch."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pandas as pd

from pie_bench.columns import ASKED_ERROR, COLUMNS, SECONDS, Column
from pie_bench.results import Results
from pie_bench.settings import RECONSTRUCTION

if TYPE_CHECKING:
    from rich.console import Console

#: Words of headings that are cut short in the terminal.
SHORT = {"perceptual": "percept.", "landmarks": "landm.", "expression": "expr.", "identity": "ident."}
BLOCK_TITLES = {"rotation": "Rotation", "expression": "Expression", "illumination": "Light"}
_LIKENESS = ("psnr", "psnr_face", "ssim", "perceptual", "perceptual_face", "identity")


@dataclass(frozen=True)
class Table:
    """Methods against columns.

    Attributes:
        title: what is measured.
        note: what a reader must know.
        heads: the columns after the method.
        means: methods against the columns by number; NaN where there is no value.
        errors: standard errors of the means over the portraits, of the same shape; NaN where there is none.
    """

    title: str
    note: str
    heads: tuple[Column, ...]
    means: pd.DataFrame
    errors: pd.DataFrame

    @property
    def best(self) -> pd.DataFrame:
        """Where a column's best value stands, if there are several."""
        higher = pd.Series([head.higher for head in self.heads])
        top = self.means.max().where(higher, self.means.min()).where(self.means.count() > 1)
        return self.means == top

    def texts(self, best: str, spread: str = "") -> list[list[str]]:
        """The rows as text: the method, then its values, with a dash where there is none.

        Args:
            best: how the best of a column is written, with {} for the number.
            spread: how a standard error is written behind the number; "" for not at all.
        """
        rows, marked = [], self.best
        for name in self.means.index:
            row = [str(name)]
            for i, head in enumerate(self.heads):
                value, error = self.means.loc[name, i], self.errors.loc[name, i]
                text = "–" if math.isnan(value) else format(value, head.form)
                text += "" if math.isnan(error) or not spread else spread.format(format(error, head.form))
                row.append(best.format(text) if marked.loc[name, i] else text)
            rows.append(row)
        return rows


def tables(results: Results) -> list[Table]:
    """The tables for the terminal: pictures, asked and achieved, and every kind of edit that was made."""
    found = [_pictures(results), _achieved(results)]
    for block, names in _edits_by_block(results).items():
        chosen = [
            ASKED_ERROR[block],
            *(["pitch_error"] if block == "rotation" else []),
            "landmark_px",
            *_LIKENESS,
        ]
        note = f"Mean over {', '.join(name.replace('_', ' ') for name in names)}."
        stats = results.parts[block]
        found.append(
            _table(results, f"{BLOCK_TITLES[block]} edits", note, [(COLUMNS[n], stats) for n in chosen])
        )
    return found


def more_tables(results: Results) -> list[Table]:
    """Further tables, for pages: the regions of the pictures, and every edit by itself."""
    regions = [c for n, c in COLUMNS.items() if n.startswith(("psnr", "ssim", "perceptual_"))]
    parts = {
        RECONSTRUCTION: ("Reconstruction, by region", "The unedited portraits."),
        "edits": ("Edits, by region", "All edits, against the true edits."),
    }
    found = [
        _table(results, title, note, [(column, results.parts[part]) for column in regions])
        for part, (title, note) in parts.items()
    ]
    for block, names in _edits_by_block(results).items():
        column = COLUMNS[ASKED_ERROR[block]]
        chosen = [(column._replace(title=name.replace("_", " ")), results.of_edit[name]) for name in names]
        note = f"{column.what[0].upper()}{column.what[1:]}."
        found.append(_table(results, f"{BLOCK_TITLES[block]}, edit by edit", note, chosen))
    return found


def _edits_by_block(results: Results) -> dict[str, list[str]]:
    """Blocks that are edited, with the names of their edits."""
    found = {
        block: [n for n, (touched, _) in results.edits.items() if touched == block] for block in ASKED_ERROR
    }
    return {block: names for block, names in found.items() if names}


def _pictures(results: Results) -> Table:
    whole, edits = results.parts[RECONSTRUCTION], results.parts["edits"]
    chosen = [(COLUMNS[n], whole) for n in ("psnr", "ssim")]
    chosen += [(COLUMNS[n], edits) for n in ("psnr", "psnr_face", "perceptual", "perceptual_face")]
    chosen += [(SECONDS, whole), (SECONDS, edits)]
    named = [(c._replace(title=f"{'recon.' if s is whole else 'edit'} {c.title}"), s) for c, s in chosen]
    note = "Reconstructions against the portraits, edits against the true edits. Means over the portraits"
    note += ", ± their standard error." if results.rows["portrait"].nunique() > 1 else "."
    gaps = [f"{name} ({there} of {every} pictures)" for name, (there, every) in results.missing().items()]
    note += f" Incomplete: {', '.join(gaps)}." if gaps else ""
    return _table(results, "Likeness to the truth", note, named)


def _achieved(results: Results) -> Table:
    chosen = [(COLUMNS[ASKED_ERROR[block]], results.parts[block]) for block in _edits_by_block(results)]
    chosen.append((COLUMNS["identity"], results.parts["edits"]))
    note = "What the judge reads in the edits against what it reads in the true edits: yaw over the edits of "
    note += "rotation, landmarks over those of expression, light over those of illumination."
    if (base := results.baseline) is not None:
        shares = pd.concat({"mean": results.shares}, axis=1).swaplevel(axis=1)
        chosen.append((Column("asked", f"error / {base}", "", ".3f", False), shares))
        chosen.append((Column("perceptual", f"perceptual / {base}", "", ".3f", False), shares))
        note += f" Error / {base} is the mean of the three errors, each as a share of {base}'s."
    return _table(results, "Asked and achieved", note, chosen)


def _table(results: Results, title: str, note: str, chosen: Sequence[tuple[Column, pd.DataFrame]]) -> Table:
    """A table of columns, each with the statistics that it is taken from."""

    def values(what: str) -> pd.DataFrame:
        found = {
            i: stats.get((column.name, what), pd.Series(dtype=float))
            for i, (column, stats) in enumerate(chosen)
        }
        return (
            pd.DataFrame(found).reindex(index=list(results.methods), columns=range(len(chosen))).astype(float)
        )

    return Table(title, note, tuple(column for column, _ in chosen), values("mean"), values("error"))


def print_tables(results: Results, console: Console) -> None:
    """The tables in the terminal; standard errors where it is wide."""
    from rich import box
    from rich.table import Table as RichTable

    for table in tables(results):
        shown = RichTable(
            title=table.title,
            caption=table.note,
            title_justify="left",
            caption_justify="left",
            box=box.SIMPLE_HEAD,
        )
        shown.add_column("method", no_wrap=True)
        for head in table.heads:
            words = [SHORT.get(word, word) for word in head.heading.split(" ")]
            shown.add_column(" ".join(words), justify="right", overflow="fold")
        wide = console.width >= 16 + 18 * len(table.heads)
        for row in table.texts("[bold]{}[/]", " ± {}" if wide else ""):
            shown.add_row(*row)
        console.print(shown)


def markdown_tables(results: Results, level: int = 3) -> str:
    """All tables in Markdown, with headings of a level; what is best in a column is bold."""
    parts = []
    for table in (*tables(results), *more_tables(results)):
        rows = [["method", *(head.heading for head in table.heads)], *table.texts("**{}**", " ± {}")]
        lines = ["| " + " | ".join(row) + " |" for row in rows]
        lines.insert(1, "|:--" + "|--:" * len(table.heads) + "|")
        parts.append("\n".join([f"{'#' * level} {table.title}", "", table.note, "", *lines]))
    return "\n\n".join(parts) + "\n"
