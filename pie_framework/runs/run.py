"""`pie run`: from a configuration to a run folder with everything needed to go on editing."""

from __future__ import annotations

import contextlib
import datetime
import importlib.metadata
import os
import platform
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
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
from pie_framework.optimisation.state import SolverState, Termination
from pie_framework.pipeline import Embedding, Pipeline, Portrait
from pie_framework.plugins import naming_missing_packages
from pie_framework.runs.edit_files import save_edit, write_report, write_sheet
from pie_framework.runs.folder import CHECKPOINT, EDITS, REPORT, Manifest, RunFolder
from pie_framework.runs.progress import ProgressDisplay
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
    started = time.perf_counter()
    if settings.resume:
        return _resume(str(settings.resume), console, started)
    sources = settings.input if isinstance(settings.input, list) else [settings.input]
    pipeline = Pipeline(config)
    _first_look(pipeline, sources, Path(settings.outputs))
    portraits = tuple(pipeline.portrait(source) for source in sources)
    name = portraits[0].name if len(portraits) == 1 else f"{len(portraits)}_portraits"
    stamp = datetime.datetime.now().strftime("%Y-%m-%d_%H-%M-%S")
    with RunFolder.create(Path(settings.outputs) / f"{stamp}_{name}") as folder:
        run = _Run(pipeline, portraits, folder, _manifest(pipeline, sources), console, started)
        for index, portrait in zip(run.indices, portraits, strict=True):
            folder.write_picture("input.png", portrait.aligned.image, index)
        folder.write_manifest(run.manifest)
        return run.solve()


def _resume(path: str, console: Console, started: float) -> int:
    """Go on with the run in a folder, with the configuration it was started with."""
    folder = RunFolder.open(path)
    manifest = folder.read_manifest()
    if manifest.outcome in (Termination.FINISHED.value, Termination.CONVERGED.value):
        console.print(f"{folder.path} is complete: {manifest.message}")
        return 0
    with naming_missing_packages(manifest.plugins):
        pipeline = Pipeline(dict(manifest.config))
    portraits = tuple(pipeline.portrait(source) for source in manifest.inputs)
    run = _Run(pipeline, portraits, folder, manifest, console, started)
    checkpoint = None
    if folder.file(CHECKPOINT).is_file():
        checkpoint = folder.read_checkpoint(pipeline.builder.device)
        console.print(f"going on from step {checkpoint[0].total_steps} of {folder.path}")
    return run.solve(checkpoint)


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


@dataclass
class _Run:
    """One run between its folder and its end.

    Attributes:
        pipeline: its components.
        portraits: B portraits.
        folder: where everything goes.
        manifest: as it was when the run began, or when it was cut off.
        console: where to tell people.
        started: when it began, of `time.perf_counter`.
    """

    pipeline: Pipeline
    portraits: tuple[Portrait, ...]
    folder: RunFolder
    manifest: Manifest
    console: Console
    started: float

    @property
    def indices(self) -> Sequence[int | None]:
        """What pictures of each portrait are numbered with: nothing when there is only one."""
        return range(len(self.portraits)) if len(self.portraits) > 1 else [None]

    def solve(self, checkpoint: tuple[SolverState, History] | None = None) -> int:
        """Optimise from the start or a checkpoint, save all and tell; returns the exit status."""
        folder, every = self.folder, self.pipeline.config.checkpoint_every
        kept = checkpoint[0].total_steps if checkpoint else 0

        def keep(state: SolverState, history: History) -> None:
            nonlocal kept
            if every and state.total_steps - kept >= every:
                kept = state.total_steps
                folder.write_checkpoint(state, history)
                folder.keep()

        with (
            ProgressDisplay(self.console) as display,
            RunEvents(self.pipeline.registry.observers(display), folder.path) as events,
        ):
            prepared = time.perf_counter()
            inputs = self.manifest.inputs
            embedding = self.pipeline.solve(self.portraits, events, inputs, checkpoint, on_check=keep)
            display.stop()
            folder.keep()
            optimised = time.perf_counter()
            try:
                manifest, edits, error = self._save(embedding)
            except Exception as failure:
                failed = replace(
                    self.manifest, outcome=Termination.FAILED.value, message=in_one_line(failure)
                )
                with contextlib.suppress(OSError, PieError):
                    folder.write_manifest(failed)
                raise
            ended, before = time.perf_counter(), self.manifest.timings
            timings = {
                "prepare": prepared - self.started,
                "optimise": optimised - prepared,
                "edit": ended - optimised,
                "total": ended - self.started,
            }
            timings = {phase: seconds + before.get(phase, 0.0) for phase, seconds in timings.items()}
            manifest = replace(manifest, timings=timings)
            folder.write_manifest(manifest)
            write_sheet(folder)
            write_report(folder)
            self._tell(embedding, manifest, error)
            if error is not None:
                events.failed(manifest.message)
            events.saved(manifest.metrics, edits)
            if error is not None:
                raise PluginError(manifest.message, f"See {folder.file(REPORT)}.") from error
        stopped = {Termination.INTERRUPTED: 130, Termination.NON_FINITE: 1, Termination.STALLED: 1}
        return stopped.get(Termination(manifest.outcome), 0)

    def _save(self, embedding: Embedding) -> tuple[Manifest, tuple[str, ...], BaseException | None]:
        """Write the latent, the pictures, the energies and the edits; an edit that fails costs no other.

        Returns:
            The manifest of the run at its end, still without timings; the names of the edits; what failed.
        """
        solution, folder = embedding.solution, self.folder
        folder.write_checkpoint(solution.state, solution.history)
        folder.write_latent(embedding.latent)
        for i, index in enumerate(self.indices):
            folder.write_picture("reconstruction.png", embedding.reconstruction(i), index)
        folder.write_energies(solution.history)
        metrics = embedding.metrics()
        edits, failed = self._edit(embedding)
        outcome, message, error = solution.ending.value, solution.message, solution.error
        if error is None and failed is not None:
            name, error = failed
            reason = error.message if isinstance(error, PieError) else in_one_line(error)
            outcome, message = Termination.FAILED.value, f"the edit '{name}' failed: {reason}"
        manifest = replace(
            self.manifest,
            outcome=outcome,
            message=message,
            portraits=[
                {"outcome": str(portrait.ending), "message": portrait.message, "undone": undone}
                for portrait, undone in zip(solution.portraits, solution.state.undone.tolist(), strict=True)
            ],
            steps=solution.state.total_steps,
            energies=solution.history.last_energies(len(self.portraits)),
            metrics=metrics,
            plugins=_plugins(self.pipeline),
            licences=licences(self.pipeline.plan),
        )
        return manifest, edits, error

    def _edit(self, embedding: Embedding) -> tuple[tuple[str, ...], tuple[str, Exception] | None]:
        """The configured edits of every portrait, and, where asked for, the full-size photos they belong in.

        Edits by a control that this face model does not offer are left out with a line that says so.

        Returns:
            The names of the edits that were made, and the first that failed with its error.
        """
        config = self.pipeline.config
        made: dict[str, None] = {}
        failed: tuple[str, Exception] | None = None
        for i, (index, portrait) in enumerate(zip(self.indices, self.portraits, strict=True)):
            pictures = {"reconstruction": embedding.reconstruction(i)}
            for name, controls in config.edit.requests.items():
                try:
                    results = embedding.edit(controls, i, name)
                except UnknownControlError as error:
                    if i == 0:
                        self.console.print(
                            f"the edit '{name}' is left out: {error}", style="yellow", markup=False
                        )
                    continue
                except (ConfigError, InputError):
                    raise
                except Exception as error:
                    failed = failed or (name, error)
                    continue
                save_edit(self.folder.file(EDITS), results, name, index)
                pictures[name] = to_picture(results[-1].image[0])
                made[name] = None
            if config.paste_back:
                aligned = portrait.aligned
                for name, picture in pictures.items():
                    pasted = paste_back(portrait.photo, aligned, picture, before=aligned.image)
                    self.folder.write_picture(f"pasted/{name}.png", pasted, index)
        return tuple(made), failed

    def _tell(self, embedding: Embedding, manifest: Manifest, error: BaseException | None) -> None:
        """Sum the run up for people; an error is told by who catches it."""
        lines = [manifest.message] if error is None else []
        metrics = manifest.metrics
        for i, portrait in enumerate(self.portraits):
            shown = f"PSNR {metrics['psnr'][i]:.1f} dB, SSIM {metrics['ssim'][i]:.3f}"
            if "identity_similarity" in metrics:
                shown += f", identity {metrics['identity_similarity'][i]:.2f}"
            if len(self.portraits) > 1:
                shown += f", {embedding.solution.portraits[i].ending}"
            lines.append(f"{portrait.name}: {shown}")
        for line in lines:
            self.console.print(line, highlight=False)
        path = self.folder.path
        interrupted = manifest.outcome == Termination.INTERRUPTED.value
        onwards = f"pie run resume={path}" if interrupted else f"pie edit {path} rotation.yaw=15"
        self.console.print(
            f"{manifest.timings['total']:.0f} s ({manifest.timings['optimise']:.0f} s of optimisation). "
            f"See {self.folder.file(REPORT)}; go on with: {onwards}",
            highlight=False,
            soft_wrap=True,
        )


def _manifest(pipeline: Pipeline, sources: Sequence[str]) -> Manifest:
    """The manifest of a run that begins."""
    inputs = [
        s if s.startswith("example") else str(Path(s).expanduser().resolve()) for s in map(str, sources)
    ]
    versions = {package: importlib.metadata.version(package) for package in RECORDED}
    return Manifest(
        config=values(pipeline.config),
        seed=pipeline.config.seed,
        inputs=inputs,
        versions={"pie-framework": __version__, "python": platform.python_version(), **versions},
        plugins=_plugins(pipeline),
    )


def _plugins(pipeline: Pipeline) -> list[dict[str, str]]:
    """The components that take part, by the role they play, with the packages they come from."""
    pipeline.build()
    components = []
    for role, component in sorted(pipeline.builder.used.items()):
        origin = pipeline.registry.provenance(component)
        components.append(
            {
                "role": role,
                "kind": component.kind.value,
                "name": component.name,
                "package": origin.distribution,
                "version": origin.version,
            }
        )
    return components
