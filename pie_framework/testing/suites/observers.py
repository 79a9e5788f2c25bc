"""Conformance suites of observers and of sub-commands."""

from __future__ import annotations

import contextlib
import io
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from pie_framework.api import Command
from pie_framework.api.events import (
    EVENT_HOOKS,
    Event,
    ResultSaved,
    RunEnded,
    RunFailed,
    RunStarted,
    StepsDone,
)
from pie_framework.errors import PieError, PluginError
from pie_framework.plugins.guards import Guard, implementations, new_manager
from pie_framework.plugins.observers import frozen
from pie_framework.testing.suites._watching import untouched_globals
from pie_framework.testing.suites.base import Suite, seconds


class _Strict(Guard):
    """Gives each hook a frozen copy of the event, as a run does; what a hook raises passes through."""

    def given(self, value: Any) -> Any:
        return frozen(value)

    def returned(self, hook: str, value: Any) -> None:
        """What an observer returns is ignored."""

    def attempt(self, hook: str, call: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        return call(*args, **kwargs)


class ObserverTests(Suite):
    """Override `build` to return the plugin that observes: a module, or an object with methods marked as hooks."""

    @property
    def caller(self) -> Any:
        """Calls its hooks as a run does: `caller.pie_run_started(event=...)`."""

        def make() -> Any:
            manager = new_manager()
            for hook, function, options in reversed([*implementations(manager, self.component)]):
                if hook in EVENT_HOOKS.values():
                    _Strict().register(manager, hook, function, options)
            return manager.hook

        return self._once("caller", make)

    def tell(self, event: Event) -> None:
        """Tell it of one event, which cannot be written to; nothing global may change."""
        hook = getattr(self.caller, EVENT_HOOKS[type(event)])
        with untouched_globals():
            hook(event=event)

    def events(self, folder: Path | None, failed: bool = False) -> list[Event]:
        """What happens in a run."""
        weighted = {"synthesis.l2": 1.5, "identity": 0.25}
        config: dict[str, Any] = {"seed": 0, "terms": {"synthesis": {"weight": 1.0}}}
        happened: list[Event] = [
            RunStarted(
                folder,
                2,
                {"w": 20, "w_plus": 10},
                ("synthesis", "identity"),
                config,
                inputs=("a.png", "b.png"),
            ),
            StepsDone("w", 10, 20, 1.75, weighted, 0.5, 2),
            StepsDone("w", 20, 20, 1.5, weighted, 1.0, 2),
            StepsDone("w_plus", 10, 10, float("nan"), {}, 1.5, 0),
        ]
        if failed:
            happened.append(RunFailed(folder, "the disk is full"))
        elif folder is not None:
            happened.append(ResultSaved(folder, {"psnr": (30.0, 31.0)}, ("yaw",)))
        return [*happened, RunEnded(folder, "failed" if failed else "finished", "all steps were taken", 2.0)]

    @contextlib.contextmanager
    def folder(self) -> Iterator[Path]:
        """A run folder."""
        with tempfile.TemporaryDirectory() as name:
            yield Path(name)

    def test_implements_an_observer_hook(self) -> None:
        own = [hook for hook in EVENT_HOOKS.values() if getattr(self.caller, hook).get_hookimpls()]
        assert own, f"it implements none of {', '.join(EVENT_HOOKS.values())}"

    def test_a_run(self) -> None:
        with self.folder() as folder:
            for event in self.events(folder):
                self.tell(event)

    def test_a_run_that_is_not_kept(self) -> None:
        for event in self.events(None):
            self.tell(event)

    def test_a_run_that_fails(self) -> None:
        with self.folder() as folder:
            for event in self.events(folder, failed=True):
                self.tell(event)

    def test_a_run_that_never_started(self) -> None:
        self.tell(RunFailed(None, "there is no such file"))
        self.tell(RunEnded(None, "failed", "there is no such file", 0.1))

    def test_two_runs_after_another(self) -> None:
        for _ in range(2):
            with self.folder() as folder:
                for event in self.events(folder):
                    self.tell(event)

    def test_cost(self) -> None:
        with self.folder() as folder:
            start, step, *_ = self.events(folder)
            self.tell(start)
            taken = seconds(lambda: self.caller.pie_steps_done(event=step))
        self.notes.append(f"{1000 * taken:.1f} ms a call")
        self.advise(taken < 0.25, f"a call takes {taken:.2f} s, and the run waits for it")


class CommandTests(Suite):
    """Override `build` to return the `Command` that is declared."""

    def call(self, *words: str) -> tuple[Any, str]:
        """Its exit status, or the PieError that a run of it ends with, and what it printed."""
        component: Command = self.component
        function = component.load()
        status: object
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed), untouched_globals():
            try:
                status = function(list(words))
            except PieError as error:
                status = error
            except SystemExit as leaving:  # the way of argparse
                status = 0 if leaving.code is None else leaving.code
                if isinstance(status, str):
                    status = PluginError(status)
        return status, printed.getvalue()

    def test_declaration(self) -> None:
        component: Command = self.component
        assert isinstance(component, Command), f"{component!r} is no pie_framework.api.Command"
        wrong = component.problem()
        assert wrong is None, str(wrong)
        assert component.summary and "\n" not in component.summary, "the summary is not one line"

    def test_help(self) -> None:
        status, printed = self.call("--help")
        assert status == 0 and type(status) is int, f"--help gives {status!r}, not 0"
        assert printed.strip(), "--help prints nothing"

    def test_refuses_what_it_does_not_know(self) -> None:
        status, _ = self.call("--no-such-option")
        assert isinstance(status, PieError) or status in (1, 2), (
            f"an unknown option gives {status!r}, neither a PieError nor the exit status 1 or 2"
        )
