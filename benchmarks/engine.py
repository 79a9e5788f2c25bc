"""What the engine promises, measured in the bundled world: constant memory, and portraits that do not touch each other.

python benchmarks/engine.py memory      # 200 steps without the garbage collector
python benchmarks/engine.py batch       # three portraits together, one of them NaN, and each alone
python benchmarks/engine.py             # both
"""

from __future__ import annotations

import argparse
import gc
import math
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from pie_framework import Pipeline
from pie_framework.api import Kind, LatentView
from pie_framework.api.view import EditedView
from pie_framework.optimisation.history import History
from pie_framework.optimisation.solver import Solution, solve
from pie_framework.optimisation.start import start_latent
from pie_framework.optimisation.state import SolverState

SETTINGS = ("energy=full", "prior.pool=8", "device=cpu")


def memory() -> None:
    """Print the process's memory and the living views at every 20th of 200 steps, with the garbage collector off."""
    pipeline = Pipeline.compose(*SETTINGS, "schedule.stages.0.steps=100", "schedule.stages.1.steps=100")
    print("| step | resident, MiB | views alive | tensors alive |\n|---|---|---|---|")

    def shown(state: SolverState, history: History) -> None:
        objects = gc.get_objects()
        views = sum(type(o) in (LatentView, EditedView) for o in objects)
        tensors = sum(type(o) is Tensor for o in objects)
        print(f"| {state.total_steps} | {resident():.0f} | {views} | {tensors} |", flush=True)

    gc.collect()
    gc.disable()
    try:
        run(pipeline, images(pipeline, 1), shown, check_every=20)
    finally:
        gc.enable()


def batch(dtype: str) -> None:
    """Print how far portraits solved together come out from where they come out alone.

    In float64 nothing but rounding is left. In float32 rounding grows: Adam's first steps have the sign of the
    gradient, also where the gradient is hardly more than rounding.
    """
    pipeline = Pipeline.compose(
        *SETTINGS,
        f"dtype={dtype}",
        "schedule.stages.0.steps=40",
        "schedule.stages.0.tolerance=0.1",
        "schedule.stages.0.window=5",
        "schedule.stages.1.steps=20",
    )
    every = 5
    given = images(pipeline, 4)
    given[1] = torch.nan
    together = run(pipeline, given, check_every=every)
    print(
        f"\n| {dtype}: portrait | outcome | steps in W, together and alone | w | E(w) |\n|---|---|---|---|---|"
    )
    for i, portrait in enumerate(together.portraits):
        alone = run(pipeline, given[i : i + 1], check_every=every)
        taken = [len(s.history.totals("w", row)) for s, row in ((together, i), (alone, 0))]
        assert portrait.ending == alone.portraits[0].ending
        change = float((together.latent[i] - alone.latent[0]).abs().max() / alone.latent.abs().max())
        energies = [together.history.last_energies(4)["total"][i], alone.history.last_energies(1)["total"][0]]
        energy = f"{abs(energies[0] / energies[1] - 1):.1e}" if math.isfinite(energies[0]) else "-"
        print(f"| {i} | {portrait.ending} | {taken[0]}, {taken[1]} | {change:.1e} | {energy} |", flush=True)


def images(pipeline: Pipeline, count: int) -> Tensor:
    """Bundled portraits as a batch, (count, 3, R, R)."""
    return pipeline.images([pipeline.portrait(f"example:{i}") for i in range(count)])


def run(
    pipeline: Pipeline,
    given: Tensor,
    on_check: Callable[[SolverState, History], None] | None = None,
    check_every: int = 10,
) -> Solution:
    """The optimisation of a run, without a run folder."""
    problem = pipeline.problem(given)
    initializer = pipeline.builder.get(Kind.INIT)
    state = problem.start(
        start_latent(initializer, pipeline.networks, given.nan_to_num(), pipeline.config.seed)
    )
    return solve(problem, state, check_every=check_every, on_check=on_check)


def resident() -> float:
    """Memory that this process holds now, MiB (Linux)."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 / 2**20


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("what", nargs="?", choices=("memory", "batch"))
    chosen = parser.parse_args().what
    if chosen != "batch":
        memory()
    if chosen != "memory":
        batch("float64")
        batch("float32")
