"""What the methods of a bench are measured on: portraits with their true edits, and the networks that judge."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from pie_bench.measure import Judge, TruthReadings
from pie_bench.settings import ANOTHER, RECONSTRUCTION, BenchConfig
from pie_framework.api import Kind, KnownPortraits, Layout, Scenes
from pie_framework.composition.build import Builder
from pie_framework.composition.schema import RunConfig
from pie_framework.editing.controls import EditRequest, Vocabulary
from pie_framework.editing.parameters import apply_request
from pie_framework.errors import ConfigError, PieError
from pie_framework.plugins import Registry


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
        self._builder = builder_with(run, registry, scenes=bench.scenes)
        self.scenes: Scenes = self._builder.get(Kind.SCENES)
        self.requests: Mapping[str, EditRequest] = parse_edits(bench.edits, self.scenes.layout)
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


def builder_with(run: RunConfig, registry: Registry, **components: Mapping[str, object]) -> Builder:
    """The components of a run with others beside them, or in their place, by kind."""
    return Builder(replace(run, components={**run.components, **components}), registry)


def parse_edits(edits: Mapping[str, Sequence[str]], layout: Layout) -> dict[str, EditRequest]:
    """The edits of a bench: one request for the method and the true edit alike, in the words of `pie edit`.

    Raises:
        ConfigError: an edit that is no single one, touches no block or several, or takes blocks from anything but
            another portrait.
    """
    vocabulary = Vocabulary(layout)
    found = {}
    for name, controls in edits.items():
        try:
            requests = vocabulary.parse(list(controls), name)
        except PieError as error:
            raise ConfigError(f"edits.{name}: {error.message}", error.hint) from error
        if len(requests) != 1:
            raise ConfigError(f"edits.{name} is a sweep", "Write its frames as edits of their own.")
        (request,) = requests
        if request.source not in (None, ANOTHER):
            raise ConfigError(f"edits.{name}: source={request.source}", f"It can only be source={ANOTHER}.")
        if len(request.blocks) != 1:
            raise ConfigError(
                f"edits.{name} touches {' and '.join(request.blocks) or 'nothing'}",
                "An edit of the bench touches one block.",
            )
        found[name] = request
    return found
