"""`pie edit RUN control=value ...`: a few passes through the rig networks of a run, no optimisation."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pie_framework.errors import ConfigError, RunError, did_you_mean

if TYPE_CHECKING:
    from rich.console import Console
    from torch import Tensor

    from pie_framework.api import Networks
    from pie_framework.editing.controls import Vocabulary
    from pie_framework.editing.edit import EditResult
    from pie_framework.pipeline import Pipeline

USAGE = """usage: pie edit RUN CONTROL=VALUE ... [OPTION=VALUE ...]
       pie edit RUN --list

Edits the portrait of a run folder and writes RUN/edits/NAME.png with a record of what was asked and achieved.

controls (absolute; NAME+=VALUE adds to what the portrait shows; FIRST:LAST:COUNT is a sweep):
  rotation.yaw=15 rotation.pitch=-5 rotation.roll=0    degrees; yaw turns the nose to the image's right,
                                                       pitch bows the head, roll is counter-clockwise
  expression.NAME=0.8                                  a named coefficient; blink sets both eyes
  illumination.from=left                               left, right, front, above, below, above_left, above_right
  illumination.direction=[x,y,z]                       towards the light: image right, up, towards the viewer
  illumination.azimuth=60 illumination.elevation=20    degrees; 0, 0 is in front, 90 the image's right
  illumination.intensity=0.7 illumination.ambient=0.4  shading of the light and everywhere
  illumination.colour=#ffd0a0                          or [r,g,b] in 0..1
  BLOCK.raw=[...]  illumination.sh=[...]               all coefficients, in the layout's own unit
  source=other.jpg source_blocks=[expression]          blocks of another portrait
  params=file.json                                     controls from a file; a list there is a sequence of frames

options:
  name=NAME          of the files; made from the controls by default
  out=DIR            where to, instead of RUN/edits
  portrait=N         which portrait of a run of several, from 0
  device=cpu         auto, cpu, cuda or cuda:N, instead of the run's
  corrections=N      corrections by what was read back, instead of the run's; 0 for a single pass
  paste_back=true    also write the full-size photo with the edited face

examples:
  pie edit outputs/RUN rotation.yaw=15 expression.smile=0.8
  pie edit outputs/RUN rotation.yaw=-20:20:9 name=turn"""

OPTIONS = ("name", "out", "portrait", "device", "corrections", "paste_back")


@dataclasses.dataclass(frozen=True)
class Job:
    """What one call of `pie edit` is to do."""

    run: str
    controls: tuple[str, ...]
    name: str | None = None
    out: str | None = None
    portrait: int = 0
    device: str | None = None
    corrections: int | None = None
    paste_back: bool = False
    listing: bool = False


def main(arguments: Sequence[str]) -> int:
    """Returns 0; raises PieError for what the person can mend."""
    words = list(arguments)
    if not words or words[0] in ("-h", "--help") or "--help" in words or "-h" in words:
        print(USAGE)
        return 0
    return run_job(parse_arguments(words))


def parse_arguments(words: Sequence[str]) -> Job:
    """RUN, controls and options of a command line.

    Raises:
        ConfigError: an option is unknown or has a value of the wrong kind, or there is nothing to do.
    """
    listing = "--list" in words
    words = [word for word in words if word != "--list"]
    if not words or ("=" in words[0] and not Path(words[0]).exists()):
        raise ConfigError("the first argument must be a run folder", "pie edit RUN rotation.yaw=15")
    options: dict[str, str] = {}
    controls = []
    for word in words[1:]:
        key, equals, value = word.partition("=")
        if key.startswith("-"):
            raise ConfigError(
                f"there is no option '{key}'", did_you_mean(key, ("--list", "--help", *OPTIONS))
            )
        if equals and key in OPTIONS:
            if key in options:
                raise ConfigError(f"'{key}' is given twice")
            options[key] = value
        else:
            controls.append(word)
    if not controls and not listing:
        raise ConfigError("no edit was given", "For example rotation.yaw=15; --list shows what there is.")
    portrait = options.get("portrait", "0")
    if not portrait.isascii() or not portrait.isdigit():
        raise ConfigError(f"portrait={portrait} is not the number of a portrait", "The first one is 0.")
    corrections = options.get("corrections")
    if corrections is not None and not (corrections.isascii() and corrections.isdigit()):
        raise ConfigError(f"corrections={corrections} is not a number of corrections", "0 is a single pass.")
    paste_back = options.get("paste_back", "false")
    if paste_back not in ("true", "false"):
        raise ConfigError(f"paste_back={paste_back} is neither true nor false")
    return Job(
        run=words[0],
        controls=tuple(controls),
        name=options.get("name"),
        out=options.get("out"),
        portrait=int(portrait),
        device=options.get("device"),
        corrections=None if corrections is None else int(corrections),
        paste_back=paste_back == "true",
        listing=listing,
    )


def run_job(job: Job, console: Console | None = None) -> int:
    """Do one edit and print its self-check; returns the exit status."""
    from rich.console import Console

    from pie_framework.editing.edit import edit, vocabulary_of
    from pie_framework.pipeline import Pipeline
    from pie_framework.plugins import naming_missing_packages
    from pie_framework.runs.edit_files import save_edit, write_report, write_sheet
    from pie_framework.runs.folder import EDITS, RunFolder

    console = console or Console()
    folder = RunFolder.open(job.run)
    manifest = folder.read_manifest()
    latents = folder.read_latent()
    count = int(latents.shape[0])
    if job.portrait >= count:
        raise ConfigError(f"portrait={job.portrait}: this run has {count}", "The first one is 0.")
    settings = {**manifest.config.get("edit", {}), "requests": {"edit": list(job.controls)}}
    if job.corrections is not None:
        settings["corrections"] = job.corrections
    config: dict[str, Any] = {**manifest.config, "edit": settings}
    if job.device is not None:
        config["device"] = job.device
    with naming_missing_packages(manifest.plugins):
        pipeline = Pipeline(config)
    networks = pipeline.networks
    latent = _checked(latents[job.portrait : job.portrait + 1], networks, pipeline, job.run)
    vocabulary = vocabulary_of(networks)
    if job.listing:
        _list(console, vocabulary, latent, networks)
        return 0
    requests = vocabulary.parse(job.controls, job.name)
    if job.paste_back and len(requests) > 1:
        raise ConfigError("paste_back=true is for single edits, not for sweeps", "Leave it out.")
    source = pipeline.source_theta(requests[0].source) if requests[0].source else None
    corrections = pipeline.config.edit.corrections
    results = edit(latent, requests, networks, source_theta=source, corrections=corrections)
    name = requests[0].name if len(requests) == 1 else requests[0].name.rpartition("_")[0]
    index = job.portrait if count > 1 else None
    files = save_edit(Path(job.out).expanduser() if job.out else folder.file(EDITS), results, name, index)
    if job.paste_back:
        files["pasted"] = _paste(pipeline, manifest.inputs, job.portrait, files["picture"])
    if job.out is None:
        write_sheet(folder)
        write_report(folder)
    _print(console, results, files)
    return 0


def _checked(latent: Tensor, networks: Networks, pipeline: Pipeline, run: str) -> Tensor:
    generator = networks.generator
    wanted = (generator.num_layers, generator.latent_dim)
    if tuple(latent.shape[1:]) != wanted:
        raise RunError(
            f"the latent of '{run}' has shape {tuple(latent.shape[1:])}, its generator takes {wanted}"
        )
    return latent.to(pipeline.builder.device, pipeline.builder.dtype)


def _paste(pipeline: Pipeline, inputs: Sequence[str], index: int, picture: Path) -> Path:
    from pie_framework.editing.paste import paste_back
    from pie_framework.files.io import save_png
    from pie_framework.images.photo import read_photo

    if index >= len(inputs):
        raise RunError("this run does not say which photo it was made from")
    portrait = pipeline.portrait(inputs[index])
    pasted = paste_back(portrait.photo, portrait.aligned, read_photo(picture), before=portrait.aligned.image)
    path = picture.with_name(f"{picture.stem}_pasted.png")
    save_png(path, pasted)
    return path


def _list(console: Console, vocabulary: Vocabulary, latent: Tensor, networks: Networks) -> None:
    """Every control with its unit, trained range and what the portrait shows."""
    import torch
    from rich.table import Table

    from pie_framework.editing import wording
    from pie_framework.editing.parameters import read_control

    with torch.no_grad():
        theta = networks.encode(networks.synthesize(latent))
    table = Table(box=None, pad_edge=False)
    for heading in ("control", "unit", "trained range", "now"):
        table.add_column(heading)
    for name in vocabulary.names():
        if name.endswith((".raw", ".sh", ".from")) or "." not in name:
            continue
        unit = vocabulary.unit(name)
        low_high = vocabulary.range_of(name)
        trained = "" if low_high is None else f"{low_high[0]:g} to {low_high[1]:g}"
        table.add_row(name, unit, trained, wording.value(read_control(vocabulary, name, theta), unit))
    console.print(table)


def _print(console: Console, results: Sequence[EditResult], files: dict[str, Path]) -> None:
    from rich.markup import escape
    from rich.table import Table

    from pie_framework.editing import wording

    table = Table(box=None, pad_edge=False)
    headings = ("control", "before", "asked", "achieved", "error", "identity")
    for column, heading in enumerate(headings):
        table.add_column(heading, justify="left" if column == 0 else "right", no_wrap=column == 0)
    for result in results:
        similarity = result.identity_similarity
        for index, reading in enumerate(result.to_json()["readings"]):
            shown = wording.number(similarity) if index == 0 and similarity is not None else ""
            table.add_row(*(escape(cell) for cell in wording.row(reading)), shown)
    console.print(table)
    for warning in dict.fromkeys(text for result in results for text in result.warnings):
        console.print(f"warning: {warning}", style="yellow", markup=False, highlight=False, soft_wrap=True)
    for kind in ("picture", "strip", "gif", "webp", "pasted"):
        if kind in files:
            console.print(str(files[kind]), markup=False, highlight=False, soft_wrap=True)
