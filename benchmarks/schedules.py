"""How close one schedule comes to the energy of another.

    python benchmarks/schedules.py schedule=quick "schedule=paper optimizer=adadelta"

embeds bundled portraits once per argument (each holds overrides of `pie run`, separated by spaces) and prints E(w) at
the latent that was found. Steps see a new v each, so their energies are noisy; here E(w) is the mean over the same
fixed v and over all blocks for every schedule.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table

from pie_framework import Pipeline
from pie_framework.files.io import write_json
from pie_framework.optimisation.problem import Problem


@torch.no_grad()
def energy(problem: Problem, latent: torch.Tensor, draws: int) -> dict[str, float]:
    """E(w) and its weighted parts, mean over the portraits, over `draws` fixed draws of v and over all blocks."""
    problem = replace(problem, blocks_per_step=0)
    last = replace(problem.start(latent), variable=latent, stage=len(problem.stages) - 1)
    sums: dict[str, float] = {}
    for draw in range(draws):
        breakdown = problem.evaluate(replace(last, step=1_000_000 + draw))
        values = {"E(w)": breakdown.total, **breakdown.weighted}
        for name, value in values.items():
            sums[name] = sums.get(name, 0.0) + float(value.mean()) / draws
    return sums


def measure(overrides: Sequence[str], portraits: Sequence[str], draws: int) -> dict[str, float]:
    pipeline = Pipeline.compose(*overrides)
    started = time.perf_counter()
    embedding = pipeline.embed(*portraits)
    seconds = time.perf_counter() - started
    figures = energy(pipeline.problem(embedding.images), embedding.latent, draws)
    figures |= {name: sum(values) / len(values) for name, values in embedding.metrics().items()}
    return {**figures, "steps": embedding.solution.state.total_steps, "seconds": seconds}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("overrides", nargs="+", help="overrides of one setting, separated by spaces")
    parser.add_argument(
        "--portraits", type=int, default=1, help="how many bundled portraits to use (at most 8)"
    )
    parser.add_argument("--draws", type=int, default=8, help="how many v the energy is averaged over")
    parser.add_argument("--json", type=Path, help="also write the figures here")
    arguments = parser.parse_args()
    portraits = [f"example:{i}" for i in range(arguments.portraits)]
    results = {text: measure(text.split(), portraits, arguments.draws) for text in arguments.overrides}
    table = Table("mean over the portraits", *results)
    for figure in next(iter(results.values())):
        table.add_row(figure, *(f"{result[figure]:.4g}" for result in results.values()))
    Console(width=160).print(table)
    if arguments.json:
        write_json(arguments.json, results)


if __name__ == "__main__":
    main()
