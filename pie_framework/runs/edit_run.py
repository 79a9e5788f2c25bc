"""Editing the portrait of a run folder, and telling what came of it: the work of `pie edit`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from torch import Tensor

from pie_framework.editing import wording
from pie_framework.editing.controls import Vocabulary
from pie_framework.editing.edit import EditResult, vocabulary_of
from pie_framework.editing.parameters import read_control
from pie_framework.editing.paste import paste_back as paste_into
from pie_framework.errors import ConfigError, RunError
from pie_framework.files.io import save_png
from pie_framework.images.photo import read_photo
from pie_framework.pipeline import Pipeline
from pie_framework.plugins import naming_missing_packages
from pie_framework.runs.edit_files import save_edit, write_report, write_sheet
from pie_framework.runs.folder import EDITS, Manifest, RunFolder


def edit_run(
    run: str,
    controls: Sequence[str],
    console: Console,
    *,
    name: str | None = None,
    out: str | None = None,
    portrait: int = 0,
    device: str | None = None,
    corrections: int | None = None,
    paste_back: bool = False,
    listing: bool = False,
) -> None:
    """Do one edit, keep it and print its self-check; or list what can be edited.

    Args:
        run: its folder.
        controls: what to change, as `Vocabulary.parse` reads it.
        console: where to tell people.
        name: of the files; made from the controls when None.
        out: folder for the edit; the run's own edits when None.
        portrait: which one of the run, from 0.
        device: instead of the run's.
        corrections: by what was read back, instead of the run's; 0 for a single pass.
        paste_back: whether the full-size photo with the edited face is written too.
        listing: whether the controls are listed instead.

    Raises:
        PieError: the run cannot be used, or what is asked for is not possible with it.
    """
    folder = RunFolder.open(run)
    manifest, latents = folder.read_manifest(), folder.read_latent()
    if portrait >= len(latents):
        raise ConfigError(f"portrait={portrait}: this run has {len(latents)}", "The first one is 0.")
    pipeline = _pipeline(manifest, controls, device, corrections)
    networks = pipeline.networks
    wanted = (networks.generator.num_layers, networks.generator.latent_dim)
    if latents.shape[1:] != wanted:
        raise RunError(
            f"the latent of '{run}' has shape {tuple(latents.shape[1:])}, its generator takes {wanted}"
        )
    latent = latents[portrait : portrait + 1].to(pipeline.builder.device, pipeline.builder.dtype)
    vocabulary = vocabulary_of(networks)
    if listing:
        with torch.no_grad():
            _list(console, vocabulary, networks.encode(networks.synthesize(latent)))
        return
    requests = vocabulary.parse(controls, name)
    if paste_back and len(requests) > 1:
        raise ConfigError("paste_back=true is for single edits, not for sweeps", "Leave it out.")
    results = pipeline.edit(latent, requests)
    name = requests[0].name if len(requests) == 1 else requests[0].name.rpartition("_")[0]
    index = portrait if len(latents) > 1 else None
    files = save_edit(Path(out).expanduser() if out else folder.file(EDITS), results, name, index)
    if paste_back:
        files["pasted"] = _paste(pipeline, manifest.inputs, portrait, files["picture"])
    if out is None:
        write_sheet(folder)
        write_report(folder)
    _tell(console, results, files)


def _pipeline(
    manifest: Manifest, controls: Sequence[str], device: str | None, corrections: int | None
) -> Pipeline:
    """The components of a run, as far as edits need them."""
    config = {
        **manifest.config,
        "edit": {**manifest.config.get("edit", {}), "requests": {"edit": [*controls]}},
    }
    if corrections is not None:
        config["edit"]["corrections"] = corrections
    if device is not None:
        config["device"] = device
    with naming_missing_packages(manifest.plugins):
        return Pipeline(config)


def _paste(pipeline: Pipeline, inputs: Sequence[str], index: int, picture: Path) -> Path:
    if index >= len(inputs):
        raise RunError("this run does not say which photo it was made from")
    portrait = pipeline.portrait(inputs[index])
    aligned = portrait.aligned
    path = picture.with_name(f"{picture.stem}_pasted.png")
    save_png(path, paste_into(portrait.photo, aligned, read_photo(picture), before=aligned.image))
    return path


def _list(console: Console, vocabulary: Vocabulary, theta: Tensor) -> None:
    """Every control with its unit, trained range and what the portrait shows."""
    table = Table("control", "unit", "trained range", "now", box=None, pad_edge=False)
    for name in vocabulary.names():
        if "." in name and not name.endswith((".raw", ".sh", ".from")):
            unit, bounds = vocabulary.unit(name), vocabulary.range_of(name)
            trained = "" if bounds is None else f"{bounds[0]:g} to {bounds[1]:g}"
            table.add_row(name, unit, trained, wording.value(read_control(vocabulary, name, theta), unit))
    console.print(table)


def _tell(console: Console, results: Sequence[EditResult], files: Mapping[str, Path]) -> None:
    table = Table(box=None, pad_edge=False)
    table.add_column("control", no_wrap=True)
    for heading in ("before", "asked", "achieved", "error", "identity"):
        table.add_column(heading, justify="right")
    for result in results:
        similarity = result.identity_similarity
        shown = "" if similarity is None else wording.number(similarity)
        for index, reading in enumerate(result.to_json()["readings"]):
            table.add_row(*map(escape, wording.row(reading)), "" if index else shown)
    console.print(table)
    for warning in dict.fromkeys(text for result in results for text in result.warnings):
        console.print(f"warning: {warning}", style="yellow", markup=False, highlight=False, soft_wrap=True)
    for kind in ("picture", "strip", "gif", "webp", "pasted"):
        if kind in files:
            console.print(str(files[kind]), markup=False, highlight=False, soft_wrap=True)
