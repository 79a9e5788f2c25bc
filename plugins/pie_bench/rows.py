"""Rows: what was measured on one picture, one JSON object per line. Imports no torch."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pie_framework.errors import RunError
from pie_framework.files.io import jsonable, write_text

FOLDER = "rows"
#: What a row says beside its measures.
KEYS = ("method", "seed", "portrait", "edit", "block", "seconds")


@dataclass(frozen=True)
class Row:
    """One picture's measures.

    Attributes:
        method: its name.
        seed: of the method.
        portrait: its number.
        edit: its name, "reconstruction" for none.
        block: "rotation", "expression", "illumination", or "none".
        seconds: for the embedding of one portrait, or for one edit.
        measures: by name.
    """

    method: str
    seed: int
    portrait: int
    edit: str
    block: str
    seconds: float
    measures: Mapping[str, float]

    def to_json(self) -> dict[str, Any]:
        """All in one mapping."""
        return {key: getattr(self, key) for key in KEYS} | dict(self.measures)


def write(path: Path, rows: Iterable[Row]) -> None:
    """Write rows as JSON lines, atomically."""
    lines = [json.dumps(jsonable(row.to_json()), allow_nan=False) for row in rows]
    write_text(path, "".join(line + "\n" for line in lines))


def read(path: Path) -> list[Row]:
    """The rows of a file; RunError when it is no file of rows. A measure that is null is not a number (nan)."""
    try:
        values = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        return [
            Row(
                **{key: value[key] for key in KEYS},
                measures={
                    k: float("nan") if v is None else float(v) for k, v in value.items() if k not in KEYS
                },
            )
            for value in values
        ]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RunError(f"'{path}' is not a file of rows: {error}") from error


def read_all(folder: Path) -> list[Row]:
    """Every row of a bench, by method, seed, portrait and edit in the order of the files."""
    return [row for path in sorted((folder / FOLDER).glob("*.jsonl")) for row in read(path)]
