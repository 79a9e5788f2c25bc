"""How long a training will take: a few steps of each kind are timed, and undone, before it begins."""

from __future__ import annotations

import copy
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from pie_training.recipe import Progress

if TYPE_CHECKING:
    from pie_training.engine import Engine

#: Steps of a kind that are timed when they are quick, and how quick that is, in seconds.
REPEATS, QUICK = 3, 1.0


@dataclass(frozen=True)
class Timing:
    """What was timed.

    Attributes:
        phases: share of the budget that is still to come, and seconds of a mean step, of each phase.
        measurement: seconds of a measurement.
        preparation: seconds before the first step.
    """

    phases: Sequence[tuple[float, float]]
    measurement: float
    preparation: float

    @property
    def left(self) -> float:
        """Share of the budget that is still to come."""
        return sum(share for share, _ in self.phases)

    @property
    def step(self) -> float:
        """Seconds of a mean step where the budget counts steps."""
        return sum(share * mean for share, mean in self.phases) / max(self.left, 1e-9)

    @property
    def step_in_time(self) -> float:
        """Seconds of a mean step where the budget counts seconds."""
        return self.left / max(sum(share / max(mean, 1e-9) for share, mean in self.phases), 1e-9)


def estimate(engine: Engine, resumed: bool = False) -> tuple[float, float]:
    """Time steps and a measurement, report how long the rest will take, and leave everything as it was.

    Args:
        engine: before its first step.
        resumed: its recipe is prepared and its state loaded.

    Returns:
        Seconds that the training will take, and milliseconds of a mean step.
    """
    recipe, processes, settings = engine.recipe, engine.processes, engine.settings
    memory, timing = _timed(engine, resumed)
    steps = settings.steps * timing.left
    each = timing.measurement / settings.measure_every if not engine.measure_seconds else 0.0
    by_steps = steps * (timing.step + each) + processes.agree(recipe.extra_seconds(steps))
    by_steps += 0.0 if engine.measure_seconds else timing.measurement
    by_time = settings.seconds * timing.left
    limited = bool(settings.seconds and (not settings.steps or by_steps > by_time))
    rest = "more " if resumed else ""
    if limited:
        seconds, step = by_time, timing.step_in_time
        extra = processes.agree(recipe.extra_seconds(1000.0)) / 1000
        text = f"{words(seconds)} are about {seconds / max(step + each + extra, 1e-9):.0f} {rest}steps"
    else:
        seconds, step = by_steps, timing.step
        text = f"about {words(seconds)} for {steps:.0f} {rest}steps"
    where = _device(processes.device)
    if processes.size > 1:
        where = f"{processes.size} x {where}"
    before = f" after {words(timing.preparation)} of preparation" if timing.preparation >= 1 else ""
    engine.report(
        f"{text}{before} on {where} ({1000 * step:.0f} ms a step, {1000 * timing.measurement:.0f} ms a measurement, "
        f"memory {memory:.1f} GB)"
    )
    return timing.preparation + seconds, 1000 * step


def _timed(engine: Engine, resumed: bool) -> tuple[float, Timing]:
    """Memory in GB, and what steps and measurements take; the engine is afterwards as it was."""
    recipe, processes = engine.recipe, engine.processes
    shared = copy.deepcopy(engine.state_dict())
    own = {"rng": recipe.rng.get_state(), "recipe": copy.deepcopy(recipe.state_dict())}
    done = engine.budget.fraction(engine.spent)
    phases: list[tuple[float, float]] = []
    begin = 0.0
    for phase in recipe.phases():
        end = begin + phase.share
        left = max(0.0, end - max(begin, done))
        begin = end
        if left > 0:
            mean = sum(share * _step_seconds(engine, progress) for share, progress in phase.kinds)
            phases.append((left, processes.agree(mean)))
    started = now(processes.device)
    if processes.first:
        with engine.measuring():
            recipe.measure()
    measurement = processes.agree(now(processes.device) - started)
    preparation, memory, longer = 0.0, 0.0, 1.0
    if resumed:
        recipe.setup()
    else:
        preparation, memory, longer = recipe.setup()
    engine.load_state_dict(shared, own)
    memory += _memory(processes.device)
    return memory, Timing(phases, longer * measurement, processes.agree(preparation))


def _step_seconds(engine: Engine, progress: Progress) -> float:
    """Seconds of a step of one kind; the first is not counted where there is time for more."""
    first = _time(engine, progress)
    if engine.processes.agree(first) > QUICK:
        return first
    return min(_time(engine, progress) for _ in range(REPEATS - 1))


def _time(engine: Engine, progress: Progress) -> float:
    device = engine.processes.device
    begun = now(device)
    engine.take_step(progress)
    return now(device) - begun


def now(device: torch.device) -> float:
    """Seconds of a clock, when all that was asked of the device is done."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.monotonic()


def _memory(device: torch.device) -> float:
    """Largest use of memory so far, in GB: of the GPU, or of this process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 1e9
    try:
        import resource
    except ImportError:  # Windows has none
        return 0.0
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e9


def _device(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{device.type} ({torch.get_num_threads()} threads)"


def words(seconds: float) -> str:
    """A time in words: "40 s", "12 min", "3.5 h"."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"
