"""`pie run`: from a configuration to a run folder with everything needed to go on editing."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import importlib.metadata
import os
import platform
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from omegaconf import DictConfig
from rich.console import Console

from pie_framework.composition.plan import Plan
from pie_framework.composition.schema import RunConfig, parse, values
from pie_framework.composition.uses import licences
from pie_framework.editing.controls import UnknownControlError
from pie_framework.editing.paste import paste_back
from pie_framework.errors import ConfigError, InputError, PieError, PluginError, RunError, in_one_line
from pie_framework.images.photo import read_photo, to_picture
from pie_framework.optimisation.events import RunEvents
from pie_framework.optimisation.history import History
from pie_framework.optimisation.state import Ending, SolverState
from pie_framework.pipeline import Embedding, Pipeline, Portrait
from pie_framework.plugins import naming_missing_packages
from pie_framework.runs.checkpoint import pack, unpack
from pie_framework.runs.edit_files import save_edit, write_report, write_sheet
from pie_framework.runs.folder import CHECKPOINT, EDITS, Manifest, RunFolder, energy_table
from pie_framework.runs.progress import ProgressDisplay
from pie_framework.runs.timing import phases
from pie_framework.version import __version__

#: Packages whose versions a run records.
RECORDED = ("torch", "numpy", "pillow", "hydra-core", "omegaconf", "pluggy", "safetensors")


def run_from_config(config: Plan | DictConfig | RunConfig, console: Console | None = None) -> int:
    """Do one run; returns the exit status: 0, 1 when it was not finite or stalled, 130 when it was interrupted.

    Raises:
        PieError: the configuration or the input cannot be used; no folder is left behind.
        PluginError: a component failed; the last good latent is in the run's folder.
    """
    console = console or Console()
    if isinstance(config, DictConfig):
        config = parse(config)
    settings = config.config if isinstance(config, Plan) else config
    if settings.resume:
        return _resume(settings, console)
    started = time.perf_counter()
    sources = settings.input if isinstance(settings.input, list) else [settings.input]
    pipeline = Pipeline(config)
    _first_look(pipeline, sources, Path(settings.outputs))
    portraits = tuple(pipeline.portrait(source) for source in sources)
    name = portraits[0].name if len(portraits) == 1 else f"{len(portraits)}_portraits"
    stamp = datetime.datetime.now().strftime("%Y-%m-%d_%H-%M-%S")
    with RunFolder.create(Path(settings.outputs) / f"{stamp}_{name}") as folder:
        manifest = _manifest(pipeline, portraits, sources)
        for i, portrait in enumerate(portraits):
            folder.write_picture("input.png", portrait.aligned.image, _index(i, portraits))
        folder.write_manifest(manifest)
        return _solve(pipeline, portraits, folder, manifest, console, started)


def _first_look(pipeline: Pipeline, sources: Sequence[str], outputs: Path) -> None:
    """Find pictures that cannot be read and a folder that cannot be made before networks are loaded, which takes long.

    Raises:
        InputError: a source is missing, or is no picture.
        RunError: run folders cannot be made in `outputs`.
    """
    for source in sources:
        read_photo(pipeline.path_of(source))
    there = next(place for place in [outputs, *outputs.resolve().parents] if place.exists())
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        what = "is not a folder" if not there.is_dir() else "may not be written to"
        raise RunError(
            f"cannot make run folders in '{outputs}': '{there}' {what}", "Choose another outputs=."
        )


def _resume(settings: RunConfig, console: Console) -> int:
    """Go on with the run in `settings.resume`, with the configuration it was started with."""
    started = time.perf_counter()
    folder = RunFolder.open(str(settings.resume))
    manifest = folder.read_manifest()
    if manifest.outcome in (Ending.FINISHED.value, Ending.CONVERGED.value):
        console.print(f"{folder.path} is complete: {manifest.message}")
        return 0
    with naming_missing_packages(manifest.plugins):
        pipeline = Pipeline(dict(manifest.config))
    portraits = tuple(pipeline.portrait(source) for source in manifest.inputs)
    return _solve(pipeline, portraits, folder, manifest, console, started, resume=True)


def _solve(
    pipeline: Pipeline,
    portraits: tuple[Portrait, ...],
    folder: RunFolder,
    manifest: Manifest,
    console: Console,
    started: float,
    resume: bool = False,
) -> int:
    every = pipeline.config.checkpoint_every
    last = 0

    def keep(state: SolverState, history: History) -> None:
        nonlocal last
        if every and state.total_steps - last >= every:
            last = state.total_steps
            folder.write_checkpoint(*pack(state, history))
            folder.keep()

    checkpoint = None
    if resume and folder.file(CHECKPOINT).is_file():
        checkpoint = unpack(*folder.read_checkpoint(), pipeline.builder.device, str(folder.file(CHECKPOINT)))
        last = checkpoint[0].total_steps
        console.print(f"going on from step {last} of {folder.path}")
    with (
        ProgressDisplay(console) as display,
        RunEvents(pipeline.registry.observers(display), folder.path) as events,
    ):
        prepared = time.perf_counter()
        embedding = pipeline.solve(portraits, events, manifest.inputs, resume=checkpoint, on_check=keep)
        display.close()
        folder.keep()
        optimised = time.perf_counter()
        try:
            result = _save(embedding, folder, console)
        except Exception as error:
            with contextlib.suppress(OSError, PieError):
                folder.write_manifest(
                    dataclasses.replace(manifest, outcome=Ending.FAILED.value, message=in_one_line(error))
                )
            raise
        timings = phases(started, prepare=prepared, optimise=optimised, edit=time.perf_counter())
        if resume:
            timings = {phase: sec + manifest.timings.get(phase, 0.0) for phase, sec in timings.items()}
        folder.write_manifest(_completed(manifest, embedding, result, timings))
        write_sheet(folder)
        write_report(folder)
        _summary(console, folder, embedding, result, timings)
        if result.error is not None:
            events.failed(result.message)
        events.saved(result.metrics, result.edits)
        if result.error is not None:
            raise PluginError(result.message, f"See {folder.file('report.html')}.") from result.error
    return {Ending.INTERRUPTED: 130, Ending.NON_FINITE: 1, Ending.STALLED: 1}.get(result.ending, 0)


@dataclass(frozen=True)
class _Result:
    """What is written of a run beside the pictures.

    Attributes:
        ending: of the run: that of the optimisation, or failed when an edit was.
        message: one sentence that explains it.
        metrics: measures of the reconstructions by name, one value per portrait.
        edits: names of the edits that were made.
        error: what failed.
    """

    ending: Ending
    message: str
    metrics: dict[str, list[float]]
    edits: tuple[str, ...]
    error: BaseException | None


def _save(embedding: Embedding, folder: RunFolder, console: Console) -> _Result:
    """Write the latent, the pictures, the energies and the edits; an edit that fails costs no other."""
    solution, portraits = embedding.solution, embedding.portraits
    folder.write_checkpoint(*pack(solution.state, solution.history))
    folder.write_latent(embedding.latent)
    for i in range(len(portraits)):
        folder.write_picture("reconstruction.png", embedding.reconstruction(i), _index(i, portraits))
    columns, rows = energy_table((r.stage, r.step, r.total, r.raw, r.weights) for r in solution.history.rows)
    folder.write_energies(columns, rows)
    metrics = embedding.metrics()
    edits, failed = _edits(embedding, folder, console)
    if solution.error is not None or failed is None:
        return _Result(solution.ending, solution.message, metrics, edits, solution.error)
    name, error = failed
    reason = error.message if isinstance(error, PieError) else in_one_line(error)
    return _Result(Ending.FAILED, f"the edit '{name}' failed: {reason}", metrics, edits, error)


def _completed(
    manifest: Manifest, embedding: Embedding, result: _Result, timings: dict[str, float]
) -> Manifest:
    """The manifest of a run that ended."""
    pipeline, solution = embedding.pipeline, embedding.solution
    undone = solution.state.undone.tolist()
    return dataclasses.replace(
        manifest,
        outcome=result.ending.value,
        message=result.message,
        portraits=[
            {"outcome": str(p.ending), "message": p.message, "undone": undone[i]}
            for i, p in enumerate(solution.portraits)
        ],
        steps=solution.state.total_steps,
        energies=solution.history.last_energies(len(embedding.portraits)),
        metrics=result.metrics,
        timings=timings,
        plugins=_plugins(pipeline),
        licences=licences(pipeline.config, pipeline.registry),
    )


def _index(i: int, portraits: tuple[Portrait, ...]) -> int | None:
    return None if len(portraits) == 1 else i


def _edits(
    embedding: Embedding, folder: RunFolder, console: Console
) -> tuple[tuple[str, ...], tuple[str, Exception] | None]:
    """The configured edits of every portrait, and, where asked for, the full-size photos they belong in.

    Edits by a control that this face model does not offer are left out with a line that says so.

    Returns:
        The names of the edits that were made, and the first that failed with its error.
    """
    config = embedding.pipeline.config
    made: dict[str, None] = {}
    failed: tuple[str, Exception] | None = None
    for i, portrait in enumerate(embedding.portraits):
        index = _index(i, embedding.portraits)
        pictures = {"reconstruction": embedding.reconstruction(i)}
        for name, controls in config.edit.requests.items():
            try:
                results = embedding.edit(controls, i, name)
            except UnknownControlError as error:
                if i == 0:
                    console.print(f"the edit '{name}' is left out: {error}", style="yellow", markup=False)
                continue
            except (ConfigError, InputError):
                raise
            except Exception as error:
                failed = failed or (name, error)
                continue
            save_edit(folder.file(EDITS), results, name, index)
            pictures[name] = to_picture(results[-1].image[0])
            made[name] = None
        if config.paste_back:
            for name, picture in pictures.items():
                pasted = paste_back(portrait.photo, portrait.aligned, picture, before=portrait.aligned.image)
                folder.write_picture(f"pasted/{name}.png", pasted, index)
    return tuple(made), failed


def _manifest(pipeline: Pipeline, portraits: tuple[Portrait, ...], sources: list[str]) -> Manifest:
    inputs = [
        str(s) if str(s).startswith("example") else str(Path(s).expanduser().resolve()) for s in sources
    ]
    versions = {"pie-framework": __version__, "python": platform.python_version()}
    for package in RECORDED:
        versions[package] = importlib.metadata.version(package)
    return Manifest(
        config=values(pipeline.config),
        seed=pipeline.config.seed,
        inputs=inputs,
        versions=versions,
        plugins=_plugins(pipeline),
    )


def _plugins(pipeline: Pipeline) -> list[dict[str, str]]:
    """The components that take part, by the role they play, with the packages they come from."""
    pipeline.build()
    found = []
    for role, component in sorted(pipeline.builder.used.items()):
        origin = pipeline.registry.provenance(component)
        found.append(
            {
                "role": role,
                "kind": component.kind.value,
                "name": component.name,
                "package": origin.distribution,
                "version": origin.version,
            }
        )
    return found


def _summary(
    console: Console, folder: RunFolder, embedding: Embedding, result: _Result, timings: dict[str, float]
) -> None:
    if result.error is None:
        console.print(result.message, highlight=False)
    metrics = result.metrics
    for i, portrait in enumerate(embedding.portraits):
        shown = f"PSNR {metrics['psnr'][i]:.1f} dB, SSIM {metrics['ssim'][i]:.3f}"
        if "identity_similarity" in metrics:
            shown += f", identity {metrics['identity_similarity'][i]:.2f}"
        if len(embedding.portraits) > 1:
            shown += f", {embedding.solution.portraits[i].ending}"
        console.print(f"{portrait.name}: {shown}", highlight=False)
    interrupted = result.ending is Ending.INTERRUPTED
    onwards = f"pie run resume={folder.path}" if interrupted else f"pie edit {folder.path} rotation.yaw=15"
    console.print(
        f"{timings['total']:.0f} s ({timings['optimise']:.0f} s of optimisation). "
        f"See {folder.file('report.html')}; go on with: {onwards}",
        highlight=False,
        soft_wrap=True,
    )
