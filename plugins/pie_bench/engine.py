"""One job of a bench: portraits embedded, edited and measured by the methods that share the embedding."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import torch
from torch import Tensor

from pie_bench import rows
from pie_bench.jobs import Job, latent_file, picture_file, rows_file
from pie_bench.measure import measure
from pie_bench.methods import Method
from pie_bench.rows import Row
from pie_bench.settings import RECONSTRUCTION
from pie_bench.world import Chunk, World
from pie_framework.api import AlignedPortrait, Networks
from pie_framework.api.events import RunStarted, StepsDone
from pie_framework.editing.edit import edit
from pie_framework.errors import RunError
from pie_framework.files.io import load_tensors, save_png, save_tensors
from pie_framework.images.photo import to_picture
from pie_framework.optimisation.state import Termination
from pie_framework.pipeline import Pipeline, Portrait
from pie_framework.plugins import Registry

#: Told how much of a job is done, 0 to 1, and what is going on.
Tell = Callable[[float, str], None]
#: Of a job's time, the part that progress gives to the optimisation.
EMBEDDING_SHARE = 0.9


class Stopped(Exception):
    """The job was asked to stop; what it had finished was kept."""


def nobody(done: float, what: str) -> None:
    """Tells nobody."""


def never() -> bool:
    """Never stops."""
    return False


@dataclass(frozen=True)
class Embedded:
    """Latents and what they took.

    Attributes:
        latent: w as W+, (B, L, D).
        seconds: for one portrait.
    """

    latent: Tensor
    seconds: float


class Engine:
    """Runs jobs one after the other; components are built once for methods that share them.

    Args:
        world: portraits and judge.
        methods: by name.
        folder: of the bench.
        registry: the installed components.
        tell: is told of the progress.
        should_stop: asked every few steps.
    """

    def __init__(
        self,
        world: World,
        methods: Mapping[str, Method],
        folder: Path,
        registry: Registry,
        tell: Tell = nobody,
        should_stop: Callable[[], bool] = never,
    ) -> None:
        self.world = world
        self.methods = methods
        self.folder = folder
        self.registry = registry
        self.tell = tell
        self.should_stop = should_stop
        self._pipeline = lru_cache(maxsize=4)(self._make_pipeline)

    def run(self, job: Job) -> None:
        """Do what of a job is not done yet, and keep it method by method.

        Raises:
            Stopped: it was asked to.
            PieError: a method cannot be run.
        """
        missing = [n for n in job.methods if not rows_file(self.folder, n, job.seed, job.chunk).is_file()]
        if not missing:
            return
        self.tell(0.0, f"{missing[0]}: portraits")
        chunk = self.world.chunk(job.chunk)
        self._keep_truth(chunk)
        for i, name in enumerate(missing):
            if self.should_stop():
                raise Stopped
            embedded = self._embed(self.methods[name], job, chunk)
            self.tell(EMBEDDING_SHARE + (1 - EMBEDDING_SHARE) * i / len(missing), f"{name}: edits")
            self._finish(self.methods[name], job, chunk, embedded)
        self.tell(1.0, job.methods[-1])

    def _make_pipeline(self, name: str, seed: int) -> Pipeline:
        return Pipeline(replace(self.methods[name].run, seed=seed), self.registry)

    def _embed(self, method: Method, job: Job, chunk: Chunk) -> Embedded:
        """The latents of the portraits: those kept by a method with the same embedding, or new ones."""
        path = latent_file(self.folder, method, job.seed, job.chunk)
        pipeline = self._pipeline(method.name, job.seed)
        if path.is_file():
            tensors, about = load_tensors(path)
            latent = tensors["latent"].to(pipeline.builder.device, pipeline.builder.dtype)
            return Embedded(latent, float(about["seconds"]))
        portraits = [
            _portrait(n, image) for n, image in zip(chunk.numbers, chunk.portraits.images, strict=True)
        ]
        assert pipeline.networks and pipeline.objective  # loading the weights does not count
        started = time.perf_counter()
        found = pipeline.embed(
            *portraits,
            observers=Registry().observers(_Steps(method.name, self.tell)),
            should_stop=self.should_stop,
        )
        seconds = (time.perf_counter() - started) / len(portraits)
        if found.solution.ending is Termination.INTERRUPTED:
            raise Stopped
        if not found.latent.isfinite().all():
            raise RunError(f"the method '{method.name}' found no finite latent: {found.solution.message}")
        save_tensors(path, {"latent": found.latent}, {"seconds": str(seconds), "method": method.name})
        return Embedded(found.latent, seconds)

    @torch.no_grad()
    def _finish(self, method: Method, job: Job, chunk: Chunk, embedded: Embedded) -> None:
        """Edit, measure and keep."""
        pipeline = self._pipeline(method.name, job.seed)
        reconstruction = pipeline.networks.generator.synthesize(embedded.latent).clamp(-1, 1)
        made = {RECONSTRUCTION: reconstruction}
        seconds = 0.0
        if method.edits:
            networks = pipeline.builder.networks(edits=True)
            started = time.perf_counter()
            made |= self._edited(networks, pipeline.config.edit.corrections, embedded.latent, chunk)
            seconds = (time.perf_counter() - started) / (len(chunk.numbers) * len(self.world.requests))
        else:
            made |= dict.fromkeys(self.world.requests, reconstruction)
        found = []
        for name, images in made.items():
            measures = measure(images, chunk.readings[name], self.world.judge)
            took = embedded.seconds if name == RECONSTRUCTION else seconds
            for i, number in enumerate(chunk.numbers):
                values = {column: float(value[i]) for column, value in measures.items()}
                found.append(Row(method.name, job.seed, number, name, self.world.block(name), took, values))
                if number < self.world.bench.pictures:
                    save_png(picture_file(self.folder, f"{method.name}.{job.seed}", number, name), images[i])
        rows.write(
            rows_file(self.folder, method.name, job.seed, job.chunk),
            sorted(found, key=lambda row: row.portrait),
        )

    def _edited(
        self, networks: Networks, corrections: int, latent: Tensor, chunk: Chunk
    ) -> dict[str, Tensor]:
        """Edit name -> pictures (B, 3, R, R); other portraits are read by the method's own encoder."""
        requests = list(self.world.requests.values())
        sources = networks.need_encoder().encode(chunk.another.images)
        pictures: list[Sequence[Tensor]] = [
            [
                result.image[0].clamp(-1, 1)
                for result in edit(
                    latent[i : i + 1],
                    requests,
                    networks,
                    source_theta=sources[i : i + 1],
                    corrections=corrections,
                )
            ]
            for i in range(len(chunk.numbers))
        ]
        return {
            name: torch.stack([portrait[j] for portrait in pictures])
            for j, name in enumerate(self.world.requests)
        }

    def _keep_truth(self, chunk: Chunk) -> None:
        for name, truth in chunk.truths.items():
            for i, number in enumerate(chunk.numbers):
                path = picture_file(self.folder, "truth", number, name)
                if number < self.world.bench.pictures and not path.is_file():
                    save_png(path, truth.images[i])


def _portrait(number: int, image: Tensor) -> Portrait:
    """An aligned portrait of the scenes as a file would give it."""
    picture = to_picture(image)
    aligned = AlignedPortrait(picture, (1.0, 0.0, 0.0, 0.0, 1.0, 0.0), picture.size, faces=1)
    return Portrait(f"portrait_{number}", aligned, picture)


class _Steps:
    """Turns the steps of an optimisation into a share of a job."""

    def __init__(self, method: str, tell: Tell) -> None:
        self._method, self._tell = method, tell
        self._stages: dict[str, int] = {}

    def pie_run_started(self, event: RunStarted) -> None:
        self._stages = dict(event.stages)

    def pie_steps_done(self, event: StepsDone) -> None:
        before = 0
        for name, steps in self._stages.items():
            if name == event.stage:
                break
            before += steps
        share = (before + event.step) / max(sum(self._stages.values()), 1)
        self._tell(EMBEDDING_SHARE * share, f"{self._method}: {event.stage} {event.step}/{event.steps}")
