"""Rows, what was measured on one picture each, and what they come to: means, standard errors, shares of the baseline.

Imports pandas and no torch.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pie_bench.columns import ASKED_ERROR, COLUMNS, SECONDS
from pie_bench.jobs import ROWS
from pie_bench.settings import RECONSTRUCTION
from pie_framework.errors import RunError
from pie_framework.files.io import jsonable, write_text

#: What a row says beside its measures: the method with its seed, the portrait's number, the edit ("reconstruction" for
#: none), the block that it touches ("none" for none), and the seconds for embedding one portrait, or for one edit.
KEYS = ("method", "seed", "portrait", "edit", "block", SECONDS.name)
MEASURED = [*COLUMNS, SECONDS.name]
#: The method that the others' edit errors are compared with.
BASELINE = "synth"


def write_rows(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Write rows as JSON lines, atomically; a measure that is not a number becomes null."""
    write_text(path, "".join(json.dumps(jsonable(row), allow_nan=False) + "\n" for row in rows))


def read_rows(folder: Path) -> pd.DataFrame:
    """Every row of a bench with `KEYS` and `COLUMNS`; RunError for a file that is none of rows."""
    found = []
    for path in sorted((folder / ROWS).glob("*.jsonl")):
        try:
            records = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
            rows = pd.DataFrame([{key: record[key] for key in KEYS} | record for record in records])
            found.append(rows.reindex(columns=[*KEYS, *COLUMNS]).astype(dict.fromkeys(MEASURED, float)))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise RunError(f"'{path}' is not a file of rows: {error}") from error
    return pd.concat(found, ignore_index=True) if found else pd.DataFrame(columns=[*KEYS, *COLUMNS])


@dataclass(frozen=True)
class Results:
    """Everything the tables and the page show.

    Attributes:
        bench: settings and methods, as in bench.json.
        rows: one per picture, by method, seed, portrait and edit.
        methods: name -> summary, in the order of the bench.
        edits: name -> its block and its words, in the order of the bench.
        parts: statistics of the "reconstruction", of all "edits" and of those of each block, see `statistics`.
        of_edit: statistics of each edit.
        shares: edit errors as shares of the baseline's, see `shares`; without columns where the baseline is not there.
    """

    bench: Mapping[str, Any]
    rows: pd.DataFrame
    methods: Mapping[str, str]
    edits: Mapping[str, tuple[str, list[str]]]
    parts: Mapping[str, pd.DataFrame]
    of_edit: Mapping[str, pd.DataFrame]
    shares: pd.DataFrame

    @property
    def baseline(self) -> str | None:
        """The method that the shares are of."""
        return BASELINE if BASELINE in self.methods else None

    def missing(self) -> dict[str, tuple[int, int]]:
        """Methods that lack pictures which others have: name -> (how many there are, of how many)."""
        wanted = len(self.rows[["seed", "portrait", "edit"]].drop_duplicates())
        counts = self.rows.groupby("method", observed=True).size()
        return {str(name): (int(count), wanted) for name, count in counts.items() if count < wanted}

    def to_json(self) -> dict[str, Any]:
        """As JSON's own types: results.json.

        `methods`: name -> `summary`, `seeds`, `portraits`, `pictures`, statistics of each part, and `relative`, the
        shares; `edits`: name -> `block`, `controls` and the statistics of every method; `rows`. Statistics are column
        -> `mean`, `error` (null for a single portrait) and `portraits`; a column without any value is missing.
        """
        methods = {}
        for name, summary in self.methods.items():
            own = self.rows[self.rows["method"] == name]
            methods[name] = {
                "summary": summary,
                "seeds": sorted(set(own["seed"])),
                "portraits": own["portrait"].nunique(),
                "pictures": len(own),
                **{part: _plain(stats, name) for part, stats in self.parts.items()},
                "relative": self.shares.loc[name].to_dict(),
            }
        edits = {
            name: {
                "block": block,
                "controls": controls,
                "methods": {method: _plain(self.of_edit[name], method) for method in self.methods},
            }
            for name, (block, controls) in self.edits.items()
        }
        rows = self.rows.to_dict("records")
        plain: dict[str, Any] = jsonable(
            {"bench": self.bench, "baseline": self.baseline, "methods": methods, "edits": edits, "rows": rows}
        )
        return plain


def _plain(stats: pd.DataFrame, method: str) -> dict[str, dict[str, Any]]:
    """The statistics of one method by column, those that have a value."""
    if method not in stats.index:
        return {}
    own = stats.loc[method].unstack()
    return {
        name: {
            "mean": own["mean"][name],
            "error": own["error"][name],
            "portraits": int(own["portraits"][name]),
        }
        for name in MEASURED
        if own["portraits"][name] > 0
    }


def summarise(rows: pd.DataFrame, bench: Mapping[str, Any]) -> Results:
    """What rows come to.

    Args:
        rows: of which the last one counts where several are of the same picture.
        bench: the settings and methods of the bench, as in its bench.json; says in which order methods and edits come.

    Raises:
        RunError: there is no row.
    """
    if rows.empty:
        raise RunError("there is nothing to report: no row was written yet", "Run `pie bench` first.")
    rows = rows.drop_duplicates(["method", "seed", "portrait", "edit"], keep="last")
    summaries = {str(name): str(about.get("summary", "")) for name, about in bench.get("methods", {}).items()}
    words = {str(name): about for name, about in bench.get("edits", {}).items()}
    methods = _ordered(rows["method"], summaries)
    edits = _ordered(rows.loc[rows["edit"] != RECONSTRUCTION, "edit"], words)
    rows = rows.assign(
        method=pd.Categorical(rows["method"], methods, ordered=True),
        edit=pd.Categorical(rows["edit"], [RECONSTRUCTION, *edits], ordered=True),
    ).sort_values(["method", "seed", "portrait", "edit"], ignore_index=True)
    made, blocks = rows["edit"] != RECONSTRUCTION, rows.groupby("edit", observed=True)["block"].first()
    parts = {RECONSTRUCTION: rows[~made], "edits": rows[made]}
    parts |= {block: rows[rows["block"] == block] for block in ASKED_ERROR}
    return Results(
        bench,
        rows,
        {name: summaries.get(name, "") for name in methods},
        {n: (str(blocks[n]), [str(word) for word in words.get(n, {}).get("controls", ())]) for n in edits},
        {part: statistics(some) for part, some in parts.items()},
        {name: statistics(rows[rows["edit"] == name]) for name in edits},
        shares(rows, methods),
    )


def _ordered(names: Iterable[str], first: Iterable[str]) -> list[str]:
    """The names there are, each once: those of `first` in its order, then the others by the alphabet."""
    there, order = set(names), list(first)
    return [name for name in order if name in there] + sorted(there.difference(order))


def statistics(rows: pd.DataFrame) -> pd.DataFrame:
    """Means over the portraits, of each portrait's mean over its rows, with their standard errors.

    Returns:
        Methods against (column, "mean"), (column, "error") and (column, "portraits"). Values that are not finite are
        left out; without any the mean is NaN, and so is the error of a single one.
    """
    finite = rows[MEASURED].where(np.isfinite(rows[MEASURED]))
    portraits = finite.groupby([rows["method"], rows["portrait"]], observed=True).mean()
    stats = portraits.groupby("method", observed=True).agg(["mean", "sem", "count"])
    return stats.rename(columns={"sem": "error", "count": "portraits"}, level=1)


def shares(rows: pd.DataFrame, methods: Sequence[str]) -> pd.DataFrame:
    """How large the methods' edit errors are as shares of the baseline's; 1 is the same, less is better.

    Over the portraits and edits that both have. `rotation`, `expression`, `illumination`: the mean error of what was
    achieved against what was asked, over the baseline's. `asked`: mean of these three, of those there are.
    `perceptual`, `perceptual_face`: the same for the distance of all edits to the truth. NaN where the baseline has no
    such error.
    """
    measured = {block: (column, rows["block"] == block) for block, column in ASKED_ERROR.items()}
    made = rows["edit"] != RECONSTRUCTION
    measured |= {column: (column, made) for column in ("perceptual", "perceptual_face")}
    keys = pd.MultiIndex.from_frame(rows[["portrait", "edit"]].astype({"edit": str}))
    of_method = {name: rows["method"] == name for name in methods}
    based = of_method.get(BASELINE, pd.Series(False, rows.index))
    found = pd.DataFrame(
        index=methods, columns=[*ASKED_ERROR, "asked", "perceptual", "perceptual_face"], dtype=float
    )
    for name, own in of_method.items():
        both = keys.isin(keys[own]) & keys.isin(keys[based])
        for share, (column, chosen) in measured.items():
            values = rows[column].where(np.isfinite(rows[column]) & chosen & both)
            base = values[based].mean()
            found.loc[name, share] = values[own].mean() / base if base > 0 else np.nan
    found["asked"] = found[list(ASKED_ERROR)].mean(axis=1)
    return found
