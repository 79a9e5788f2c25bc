"""How long a training will take: a few steps of each kind are timed, and undone, before it begins."""

from __future__ import annotations

import copy
import sys
import time
from typing import TYPE_CHECKING

import torch

from pie_framework.training.recipe import Notes, Progress

if TYPE_CHECKING:
    from pie_framework.training.engine import Engine

#: Steps of a kind that are timed when they are quick, and how quick that is, in seconds.
REPEATS, QUICK = 3, 1.0


def estimate(engine: Engine) -> tuple[float, float]:
    """Time steps and a measurement, report how long the whole will take, and leave everything as it was.

    Returns:
        Seconds that the training will take, and milliseconds of a mean step.
    """
    recipe, processes, settings = engine.recipe, engine.processes, engine.settings
    shared = copy.deepcopy(engine.state_dict())
    own = {"rng": recipe.rng.get_state(), "recipe": copy.deepcopy(recipe.state_dict())}
    per_phase: list[tuple[float, float]] = []
    for phase in recipe.phases():
        mean = 0.0
        for share, progress in phase.kinds:
            mean += share * _step_seconds(engine, progress)
        per_phase.append((phase.share, processes.agree(mean)))
    begun = time.monotonic()
    if processes.first:
        with engine.measuring():
            recipe.measure()
    preparing, memory, longer = recipe.setup()
    preparing = processes.agree(preparing)
    measurement = longer * processes.agree(time.monotonic() - begun)
    engine.load_state_dict(shared, own)
    engine.notes = Notes()
    every = engine.measure_seconds or float(settings.measure_every)
    by_steps = _by_steps(per_phase, settings.steps)
    by_steps += recipe.extra_seconds(settings.steps)
    if not engine.measure_seconds:
        by_steps += measurement * (settings.steps / every + 1)
    limited = bool(settings.seconds and (not settings.steps or by_steps > settings.seconds))
    seconds = settings.seconds if limited else by_steps
    if limited:
        step = 1 / max(1e-12, sum(share / max(mean, 1e-9) for share, mean in per_phase))
        each = step + (0.0 if engine.measure_seconds else measurement / every)
        each += max(0.0, processes.agree(recipe.extra_seconds(1000.0))) / 1000
        text = f"{words(seconds)} are about {seconds / each:.0f} steps"
    else:
        step = _by_steps(per_phase, 1)
        text = f"about {words(seconds)} for {settings.steps} steps"
    where = _device(processes.device)
    if processes.size > 1:
        where = f"{processes.size} x {where}"
    before = f" after {words(preparing)} of preparation" if preparing >= 1 else ""
    memory += _memory(processes.device)
    engine.report(
        f"{text}{before} on {where} ({1000 * step:.0f} ms a step, {1000 * measurement:.0f} ms a measurement, "
        f"memory {memory:.1f} GB)"
    )
    return preparing + seconds, 1000 * step


def _by_steps(per_phase: list[tuple[float, float]], steps: int) -> float:
    return steps * sum(share * mean for share, mean in per_phase)


def _step_seconds(engine: Engine, progress: Progress) -> float:
    """Seconds of a step of one kind; the first is not counted where there is time for more."""
    first = _time(engine, progress)
    if engine.processes.agree(first) > QUICK:
        return first
    return min(_time(engine, progress) for _ in range(REPEATS - 1))


def _time(engine: Engine, progress: Progress) -> float:
    device = engine.processes.device
    begun = time.monotonic()
    engine.take_step(progress)
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.monotonic() - begun


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
