"""What the methods of a bench are measured on: portraits with their true edits, and the networks that judge."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch

from pie_bench import edits
from pie_bench.measure import Judge, TruthReadings
from pie_bench.settings import RECONSTRUCTION, BenchConfig
from pie_framework.api import Kind, KnownPortraits, Scenes
from pie_framework.composition.build import Builder
from pie_framework.composition.schema import RunConfig
from pie_framework.editing.controls import EditRequest, Vocabulary
from pie_framework.editing.parameters import apply_request
from pie_framework.plugins import Registry, boundary


@dataclass(frozen=True)
class Chunk:
    """Portraits that are embedded together.

    Attributes:
        numbers: of the B portraits in the bench.
        portraits: the portraits.
        another: as many others, of which edits take blocks.
        truths: what each edit really looks like, by name; "reconstruction" are the portraits themselves.
        readings: what the judge reads in them.
    """

    numbers: tuple[int, ...]
    portraits: KnownPortraits
    another: KnownPortraits
    truths: Mapping[str, KnownPortraits]
    readings: Mapping[str, TruthReadings]


class World:
    """Portraits, requests and judge of a bench, built when first needed.

    Args:
        bench: the settings.
        run: the configuration of the judging networks; its device and dtype hold for the portraits too.
        registry: the installed components.

    Attributes:
        requests: the edits by name.
    """

    def __init__(self, bench: BenchConfig, run: RunConfig, registry: Registry) -> None:
        self.bench = bench
        self._builder = Builder(run, registry)
        component = registry.get(Kind.SCENES, bench.scenes["name"])
        given = {key: value for key, value in bench.scenes.items() if key != "name"}
        settings: object = registry.settings(component, given, "scenes")
        self.scenes: Scenes = boundary.make(registry, component, settings, self._builder)
        self.requests: Mapping[str, EditRequest] = edits.parse(bench.edits, self.scenes.layout)
        self.chunk = functools.lru_cache(maxsize=1)(self._draw)

    @functools.cached_property
    def judge(self) -> Judge:
        """The networks that read the pictures."""
        get = self._builder.get
        return Judge(
            encoder=get(Kind.ENCODER),
            face_model=get(Kind.FACE_MODEL),
            perceptual=get(Kind.FEATURES, "perceptual"),
            recognition=get(Kind.FEATURES, "recognition"),
        )

    def block(self, edit: str) -> str:
        """The block that an edit touches; "none" for the reconstruction."""
        return "none" if edit == RECONSTRUCTION else self.requests[edit].blocks[0]

    @torch.no_grad()
    def _draw(self, number: int) -> Chunk:
        numbers = tuple(self.bench.rows(number))
        drawn = self.scenes.draw(2 * len(numbers), np.random.default_rng([self.bench.portraits_seed, number]))
        portraits = drawn.take(range(len(numbers)))
        another = drawn.take(range(len(numbers), 2 * len(numbers)))
        truths = {RECONSTRUCTION: portraits}
        for name, request in self.requests.items():
            theta = torch.cat(
                [
                    apply_request(
                        Vocabulary(self.scenes.layout),
                        portraits.theta[i : i + 1],
                        request,
                        another.theta[i : i + 1] if request.source else None,
                    )
                    for i in range(len(numbers))
                ]
            )
            truths[name] = portraits.edited(theta)
        readings = {name: TruthReadings.read(truth, self.judge) for name, truth in truths.items()}
        return Chunk(numbers, portraits, another, truths, readings)
