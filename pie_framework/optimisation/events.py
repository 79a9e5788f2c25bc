"""What observers are told of one run, in this order: started, steps, result saved, failed, ended."""

from __future__ import annotations

import dataclasses
import time
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from pie_framework.api.events import ResultSaved, RunEnded, RunFailed, RunStarted, StepsDone
from pie_framework.errors import PieError, in_one_line
from pie_framework.optimisation.state import Termination

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from pie_framework.optimisation.history import History
    from pie_framework.optimisation.solver import Solution
    from pie_framework.optimisation.state import SolverState
    from pie_framework.plugins import Observers


class RunEvents:
    """Tells observers about one run; used in a `with` block, whose end is the end of the run, whatever happens in it.

    Args:
        observers: who is told.
        folder: the run folder, or None when the run is not kept.
    """

    def __init__(self, observers: Observers, folder: Path | None = None) -> None:
        self._observers = observers
        self._folder = folder
        self._began = time.perf_counter()
        self._started = False
        self._failed = False
        self._outcome, self._message = Termination.FAILED.value, "the run ended before its outcome was known"

    @property
    def seconds(self) -> float:
        """Since the run began."""
        return time.perf_counter() - self._began

    def __enter__(self) -> RunEvents:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if isinstance(error, KeyboardInterrupt):
            self.ends(Termination.INTERRUPTED.value, str(error) or "interrupted")
        elif error is not None:
            self.failed(error.message if isinstance(error, PieError) else in_one_line(error))
        if self._started:
            self._observers.tell(RunEnded(self._folder, self._outcome, self._message, self.seconds))

    def started(self, event: RunStarted) -> None:
        """The run is about to take its first step; its components are built."""
        self._started = True
        self._observers.tell(dataclasses.replace(event, folder=self._folder))

    def steps(self, history: History, limits: Mapping[str, int]) -> None:
        """Some more steps were taken; `limits` are the steps of each stage."""
        if not history.rows:
            return
        row = history.rows[-1]
        count = len(row.portraits)
        self._observers.tell(
            StepsDone(
                row.stage,
                row.step,
                limits[row.stage],
                sum(row.total) / count,
                {name: row.weights[name] * sum(values) / count for name, values in row.raw.items()},
                self.seconds,
                count,
            )
        )

    def check(
        self, limits: Mapping[str, int], then: Callable[[SolverState, History], None] | None
    ) -> Callable[[SolverState, History], None]:
        """What the solver calls at each check: observers are told, then `then` is called."""

        def checked(state: SolverState, history: History) -> None:
            self.steps(history, limits)
            if then is not None:
                then(state, history)

        return checked

    def saved(self, metrics: Mapping[str, Sequence[float]], edits: Sequence[str]) -> None:
        """The result is in the run folder."""
        assert self._folder is not None
        values: dict[str, Any] = {name: tuple(each) for name, each in metrics.items()}
        self._observers.tell(ResultSaved(self._folder, values, tuple(edits)))

    def solved(self, solution: Solution) -> None:
        """The optimisation ended."""
        if solution.ending is Termination.FAILED:
            self.failed(solution.message)
        else:
            self.ends(solution.ending.value, solution.message)

    def failed(self, reason: str) -> None:
        """Something stopped the run; only the first reason is told."""
        if not self._failed and self._started:
            self._observers.tell(RunFailed(self._folder, reason))
        if not self._failed:
            self.ends(Termination.FAILED.value, reason)
        self._failed = True

    def ends(self, outcome: str, message: str) -> None:
        """What the last event will say."""
        self._outcome, self._message = outcome, message
