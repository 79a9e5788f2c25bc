"""`pie bench models`: every composed model measured on held-out portraits, against its bar.

A measurement, not a test: the exit status is 0 also where a bar is missed. docs/bench-models.md defines the measures.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pie_framework.api.kinds import Kind
from pie_framework.plugins import Registry, discover

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import Console
    from rich.table import Table

    from pie_bench.model_measures.figures import Figure
    from pie_bench.model_settings import ModelsConfig
    from pie_framework.composition.schema import RunConfig

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

    from pie_bench import model_settings

    registry = discover()
    words = list(arguments)
    if any(word in ("-h", "--help") for word in words):
        print(explain(registry))
        return 0
    settings, run = model_settings.load(words, registry)
    console = Console()
    report = measure(settings, run, registry, console)
    write(report, settings, run)
    for shown in tables(report.figures):
        console.print(shown)
    if not settings.judge:
        console.print(
            "no judge is composed: the energy's own encoder read what was achieved", highlight=False
        )
    missed = [figure for figure in report.figures if figure.met is False]
    barred = [figure for figure in report.figures if figure.bar is not None]
    console.print(
        f"{len(barred) - len(missed)} of {len(barred)} bars met, {report.seconds['total']:.0f} s; "
        f"{Path(settings.outputs) / JSON}",
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
    from pie_bench import model_tasks
    from pie_bench.model_measures import encoder, frechet, generator, recognition, rig, weights
    from pie_bench.model_measures.world import build
    from pie_bench.pool import one_thread

    started = time.perf_counter()
    with one_thread():
        world = build(settings, run, registry)
        sizes = weights.measure(world, weights.networks(world))
        todo = model_tasks.tasks(settings, world)
        prepared = time.perf_counter()
        with _progress(console, sum(task.work for task in todo)) as tell:
            columns = model_tasks.run(todo, world, run, registry, tell)
        measured = time.perf_counter()
        figures = [
            figure
            for part in (generator, frechet, encoder, recognition, rig)
            for figure in part.figures(columns)
        ]
    ended = time.perf_counter()
    seconds = {
        "prepare": prepared - started,
        "measure": measured - prepared,
        "summarise": ended - measured,
        "total": ended - started,
    }
    return Report((*figures, *sizes), seconds)


def write(report: Report, settings: ModelsConfig, run: RunConfig) -> None:
    """models.json and models.csv in the output folder, each complete or not there."""
    from pie_framework.files.io import write_csv, write_json

    folder = Path(settings.outputs)
    rows = [figure.to_json() for figure in report.figures]
    kinds = [kind.value for kind in Kind if kind.network]
    write_json(
        folder / JSON,
        {
            "figures": rows,
            "seconds": report.seconds,
            "settings": dataclasses.asdict(settings),
            "networks": {kind: run.components.get(kind, {}) for kind in kinds},
            "device": run.device,
            "dtype": run.dtype,
        },
    )
    write_csv(folder / CSV, list(rows[0]), rows)


def tables(figures: Sequence[Figure]) -> list[Table]:
    """The main table (model, measure, figure, bar, whether it is met), then those of the details."""
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
    places: dict[str, dict[str, dict[str, str]]] = {}
    for figure in figures:
        if figure.place is not None:
            title, row, column = figure.place
            places.setdefault(title, {}).setdefault(row, {})[column] = figure.written()[0]
    return [main_table, *(_details(title, rows) for title, rows in places.items())]


def _details(title: str, rows: Mapping[str, Mapping[str, str]]) -> Table:
    from rich.table import Table

    found = Table(title=title, title_justify="left")
    columns = list(dict.fromkeys(column for row in rows.values() for column in row))
    found.add_column("")
    for column in columns:
        found.add_column(column, justify="right")
    for name, row in rows.items():
        found.add_row(name, *(row.get(column, "") for column in columns))
    return found


@contextmanager
def _progress(console: Console | None, total: float) -> Iterator[Any]:
    """Gives a function that is told how much work is done."""
    if console is None:
        yield lambda work: None
        return
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TimeElapsedColumn, TimeRemainingColumn

    started, printed = time.perf_counter(), 0
    columns = (BarColumn(), TaskProgressColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        all_work = bar.add_task("measuring", total=total)

        def tell(work: float) -> None:
            nonlocal printed
            bar.update(all_work, completed=work)
            line = int(LINES * work / total)
            if not console.is_terminal and line > printed:
                printed = line
                seconds = time.perf_counter() - started
                console.print(f"measured {work / total:.0%}, {seconds:.0f} s", highlight=False)

        yield tell


def explain(registry: Registry) -> str:
    """The help, with the settings and what they are."""
    from omegaconf import OmegaConf

    from pie_bench.model_settings import ROOT
    from pie_framework.composition.compose import compose

    config = compose((), registry, ROOT)
    shown = OmegaConf.masked_copy(config, [str(key) for key in config if key != "schedule"])
    return USAGE + "\nsettings:\n" + OmegaConf.to_yaml(shown)
