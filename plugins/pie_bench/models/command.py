"""`pie bench models`: every composed model measured on held-out portraits, against its bar.

A measurement, not a test: the exit status is 0 also where a bar is missed. docs/bench-models.md defines the measures.
"""

from __future__ import annotations

import dataclasses
import functools
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pie_bench import workers
from pie_bench.models.figures import MODELS, Figure, means
from pie_bench.models.settings import ROOT, ModelsConfig, load
from pie_framework.api.kinds import Kind
from pie_framework.composition.compose import compose
from pie_framework.composition.schema import RunConfig
from pie_framework.plugins import Registry, discover

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

USAGE = """usage: pie bench models [GROUP=OPTION ...] [KEY=VALUE ...]

Measures every model on portraits that it was not trained on and prints each figure beside its bar.

  pie bench models                                     the bundled models, 256 portraits
  pie bench models generator.weights=mine.safetensors  another generator under the others
  pie bench models inverter=embedded portraits=32      fewer portraits; the projection starts from an inverter
  pie bench models workers=1 device=cuda               on a GPU
"""
JSON, CSV = "models.json", "models.csv"
#: Lines of progress in all where there is no terminal.
LINES = 20


@dataclass(frozen=True)
class Report:
    """What was measured.

    Attributes:
        figures: the rows of the table.
        seconds: how long it took, by part; "total" is all of it.
    """

    figures: tuple[Figure, ...]
    seconds: dict[str, float]


def main(arguments: Sequence[str]) -> int:
    """Measure, print the table, and write it into the output folder. Returns 0; raises PieError."""
    from rich.console import Console

    registry = discover()
    words = list(arguments)
    if any(word in ("-h", "--help") for word in words):
        print(explain(registry))
        return 0
    settings, run = load(words, registry)
    console = Console()
    report = measure(settings, run, registry, Console(stderr=True))
    write(report, settings, run)
    for shown in tables(report.figures):
        console.print(shown)
    if not settings.judge:
        console.print(
            "no judge is composed: the energy's own encoder read what was achieved", highlight=False
        )
    barred = [figure for figure in report.figures if figure.bar is not None]
    console.print(
        f"{sum(bool(figure.met) for figure in barred)} of {len(barred)} bars met, "
        f"{report.seconds['total']:.0f} s; {Path(settings.outputs) / JSON}",
        highlight=False,
        soft_wrap=True,
    )
    return 0


def measure(
    settings: ModelsConfig, run: RunConfig, registry: Registry, console: Console | None = None
) -> Report:
    """All figures of the composed models.

    Args:
        settings: of the measurement.
        run: of the networks.
        registry: the installed components; other processes than this one discover their own.
        console: shows the progress; silent when None.
    """
    from pie_bench.models import frechet, pieces, recognition, weights
    from pie_bench.models.world import build

    started = time.perf_counter()
    with workers.one_thread():
        world = build(settings, run, registry)
        sizes = weights.measure(world)
    todo = pieces.pieces(settings, world)
    prepared = time.perf_counter()
    make = functools.partial(build, settings, run)
    done = workers.run(todo, make, pieces.measure, settings.workers, registry, console, LINES)
    measured = time.perf_counter()
    with workers.one_thread():
        columns = pieces.join(done)
        figures = [*means(columns), *frechet.figures(columns), *recognition.figures(columns), *sizes]
    figures.sort(key=lambda figure: MODELS.index(figure.model))
    ended = time.perf_counter()
    seconds = {"prepare": prepared - started, "measure": measured - prepared, "summarise": ended - measured}
    seconds["total"] = ended - started
    return Report(tuple(figures), seconds)


def write(report: Report, settings: ModelsConfig, run: RunConfig) -> None:
    """models.json and models.csv in the output folder, each complete or not there."""
    import pandas as pd

    from pie_framework.files.io import write_json, write_text

    folder = Path(settings.outputs)
    rows = [figure.to_json() for figure in report.figures]
    kinds = [kind.value for kind in Kind if kind.network]
    about = {
        "figures": rows,
        "seconds": report.seconds,
        "settings": dataclasses.asdict(settings),
        "networks": {kind: run.components.get(kind, {}) for kind in kinds},
        "device": run.device,
        "dtype": run.dtype,
    }
    write_json(folder / JSON, about)
    write_text(folder / CSV, pd.DataFrame(rows).to_csv(index=False, lineterminator="\n"))


def tables(figures: Sequence[Figure]) -> list[Table]:
    """The main table (model, measure, figure, bar, whether it is met), then those of the details."""
    import pandas as pd
    from rich.table import Table

    main_table = Table(title="models on held-out portraits", title_justify="left")
    for name in ("model", "measure", "figure", "bar", ""):
        main_table.add_column(name, justify="right" if name in ("figure", "bar") else "left")
    shown = [figure for figure in figures if figure.place is None or figure.bar is not None]
    for before, figure in zip((None, *shown), shown, strict=False):
        if before is not None and before.model != figure.model:
            main_table.add_section()
        value, bar = figure.written()
        style = {True: "green", False: "bold red", None: ""}[figure.met]
        main_table.add_row(figure.model, figure.measure, value, bar, figure.verdict, style=style)
    found = [main_table]
    placed = pd.DataFrame([(*f.place, f.written()[0]) for f in figures if f.place is not None])
    for title, details in placed.groupby(0, sort=False):
        table = Table(title=str(title), title_justify="left")
        wide = details.pivot(index=1, columns=2, values=3).fillna("")
        wide = wide.reindex(index=details[1].unique(), columns=details[2].unique())
        for name in ("", *wide.columns):
            table.add_column(name, justify="right" if name else "left")
        for row in wide.itertuples():
            table.add_row(*row)
        found.append(table)
    return found


def explain(registry: Registry) -> str:
    """The help, with the settings and what they are."""
    from omegaconf import OmegaConf

    config = compose((), registry, ROOT)
    shown = OmegaConf.masked_copy(config, [str(key) for key in config if key != "schedule"])
    return USAGE + "\nsettings:\n" + OmegaConf.to_yaml(shown)
