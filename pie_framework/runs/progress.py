"""The progress display of a run: an observer that shows steps, the energy and its terms."""

from __future__ import annotations

from types import TracebackType

from rich.console import Console, Group
from rich.live import Live
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table

from pie_framework.api.events import RunStarted, StepsDone


class ProgressDisplay:
    """Shows a run while it goes on; on a console that is no terminal it prints a line now and then.

    Args:
        console: where to.
        lines: how many lines to print in all where there is no terminal.
    """

    def __init__(self, console: Console, lines: int = 12) -> None:
        self.console = console
        self._lines = lines
        self._progress = Progress(
            TextColumn("{task.description:<8}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=console,
        )
        self._tasks: dict[str, TaskID] = {}
        self._live: Live | None = None
        self._every = 1
        self._done = 0
        self._printed = 0

    def __enter__(self) -> ProgressDisplay:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def pie_run_started(self, event: RunStarted) -> None:
        self._tasks = {
            name: self._progress.add_task(name, total=steps) for name, steps in event.stages.items()
        }
        self._every = max(1, sum(event.stages.values()) // self._lines)
        if self.console.is_terminal:
            self._live = Live(self._progress, console=self.console, refresh_per_second=4)
            self._live.start()

    def pie_steps_done(self, event: StepsDone) -> None:
        if event.stage in self._tasks:
            self._progress.update(self._tasks[event.stage], completed=event.step)
        if self._live is not None:
            self._live.update(Group(self._progress, _terms(event)))
            return
        before = sum(
            int(self._progress.tasks[t].completed) for s, t in self._tasks.items() if s != event.stage
        )
        done = before + event.step
        if done // self._every > self._printed:
            self._printed = done // self._every
            terms = "  ".join(f"{name} {value:.4g}" for name, value in event.weighted.items())
            self.console.print(
                f"{event.stage} {event.step}/{event.steps}  E {event.total:.4g}  {terms}  {event.seconds:.0f} s",
                highlight=False,
                soft_wrap=True,
            )

    def close(self) -> None:
        """End the display; no step follows."""
        if self._live is not None:
            self._live.stop()
            self._live = None


def _terms(event: StepsDone) -> Table:
    table = Table(box=None, padding=(0, 2), show_header=True, header_style="dim")
    table.add_column("E(w)", justify="right")
    for name in event.weighted:
        table.add_column(name, justify="right")
    table.add_row(f"{event.total:.4g}", *(f"{value:.4g}" for value in event.weighted.values()))
    return table
