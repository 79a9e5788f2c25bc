"""The progress display of a bench: a bar for all jobs and one for each that is running."""

from __future__ import annotations

import time
from collections.abc import Mapping

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from pie_bench.jobs import Job


class BenchProgress:
    """Shows what runs; on a console that is no terminal it prints a line for each job that is done.

    Args:
        console: where to.
        jobs: by number, those that are to be done.
    """

    def __init__(self, console: Console, jobs: Mapping[int, Job]) -> None:
        self._console, self._jobs = console, jobs
        self._shares = dict.fromkeys(jobs, 0.0)
        self._tasks: dict[int, TaskID] = {}
        self._started = time.perf_counter()
        self._progress = Progress(
            TextColumn("{task.description:<32}"),
            BarColumn(),
            TextColumn("{task.fields[state]}"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=console,
            disable=not console.is_terminal,
        )
        self._all = self._progress.add_task("all jobs", total=max(len(jobs), 1), state="")

    def __enter__(self) -> BenchProgress:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    @property
    def done(self) -> int:
        """How many jobs are done."""
        return sum(share >= 1.0 for share in self._shares.values())

    def tell(self, number: int, share: float, what: str) -> None:
        """A job is done to this share, 0 to 1."""
        if number not in self._shares or self._shares[number] >= 1.0:
            return
        self._shares[number] = share
        if number not in self._tasks:
            self._tasks[number] = self._progress.add_task(str(self._jobs[number]), total=1.0, state=what)
        self._progress.update(self._tasks[number], completed=share, state=what)
        self._progress.update(
            self._all, completed=sum(self._shares.values()), state=f"{self.done}/{len(self._jobs)}"
        )
        if share >= 1.0:
            self._progress.update(self._tasks[number], visible=False)
            if not self._console.is_terminal:
                self._console.print(
                    f"{self.done}/{len(self._jobs)}  {self._jobs[number]}  "
                    f"{time.perf_counter() - self._started:.0f} s",
                    highlight=False,
                    soft_wrap=True,
                )
