"""Conformance suites of observers and of sub-commands."""

from __future__ import annotations

import contextlib
import copy
import io
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pluggy

from pie_framework import hookspecs
from pie_framework.api import Command
from pie_framework.api.component import NAME
from pie_framework.api.events import (
    EVENT_HOOKS,
    Event,
    ResultSaved,
    RunEnded,
    RunFailed,
    RunStarted,
    StepsDone,
)
from pie_framework.errors import PieError
from pie_framework.testing.suites.base import Suite, seconds


class ObserverTests(Suite):
    """Override `build` to return the plugin that observes: a module, or an object with methods marked as hooks."""

    @property
    def caller(self) -> Any:
        """Calls its hooks as a run does: `caller.pie_run_started(event=...)`."""

        def make() -> Any:
            manager = pluggy.PluginManager("pie_framework")
            manager.add_hookspecs(hookspecs)
            manager.register(self.component)
            return manager.hook

        return self._once("caller", make)

    def tell(self, event: Event) -> None:
        """Tell it of one event; nothing else may change, the event least of all."""
        before = copy.deepcopy(event)
        with self.untouched():
            getattr(self.caller, EVENT_HOOKS[type(event)])(event=event)
        assert event == before, f"it changed the event {type(event).__name__}"

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
        """Its exit status, or the PieError it raised, and what it printed."""
        component: Command = self.component
        module, _, attribute = component.target.partition(":")
        function = getattr(__import__(module, fromlist=["_"]), attribute)
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed), self.untouched():
            try:
                status = function(list(words))
            except PieError as error:
                status = error
        return status, printed.getvalue()

    def test_declaration(self) -> None:
        component: Command = self.component
        assert isinstance(component, Command), f"{component!r} is no pie_framework.api.Command"
        assert NAME.fullmatch(component.name.replace("-", "_")), f"{component.name!r} is no name of a command"
        assert component.summary and "\n" not in component.summary, "the summary is one line"
        assert component.api_version is not None, (
            "it does not say for which version of the contract it was written"
        )

    def test_help(self) -> None:
        status, printed = self.call("--help")
        assert status == 0 and type(status) is int, f"--help gives {status!r}, not 0"
        assert printed.strip(), "--help prints nothing"

    def test_refuses_what_it_does_not_know(self) -> None:
        status, _ = self.call("--no-such-option")
        assert isinstance(status, PieError) or status in (1, 2), (
            f"an unknown option gives {status!r}, neither a PieError nor the exit status 1 or 2"
        )
