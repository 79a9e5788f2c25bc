"""The work of `pie bench models` in independent pieces.

Every piece draws from a random stream of its own, and a piece is the same whatever process does it, so the figures do
not depend on the number of processes.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from pie_bench.models import encoder, frechet, generator, recognition, rig
from pie_bench.models.figures import Columns
from pie_bench.models.settings import ModelsConfig
from pie_bench.models.world import PERSONS, World


@dataclass(frozen=True)
class Piece:
    """One piece of work.

    Attributes:
        sort: "portraits" (all that is measured on held-out portraits), "prior" (the rig on samples), "renders" or
            "samples" (features for the Fréchet distance).
        number: of the batch.
        work: roughly how long it takes, in passes of the generator.
    """

    sort: str
    number: int
    work: float

    def __str__(self) -> str:
        return f"{self.sort} {self.number}"


def pieces(settings: ModelsConfig, world: World) -> list[Piece]:
    """All pieces, the long ones first.

    Args:
        settings: say how many.
        world: says what can be measured.
    """
    found = []
    edits = len(rig.requests(world)) if rig.possible(world.networks) else 0
    passes = 3 * settings.projection.steps + 3 * settings.shots + edits * (settings.corrections + 7)
    for sort, each in (("portraits", passes), ("prior", 2 * edits + 4)):
        if edits or sort == "portraits":
            for number in range(-(-settings.portraits // settings.batch)):
                found.append(Piece(sort, number, float(each * len(settings.rows(number)))))
    if world.recognition is not None:
        for sort, count in frechet.counts(settings.samples).items():
            for number in range(-(-count // frechet.BATCH)):
                left = min(frechet.BATCH, count - number * frechet.BATCH)
                found.append(Piece(sort, number, left * (2.5 if sort == "renders" else 1.2)))
    return found


def measure(world: World, piece: Piece) -> Columns:
    """What one piece gives: arrays with one entry per portrait, edit or picture, by name."""
    if piece.sort == "portraits":
        shots = world.settings.shots
        count = len(world.settings.rows(piece.number))
        drawn = world.draw(PERSONS, piece.number, count, shots)
        portraits = drawn.take(range(0, count * shots, shots))
        latent, found = generator.measure(world, portraits.images)
        found |= encoder.measure(world, portraits) | recognition.measure(world, drawn, shots)
        found |= rig.measure(world, latent, portraits, piece.number)
    elif piece.sort == "prior":
        found = rig.measure_prior(world, piece.number)
    else:
        found = frechet.read(world, piece.sort, piece.number)
    return {name: values.detach().double().cpu().numpy() for name, values in found.items()}


def join(done: Iterable[Columns]) -> Columns:
    """The columns of all pieces, one after the other."""
    found: dict[tuple[str, ...], list[np.ndarray]] = {}
    for columns in done:
        for name, values in columns.items():
            found.setdefault(name, []).append(values)
    return {name: np.concatenate(values) for name, values in found.items()}
