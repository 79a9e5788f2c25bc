"""The work of `pie bench models` in independent pieces, in as many processes as wanted.

Every piece draws from a random stream of its own, and a piece is the same whatever process does it, so the figures do
not depend on the number of processes.
"""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pie_bench.model_settings import ModelsConfig
from pie_framework.composition.schema import RunConfig
from pie_framework.errors import RunError
from pie_framework.plugins import Registry, discover

if TYPE_CHECKING:
    from pie_bench.model_measures.world import World

Columns = dict[str, NDArray[np.float64]]
#: Told how much work is done, in the units of `Task.work`.
Told = Callable[[float], None]

_world: World | None = None


@dataclass(frozen=True)
class Task:
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


def tasks(settings: ModelsConfig, world: World) -> list[Task]:
    """All pieces, the long ones first.

    Args:
        settings: say how many.
        world: says what can be measured.
    """
    from pie_bench.model_measures import frechet, rig
    from pie_framework.api import RecognitionNetwork

    found = []
    edits = len(rig.requests(world)) if rig.possible(world.networks) else 0
    passes = 3 * settings.projection.steps + 3 * settings.shots + edits * (settings.corrections + 7)
    for number in range(-(-settings.portraits // settings.batch)):
        found.append(Task("portraits", number, float(passes * len(settings.rows(number)))))
    if edits:
        for number in range(-(-settings.portraits // settings.batch)):
            found.append(Task("prior", number, float((2 * edits + 4) * len(settings.rows(number)))))
    if isinstance(world.networks.features.get("recognition"), RecognitionNetwork):
        for sort, count in frechet.counts(settings.samples).items():
            for number in range(-(-count // frechet.BATCH)):
                left = min(frechet.BATCH, count - number * frechet.BATCH)
                found.append(Task(sort, number, left * (2.5 if sort == "renders" else 1.2)))
    return found


def measure(task: Task, world: World) -> Columns:
    """What one piece gives: arrays with one entry per portrait, edit or picture, by name."""
    from pie_bench.model_measures import encoder, frechet, generator, recognition, rig
    from pie_bench.model_measures.world import PERSONS

    if task.sort == "portraits":
        shots = world.settings.shots
        count = len(world.settings.rows(task.number))
        drawn = world.draw(PERSONS, task.number, count, shots)
        portraits = drawn.take(range(0, count * shots, shots))
        found = recognition.measure(world, drawn, shots) | encoder.measure(world, portraits)
        latent, likeness = generator.measure(world, portraits.images)
        found |= likeness | rig.measure(world, latent, portraits, task.number)
    elif task.sort == "prior":
        found = rig.measure_prior(world, task.number)
    else:
        found = frechet.read(world, task.sort, task.number)
    return {name: values.detach().double().cpu().numpy() for name, values in found.items()}


def run(todo: Sequence[Task], world: World, run_config: RunConfig, registry: Registry, tell: Told) -> Columns:
    """Do all pieces; what they give is joined in the order of the tasks.

    Args:
        todo: the pieces.
        world: for the pieces that are done in this process, which are all when the settings ask for one worker.
        run_config: the networks' settings, from which other processes build the same world.
        registry: of this process; other processes discover the installed plugins.
        tell: told of the progress.

    Raises:
        PieError: a piece failed.
    """
    done: dict[int, Columns] = {}
    work = 0.0
    workers = min(world.settings.workers, len(todo))
    if workers == 1:
        for index, task in enumerate(todo):
            done[index] = measure(task, world)
            work += task.work
            tell(work)
        return join(done)
    context = multiprocessing.get_context("spawn")
    before = set(multiprocessing.active_children())
    pool = ProcessPoolExecutor(workers, context, _begin, (world.settings, run_config))
    try:
        futures = {pool.submit(_work, task): index for index, task in enumerate(todo)}
        for future in as_completed(futures):
            index = futures[future]
            done[index] = future.result()
            work += todo[index].work
            tell(work)
        pool.shutdown()
    except BaseException as error:
        pool.shutdown(wait=False, cancel_futures=True)
        for process in set(multiprocessing.active_children()) - before:
            process.terminate()
        if isinstance(error, BrokenProcessPool):
            raise RunError(
                "a worker of the measurement was ended from outside, perhaps for want of memory",
                "Try workers=1 or a smaller batch.",
            ) from error
        raise
    return join(done)


def join(done: Mapping[int, Columns]) -> Columns:
    """The columns of all pieces, one after the other in the order of their indices."""
    found: dict[str, list[NDArray[np.float64]]] = {}
    for index in sorted(done):
        for name, values in done[index].items():
            found.setdefault(name, []).append(values)
    return {name: np.concatenate(values) for name, values in found.items()}


def _begin(settings: ModelsConfig, run_config: RunConfig) -> None:
    """A worker's start: one thread, and the world built from its settings."""
    global _world
    import torch

    from pie_bench.model_measures.world import build

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    torch.set_num_threads(1)
    _world = build(settings, run_config, discover())


def _work(task: Task) -> Columns:
    assert _world is not None
    return measure(task, _world)
