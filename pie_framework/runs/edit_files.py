"""What an edit leaves in a run folder: pictures, the record of its self-check, and for sweeps a strip and
animations; and the sheet and report that show them."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from pie_framework.editing import wording
from pie_framework.editing.edit import EditResult
from pie_framework.errors import RunError
from pie_framework.files.io import save_png, save_tensors, to_pil, write_json, write_text
from pie_framework.runs.folder import REPORT, SHEET, RunFolder
from pie_framework.runs.report import render_report
from pie_framework.runs.report.gallery import Tile, contact_sheet, save_animation, strip

_SWEEP_FILES = {"strip": "_strip.png", "gif": ".gif", "webp": ".webp"}


def save_edit(
    folder: Path, results: Sequence[EditResult], name: str, index: int | None = None
) -> dict[str, Path]:
    """Write one edit, or a sweep of several frames.

    Args:
        folder: where to, such as RUN/edits.
        results: the frames; one for an edit that is no sweep.
        name: of the edit; files are called after it.
        index: of the portrait, in a run of several.

    Returns:
        The files by what they are: "record", "latent", "picture" for one frame; "strip", "gif", "webp" for a
            sweep.

    Raises:
        RunError: when there is no frame, or the folder cannot be written to.
    """
    if not results:
        raise RunError(f"the edit '{name}' has no frames")
    stem = name if index is None else f"{name}_{index:02d}"
    pictures = [to_pil(result.image) for result in results]
    files = {"latent": folder / f"{stem}.safetensors", "record": folder / f"{stem}.json"}
    names = [f"{stem}.png"]
    record: dict[str, Any] = {"name": name, "portrait": index or 0, "order": time.time()}
    if len(results) == 1:
        files["picture"] = folder / names[0]
    else:
        names = [f"{stem}_frames/{number:03d}.png" for number in range(len(results))]
        record |= {kind: f"{stem}{suffix}" for kind, suffix in _SWEEP_FILES.items()}
        files |= {kind: folder / record[kind] for kind in _SWEEP_FILES}
        tiles = [
            Tile(picture, "", caption_lines(result.to_json()))
            for result, picture in zip(results, pictures, strict=True)
        ]
        save_png(files["strip"], strip(tiles))
        for kind in ("gif", "webp"):
            save_animation(files[kind], pictures)
    for picture_name, picture in zip(names, pictures, strict=True):
        save_png(folder / picture_name, picture)
    save_tensors(files["latent"], {"latent": torch.cat([result.latent for result in results])})
    record["frames"] = [
        {**result.to_json(), "picture": file} for result, file in zip(results, names, strict=True)
    ]
    write_json(files["record"], record)
    return files


def caption_lines(frame: Mapping[str, Any], most: int = 3) -> tuple[str, ...]:
    """The lines under an edited picture: its readings, at most so many, then the identity similarity."""
    lines = [wording.caption(reading) for reading in frame["readings"][:most]]
    if frame.get("identity_similarity") is not None:
        lines.append(f"identity {wording.number(frame['identity_similarity'])}")
    return tuple(lines)


def write_sheet(run: RunFolder) -> Path:
    """Put input, reconstruction and edits of a run folder on one sheet; returns its path.

    Raises:
        RunError: when the folder holds no picture.
    """
    shown = {stem: run.pictures(stem) for stem in ("input", "reconstruction")}
    portraits = [
        [Tile(_loaded(paths[index]), stem) for stem, paths in shown.items() if index < len(paths)]
        for index in range(max(map(len, shown.values())))
    ]
    for record in run.edits():
        frame, index = record["frames"][0], record.get("portrait", 0)
        picture = run.edit_file(frame.get("picture")) if len(record["frames"]) == 1 else None
        if picture is not None and 0 <= index < len(portraits):
            tile = Tile(_loaded(picture), wording.title(str(record["name"])), caption_lines(frame))
            portraits[index].append(tile)
    save_png(run.file(SHEET), contact_sheet(portraits))
    return run.file(SHEET)


def write_report(run: RunFolder) -> Path:
    """Write report.html from what lies in the run folder; returns its path."""
    write_text(run.file(REPORT), render_report(run))
    return run.file(REPORT)


def _loaded(path: Path) -> Image.Image:
    try:
        with Image.open(path) as picture:
            loaded: Image.Image = picture.convert("RGB")
            return loaded
    except (OSError, SyntaxError, ValueError) as error:
        raise RunError(f"the picture '{path}' is damaged: {error}") from error
