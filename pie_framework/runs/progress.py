"""The progress display of a run: an observer that shows steps, the energy and its terms."""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Console, RenderableType
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table

from pie_framework.api.events import RunStarted, StepsDone

#: How many lines are printed in all where there is no terminal.
LINES = 12


class ProgressDisplay(Progress):
    """Shows a run while it goes on; on a console that is no terminal it prints a line now and then."""

    def __init__(self, console: Console) -> None:
        self._terms: Table | None = None  # the columns below are asked for it at once
        super().__init__(
            TextColumn("{task.description:<8}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=console,
            refresh_per_second=4,
            disable=not console.is_terminal,
        )
        self._every = 1
        self._printed = 0

    def get_renderables(self) -> Iterable[RenderableType]:
        yield self.make_tasks_table(self.tasks)
        if self._terms is not None:
            yield self._terms

    def pie_run_started(self, event: RunStarted) -> None:
        for name, steps in event.stages.items():
            self.add_task(name, total=steps)
        self._every = max(1, sum(event.stages.values()) // LINES)

    def pie_steps_done(self, event: StepsDone) -> None:
        for task in self.tasks:
            if task.description == event.stage:
                self.update(task.id, completed=event.step)
        table = Table(box=None, padding=(0, 2), show_header=True, header_style="dim")
        for name in ("E(w)", *event.weighted):
            table.add_column(name, justify="right")
        table.add_row(*(f"{value:.4g}" for value in (event.total, *event.weighted.values())))
        self._terms = table
        done = int(sum(task.completed for task in self.tasks))
        if self.disable and done // self._every > self._printed:
            self._printed = done // self._every
            terms = "  ".join(f"{name} {value:.4g}" for name, value in event.weighted.items())
            self.console.print(
                f"{event.stage} {event.step}/{event.steps}  E {event.total:.4g}  {terms}  {event.seconds:.0f} s",
                highlight=False,
                soft_wrap=True,
            )
