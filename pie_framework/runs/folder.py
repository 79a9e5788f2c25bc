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

import contextlib
import dataclasses
import datetime
import itertools
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

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
from pie_framework.optimisation.history import History
from pie_framework.optimisation.state import SolverState
from pie_framework.runs.checkpoint import pack, unpack

if TYPE_CHECKING:
    from PIL import Image

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
        values = {
            entry.name: content[entry.name] for entry in dataclasses.fields(cls) if entry.name in content
        }
        if not isinstance(values.get("config"), Mapping):
            raise RunError(f"'{where}' is damaged: it holds no configuration")
        for name, value in values.items():
            if not isinstance(value, _JSON_KINDS[name]):
                raise RunError(f"'{where}' is damaged: {name} is {type(value).__name__}")
        return cls(**values)


_JSON_KINDS: dict[str, type] = {
    **dict.fromkeys(("config", "energies", "metrics", "timings", "versions"), dict),
    **dict.fromkeys(("inputs", "portraits", "plugins", "licences"), list),
    **dict.fromkeys(("outcome", "message", "created"), str),
    **dict.fromkeys(("seed", "steps", "schema_version"), int),
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
        names = itertools.chain([wanted.name], (f"{wanted.name}-{number}" for number in itertools.count(2)))
        try:
            wanted.parent.mkdir(parents=True, exist_ok=True)
            for candidate in map(wanted.with_name, names):
                with contextlib.suppress(FileExistsError):
                    candidate.mkdir()
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

    def write_energies(self, history: History) -> None:
        """Write every step with E(w) and its parts, raw and weighted, each the mean over the portraits that took it."""
        parts = list(dict.fromkeys(part for row in history.rows for part in row.raw))
        columns = ["step", "stage", "stage_step", "total"]
        columns += [f"raw.{part}" for part in parts] + [f"weighted.{part}" for part in parts]
        table = []
        for number, row in enumerate(history.rows, start=1):
            means = {part: _mean(values) for part, values in row.raw.items()}
            table.append(
                {
                    "step": number,
                    "stage": row.stage,
                    "stage_step": row.step,
                    "total": _mean(row.total),
                    **{f"raw.{part}": mean for part, mean in means.items()},
                    **{f"weighted.{part}": mean * row.weights[part] for part, mean in means.items()},
                }
            )
        write_csv(self.file(ENERGIES), columns, table)

    def read_energies(self) -> list[dict[str, str]]:
        """Rows of energies.csv; none when the run kept none."""
        return read_csv(self.file(ENERGIES)) if self.file(ENERGIES).is_file() else []

    def write_checkpoint(self, state: SolverState, history: History) -> None:
        """Keep the solver's state and the energies so far, bit for bit."""
        save_tensors(self.file(CHECKPOINT), *pack(state, history))

    def read_checkpoint(self, device: torch.device) -> tuple[SolverState, History]:
        """What `write_checkpoint` kept; RunError when the run kept none, or it is damaged or of a newer version."""
        path = self.file(CHECKPOINT)
        if not path.is_file():
            raise RunError(
                f"the run '{self.path}' has no checkpoint", "It ended before the first one was written."
            )
        return unpack(*load_tensors(path), device, str(path))

    def edits(self) -> list[dict[str, Any]]:
        """The records of all edits in this folder, oldest first; damaged ones are left out."""
        records = []
        for path in sorted((self.path / EDITS).glob("*.json")):
            with contextlib.suppress(RunError):
                record = read_json(path)
                if _is_edit_record(record):
                    records.append(record)
        return sorted(records, key=_order)

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


def _order(record: Mapping[str, Any]) -> float:
    """When an edit was made, in seconds; records of others come first."""
    order = record.get("order")
    return order if isinstance(order, (int, float)) else 0.0


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else float("nan")
