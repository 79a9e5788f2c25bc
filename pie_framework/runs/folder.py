"""The folder of a run: what lies in it under which name, and the manifest that explains it.

    run.json                 the manifest
    latent.safetensors       w as W+, (B, L, D)
    input.png                the aligned portrait, at the generator's resolution
    reconstruction.png       G(w)
    edits/NAME.png .json     edited pictures with their self-check; sweeps also as strip, GIF and WebP
    sheet.png                all of these on one sheet
    energies.csv             every term at every step
    report.html              all of these to read, in one file
    checkpoint.safetensors   the solver's state

A run of several portraits numbers its pictures: `input_00.png`, `reconstruction_00.png`, `edits/NAME_00.png`.
Every file is written under a temporary name and renamed, and no two runs ever share a folder.
"""

from __future__ import annotations

import dataclasses
import datetime
import itertools
import os
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from pie_framework.errors import RunError
from pie_framework.files.io import (
    load_tensors,
    read_csv,
    read_json,
    save_png,
    save_tensors,
    write_csv,
    write_json,
)

if TYPE_CHECKING:
    from PIL import Image
    from torch import Tensor

#: Version of the manifest; newer ones are refused, older ones are read.
SCHEMA_VERSION = 1

MANIFEST = "run.json"
LATENT = "latent.safetensors"
CHECKPOINT = "checkpoint.safetensors"
ENERGIES = "energies.csv"
SHEET = "sheet.png"
REPORT = "report.html"
EDITS = "edits"


@dataclass(frozen=True)
class Manifest:
    """What a run was and how it ended.

    Attributes:
        config: the composed configuration, from which the same components can be built again.
        seed: of every random draw.
        inputs: the portraits as they were given, one per portrait.
        outcome: "running", "finished", "converged", "stalled", "non-finite", "interrupted" or "failed"; of several
            portraits the gravest of theirs.
        message: one sentence that explains the outcome.
        portraits: of each portrait its outcome, message and number of undone steps.
        steps: steps taken.
        energies: of the last step, {"total": [B], "raw": {part: [B]}, "weights": {part: float}}.
        metrics: measures of the result by name, [B] each.
        timings: seconds by phase.
        versions: of the packages that took part.
        plugins: the components of the run with their provenance: kind, name, package, version.
        licences: the assets of the run: name, licence.
        created: when the run started, ISO 8601 in UTC.
        schema_version: of this record.
    """

    config: Mapping[str, Any]
    seed: int = 0
    inputs: Sequence[str] = ()
    outcome: str = "running"
    message: str = ""
    portraits: Sequence[Mapping[str, Any]] = ()
    steps: int = 0
    energies: Mapping[str, Any] = field(default_factory=dict)
    metrics: Mapping[str, Sequence[float]] = field(default_factory=dict)
    timings: Mapping[str, float] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    plugins: Sequence[Mapping[str, Any]] = ()
    licences: Sequence[Mapping[str, Any]] = ()
    created: str = field(default_factory=lambda: _now())
    schema_version: int = SCHEMA_VERSION

    @classmethod
    def from_json(cls, content: Any, where: str) -> Manifest:
        """From what `run.json` holds; keys that this version does not know are left out.

        Raises:
            RunError: when it is no manifest, or one of a newer version.
        """
        if not isinstance(content, Mapping) or not isinstance(content.get("schema_version"), int):
            raise RunError(f"'{where}' is not the manifest of a run", "Give the folder that 'pie run' wrote.")
        version = content["schema_version"]
        if version > SCHEMA_VERSION:
            raise RunError(
                f"'{where}' was written by a newer pie-framework (manifest version {version})",
                "Upgrade pie-framework.",
            )
        known = {entry.name for entry in dataclasses.fields(cls)}
        values = {key: value for key, value in content.items() if key in known}
        if not isinstance(values.get("config"), Mapping):
            raise RunError(f"'{where}' is damaged: it holds no configuration")
        for entry in dataclasses.fields(cls):
            value = values.get(entry.name)
            kind = _JSON_KINDS.get(entry.name)
            if entry.name in values and kind is not None and not isinstance(value, kind):
                raise RunError(f"'{where}' is damaged: {entry.name} is {type(value).__name__}")
        return cls(**values)


_JSON_KINDS: dict[str, type] = {
    **dict.fromkeys(("config", "energies", "metrics", "timings", "versions"), dict),
    **dict.fromkeys(("inputs", "portraits", "plugins", "licences"), list),
    **dict.fromkeys(("outcome", "message", "created"), str),
    **dict.fromkeys(("seed", "steps"), int),
}


def _now() -> str:
    return datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")


class RunFolder:
    """One run's folder.

    `RunFolder.create` claims a new one; used in a `with` block it is removed again when the block raises
    before `keep` was called, so that a run that cannot start leaves nothing behind.

    Attributes:
        path: the folder.
    """

    def __init__(self, path: Path, kept: bool = True) -> None:
        self.path = path
        self._kept = kept

    @classmethod
    def create(cls, path: str | os.PathLike[str]) -> RunFolder:
        """Claim a new folder at `path`, or at `path-2`, `path-3`, ... when there already is one.

        Raises:
            RunError: when it cannot be made.
        """
        wanted = Path(path)
        try:
            wanted.parent.mkdir(parents=True, exist_ok=True)
            for number in itertools.count(1):
                candidate = wanted if number == 1 else wanted.with_name(f"{wanted.name}-{number}")
                try:
                    candidate.mkdir()
                except FileExistsError:
                    continue
                return cls(candidate, kept=False)
        except OSError as error:
            reason = error.strerror or str(error)
            raise RunError(
                f"cannot make the run folder '{wanted}': {reason}", "Choose another outputs=."
            ) from error
        raise AssertionError("unreachable")

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> RunFolder:
        """The folder of an earlier run.

        Raises:
            RunError: when it does not exist or is not a run folder, or its manifest cannot be used.
        """
        folder = Path(path)
        if folder.name == MANIFEST and folder.is_file():
            folder = folder.parent
        if not folder.is_dir():
            raise RunError(f"there is no run folder '{folder}'", "Give the folder that 'pie run' printed.")
        if not (folder / MANIFEST).is_file():
            raise RunError(
                f"'{folder}' is not a run folder: it has no {MANIFEST}", "Give the folder 'pie run' printed."
            )
        run = cls(folder)
        run.read_manifest()
        return run

    def keep(self) -> None:
        """From now on the folder stays, however the run ends."""
        self._kept = True

    def __enter__(self) -> RunFolder:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None and not self._kept:
            shutil.rmtree(self.path, ignore_errors=True)

    def file(self, name: str, index: int | None = None) -> Path:
        """Path of a file of this folder; with the portrait's index in its name when that is given."""
        path = self.path / name
        return path if index is None else path.with_name(f"{path.stem}_{index:02d}{path.suffix}")

    def write_manifest(self, manifest: Manifest) -> None:
        write_json(self.file(MANIFEST), dataclasses.asdict(manifest))

    def read_manifest(self) -> Manifest:
        return Manifest.from_json(read_json(self.file(MANIFEST)), str(self.file(MANIFEST)))

    def write_latent(self, latent: Tensor) -> None:
        """Keep w as W+, (B, L, D)."""
        save_tensors(self.file(LATENT), {"latent": latent}, {"schema_version": str(SCHEMA_VERSION)})

    def read_latent(self) -> Tensor:
        """w as W+, (B, L, D); RunError when it is missing or not of that shape."""
        tensors, _ = load_tensors(self.file(LATENT))
        latent = tensors.get("latent")
        if latent is None or latent.dim() != 3:
            raise RunError(f"'{self.file(LATENT)}' holds no latent of shape (portraits, layers, width)")
        return latent

    def write_picture(self, name: str, picture: Tensor | Image.Image, index: int | None = None) -> Path:
        """Write one picture, such as "reconstruction.png"; returns its path."""
        path = self.file(name, index)
        save_png(path, picture)
        return path

    def pictures(self, stem: str) -> list[Path]:
        """The pictures of that stem, one per portrait, in their order."""
        single = self.file(f"{stem}.png")
        numbered = sorted(self.path.glob(f"{stem}_[0-9][0-9]*.png"))
        return [single] if single.is_file() else numbered

    def write_energies(self, columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> None:
        """Write the energies of every step; `energy_table` makes the columns and rows."""
        write_csv(self.file(ENERGIES), columns, rows)

    def read_energies(self) -> list[dict[str, str]]:
        """Rows of energies.csv; none when the run kept none."""
        return read_csv(self.file(ENERGIES)) if self.file(ENERGIES).is_file() else []

    def write_checkpoint(self, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
        """Keep the solver's state, bit for bit."""
        save_tensors(self.file(CHECKPOINT), tensors, metadata)

    def read_checkpoint(self) -> tuple[dict[str, Tensor], dict[str, str]]:
        """The solver's state; RunError when the run kept none or it is damaged."""
        if not self.file(CHECKPOINT).is_file():
            raise RunError(
                f"the run '{self.path}' has no checkpoint", "It ended before the first one was written."
            )
        return load_tensors(self.file(CHECKPOINT))

    def edits(self) -> list[dict[str, Any]]:
        """The records of all edits in this folder, oldest first; damaged ones are left out."""
        found = []
        for path in (self.path / EDITS).glob("*.json"):
            try:
                record = read_json(path)
            except RunError:
                continue
            if _is_edit_record(record):
                order = record.get("order")
                found.append((order if isinstance(order, (int, float)) else 0.0, path.name, record))
        return [record for _, _, record in sorted(found, key=lambda entry: entry[:2])]

    def edit_file(self, name: Any) -> Path | None:
        """A file that an edit's record names; None when there is none or it lies outside the edits' folder."""
        base = (self.path / EDITS).resolve()
        path = (base / name).resolve() if isinstance(name, str) and name else base
        return path if path.is_file() and path.is_relative_to(base) else None


_READING = {"control", "unit", "before", "asked", "achieved", "error", "error_unit"}


def _is_edit_record(record: Any) -> bool:
    """Whether it has the shape that `edit_files.save_edit` writes."""
    frames = record.get("frames") if isinstance(record, dict) else None
    return (
        isinstance(frames, list)
        and bool(frames)
        and isinstance(record.get("portrait", 0), int)
        and all(
            isinstance(frame, dict)
            and isinstance(frame.get("readings"), list)
            and isinstance(frame.get("warnings", []), list)
            and all(isinstance(r, dict) and set(r) >= _READING for r in frame["readings"])
            for frame in frames
        )
    )


def energy_table(
    rows: Iterable[tuple[str, int, Sequence[float], Mapping[str, Sequence[float]], Mapping[str, float]]],
) -> tuple[list[str], list[dict[str, Any]]]:
    """Columns and rows of energies.csv, each value the mean over the portraits that took the step.

    Args:
        rows: per step: stage, step in the stage, total [B], raw parts {name: [B]}, weights {name: float}.

    Returns:
        Columns `step, stage, stage_step, total, raw.PART..., weighted.PART...`, and the rows.
    """
    parts: dict[str, None] = {}
    table: list[dict[str, Any]] = []
    for number, (stage, step, total, raw, weights) in enumerate(rows, start=1):
        entry: dict[str, Any] = {"step": number, "stage": stage, "stage_step": step, "total": _mean(total)}
        for part, values in raw.items():
            parts[part] = None
            entry[f"raw.{part}"] = _mean(values)
            entry[f"weighted.{part}"] = _mean(values) * weights[part]
        table.append(entry)
    columns = ["step", "stage", "stage_step", "total"]
    columns += [f"raw.{part}" for part in parts] + [f"weighted.{part}" for part in parts]
    return columns, table


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else float("nan")
