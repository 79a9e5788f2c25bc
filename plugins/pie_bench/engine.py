"""One job of a bench: portraits embedded, edited and measured by the methods that share the embedding."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from pie_bench.columns import TRUTH
from pie_bench.jobs import Job, Plan, latent_file, picture_file, rows_file
from pie_bench.measure import measure
from pie_bench.methods import Method
from pie_bench.results import write_rows
from pie_bench.settings import RECONSTRUCTION
from pie_bench.world import Chunk, World
from pie_framework.api import AlignedPortrait, Networks
from pie_framework.editing.edit import edit
from pie_framework.errors import RunError
from pie_framework.files.io import load_tensors, save_png, save_tensors
from pie_framework.images.photo import to_picture
from pie_framework.pipeline import Pipeline, Portrait
from pie_framework.plugins import Registry


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
        plan: of the bench.
        registry: the installed components.
    """

    def __init__(self, plan: Plan, registry: Registry) -> None:
        self.plan = plan
        self.folder = plan.folder
        self.registry = registry
        self.world = World(plan.bench, plan.judge, registry)
        self._methods = {method.name: method for method in plan.methods}
        self._pipeline = lru_cache(maxsize=4)(self._make_pipeline)

    def run(self, job: Job) -> None:
        """Do what of a job is not done yet, and keep it method by method; PieError where a method cannot be run."""
        missing = [n for n in job.methods if not rows_file(self.folder, n, job.seed, job.chunk).is_file()]
        if missing:
            chunk = self.world.chunk(job.chunk)
            self._keep_truth(chunk)
            for name in missing:
                embedded = self._embed(self._methods[name], job, chunk)
                self._finish(self._methods[name], job, chunk, embedded)

    def _make_pipeline(self, name: str, seed: int) -> Pipeline:
        return Pipeline(replace(self._methods[name].run, seed=seed), self.registry)

    def _embed(self, method: Method, job: Job, chunk: Chunk) -> Embedded:
        """The latents of the portraits: those kept by a method with the same embedding, or new ones."""
        path = latent_file(self.folder, method, job.seed, job.chunk)
        pipeline = self._pipeline(method.name, job.seed)
        if path.is_file():
            tensors, about = load_tensors(path)
            latent = tensors["latent"].to(pipeline.builder.device, pipeline.builder.dtype)
            return Embedded(latent, float(about["seconds"]))
        pictures = zip(chunk.numbers, chunk.portraits.images, strict=True)
        portraits = [_portrait(number, image) for number, image in pictures]
        pipeline.build()  # loading the weights does not count
        started = time.perf_counter()
        found = pipeline.embed(*portraits, observers=Registry().observers())
        seconds = (time.perf_counter() - started) / len(portraits)
        if not found.latent.isfinite().all():
            raise RunError(f"the method '{method.name}' found no finite latent: {found.solution.message}")
        save_tensors(path, {"latent": found.latent}, {"seconds": str(seconds), "method": method.name})
        return Embedded(found.latent, seconds)

    @torch.no_grad()
    def _finish(self, method: Method, job: Job, chunk: Chunk, embedded: Embedded) -> None:
        """Edit, measure and keep."""
        pipeline = self._pipeline(method.name, job.seed)
        reconstruction = pipeline.networks.synthesize(embedded.latent).clamp(-1, 1)
        made = {RECONSTRUCTION: reconstruction}
        seconds = 0.0
        if method.edits:
            networks = pipeline.builder.networks(edits=True)
            started = time.perf_counter()
            made |= self._edited(networks, pipeline.config.edit.corrections, embedded.latent, chunk)
            seconds = (time.perf_counter() - started) / (len(chunk.numbers) * len(self.world.requests))
        else:
            made |= dict.fromkeys(self.world.requests, reconstruction)
        found: list[dict[str, Any]] = []
        for name, images in made.items():
            measures = measure(images, chunk.readings[name], self.world.judge)
            for i, number in enumerate(chunk.numbers):
                row = {"method": method.name, "seed": job.seed, "portrait": number, "edit": name}
                row |= {"block": self.world.block(name)}
                row |= {"seconds": embedded.seconds if name == RECONSTRUCTION else seconds}
                found.append(row | {column: float(value[i]) for column, value in measures.items()})
                if number < self.plan.bench.pictures:
                    save_png(picture_file(self.folder, f"{method.name}.{job.seed}", number, name), images[i])
        path = rows_file(self.folder, method.name, job.seed, job.chunk)
        write_rows(path, sorted(found, key=lambda row: row["portrait"]))

    def _edited(
        self, networks: Networks, corrections: int, latent: Tensor, chunk: Chunk
    ) -> dict[str, Tensor]:
        """Edit name -> pictures (B, 3, R, R); other portraits are read by the method's own encoder."""
        requests = self.world.requests
        sources = networks.encode(chunk.another.images)
        pictures: list[Sequence[Tensor]] = []
        for i in range(len(latent)):
            one = slice(i, i + 1)
            results = edit(
                latent[one],
                list(requests.values()),
                networks,
                source_theta=sources[one],
                corrections=corrections,
            )
            pictures.append([result.image[0].clamp(-1, 1) for result in results])
        return {name: torch.stack(images) for name, *images in zip(requests, *pictures, strict=True)}

    def _keep_truth(self, chunk: Chunk) -> None:
        for name, truth in chunk.truths.items():
            for i, number in enumerate(chunk.numbers):
                path = picture_file(self.folder, TRUTH, number, name)
                if number < self.plan.bench.pictures and not path.is_file():
                    save_png(path, truth.images[i])


def _portrait(number: int, image: Tensor) -> Portrait:
    """An aligned portrait of the scenes as a file would give it."""
    picture = to_picture(image)
    aligned = AlignedPortrait(picture, (1.0, 0.0, 0.0, 0.0, 1.0, 0.0), picture.size, faces=1)
    return Portrait(f"portrait_{number}", aligned, picture)
