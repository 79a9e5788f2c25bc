"""What an edit leaves in a run folder: pictures, the record of its self-check, and for sweeps a strip and
animations."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from pie_framework.editing import wording
from pie_framework.editing.edit import EditResult
from pie_framework.errors import RunError
from pie_framework.files.io import save_png, save_tensors, to_pil, write_json
from pie_framework.runs.folder import REPORT, SHEET, RunFolder
from pie_framework.runs.report.gallery import Tile, contact_sheet, save_animation, strip


def save_edit(
    directory: str | os.PathLike[str], results: Sequence[EditResult], name: str, index: int | None = None
) -> dict[str, Path]:
    """Write one edit, or a sweep of several frames.

    Args:
        directory: where to, such as RUN/edits.
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
    folder = Path(directory)
    stem = name if index is None else f"{name}_{index:02d}"
    pictures = [to_pil(result.image) for result in results]
    files = {"latent": folder / f"{stem}.safetensors", "record": folder / f"{stem}.json"}
    if len(results) == 1:
        names = [f"{stem}.png"]
        files["picture"] = folder / names[0]
    else:
        names = [f"{stem}_frames/{number:03d}.png" for number in range(len(results))]
        files |= {kind: folder / f"{stem}{suffix}" for kind, suffix in _SWEEP_FILES.items()}
        save_png(
            files["strip"],
            strip([_tile(result, picture) for result, picture in zip(results, pictures, strict=True)]),
        )
        for kind in ("gif", "webp"):
            save_animation(files[kind], pictures)
    for picture_name, picture in zip(names, pictures, strict=True):
        save_png(folder / picture_name, picture)
    save_tensors(files["latent"], {"latent": _stacked(results)})
    frames = [{**result.to_json(), "picture": file} for result, file in zip(results, names, strict=True)]
    record: dict[str, Any] = {"name": name, "portrait": index or 0, "order": time.time(), "frames": frames}
    if len(results) > 1:
        record |= {kind: files[kind].name for kind in _SWEEP_FILES}
    write_json(files["record"], record)
    return files


_SWEEP_FILES = {"strip": "_strip.png", "gif": ".gif", "webp": ".webp"}


def _stacked(results: Sequence[EditResult]) -> Any:
    import torch

    return torch.cat([result.latent for result in results])


def _tile(result: EditResult, picture: Image.Image) -> Tile:
    return Tile(picture, "", caption_lines(result.to_json()))


def caption_lines(frame: dict[str, Any], most: int = 3) -> tuple[str, ...]:
    """The lines under an edited picture: its readings, at most so many, then the identity similarity."""
    lines = [wording.caption(reading) for reading in frame["readings"][:most]]
    if frame.get("identity_similarity") is not None:
        lines.append(f"identity {wording.number(frame['identity_similarity'])}")
    return tuple(lines)


def write_sheet(run: RunFolder, heading: str = "") -> Path:
    """Put input, reconstruction and edits of a run folder on one sheet; returns its path.

    Raises:
        RunError: when the folder holds no picture.
    """
    portraits: list[list[Tile]] = []
    inputs, reconstructions, edits = run.pictures("input"), run.pictures("reconstruction"), run.edits()
    for index in range(max(len(inputs), len(reconstructions))):
        tiles = [
            Tile(_loaded(paths[index]), title)
            for paths, title in ((inputs, "input"), (reconstructions, "reconstruction"))
            if index < len(paths)
        ]
        for record in edits:
            if record.get("portrait", 0) == index and len(record["frames"]) == 1:
                frame = record["frames"][0]
                path = run.edit_file(frame.get("picture"))
                if path is not None:
                    tiles.append(
                        Tile(_loaded(path), wording.title(str(record["name"])), caption_lines(frame))
                    )
        portraits.append(tiles)
    path = run.file(SHEET)
    save_png(path, contact_sheet(portraits, heading=heading))
    return path


def write_report(run: RunFolder) -> Path:
    """Write report.html from what lies in the run folder; returns its path."""
    from pie_framework.files.io import write_text
    from pie_framework.runs.report import render_report

    path = run.file(REPORT)
    write_text(path, render_report(run))
    return path


def _loaded(path: Path) -> Image.Image:
    try:
        with Image.open(path) as picture:
            loaded: Image.Image = picture.convert("RGB")
            return loaded
    except (OSError, SyntaxError, ValueError) as error:
        raise RunError(f"the picture '{path}' is damaged: {error}") from error
