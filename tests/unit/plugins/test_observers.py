"""Observers are told through pluggy, each with a frozen copy; one that raises, exits, mutates or is slow is named."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pie_framework.api.events import (
    EVENT_HOOKS,
    Event,
    ResultSaved,
    RunEnded,
    RunFailed,
    RunStarted,
    StepsDone,
)
from pie_framework.plugins import Observers, Registry, discover, observers

HEADER = "from pie_framework.hookspecs import hookimpl\nheard = []\n"
STARTED = RunStarted(
    Path("run"), 2, {"w": 4}, ("synthesis",), config={"terms": {"a": {"parts": [1, [2.0]]}}}, seed=3
)
ENDED = RunEnded(Path("run"), "finished", "done", 1.0)
EVENTS: list[Event] = [
    STARTED,
    StepsDone("w", 2, 4, 0.5, {"synthesis": 0.5}, 0.1),
    ResultSaved(Path("run"), {"psnr": (30.0, 31.0)}, ("smile",)),
    RunFailed(None, "disk full"),
    ENDED,
]


class Notebook:
    """An observer that is no plugin and notes what it hears."""

    def __init__(self) -> None:
        self.heard: list[Any] = []

    def pie_run_started(self, event: RunStarted) -> None:
        self.heard.append(event)

    def pie_steps_done(self, event: StepsDone) -> None:
        self.heard.append(event)

    def pie_result_saved(self, event: ResultSaved) -> None:
        self.heard.append(event)

    def pie_run_failed(self, event: RunFailed) -> None:
        self.heard.append(event)

    def pie_run_ended(self, event: RunEnded) -> None:
        self.heard.append(event)


@pytest.fixture
def watchers(install) -> Callable[..., Registry]:
    """The registry of observers given by their text."""

    def find(**bodies: str) -> Registry:
        for name, body in bodies.items():
            install(f"{name}-dist", {name: f"{name}_plugin"}, {f"{name}_plugin.py": HEADER + body})
        registry = discover({"PIE_PLUGINS": ",".join(bodies)})
        assert registry.problems == []
        return registry

    return find


def heard_by(name: str) -> list[Any]:
    import importlib

    return importlib.import_module(f"{name}_plugin").heard  # type: ignore[no-any-return]


def test_everyone_hears_every_event_in_order(watchers):
    hooks = "".join(
        f"@hookimpl\ndef {hook}(event):\n    heard.append(event)\n" for hook in EVENT_HOOKS.values()
    )
    notebook = Notebook()
    told = watchers(one=hooks, two=hooks).observers(notebook)
    for event in EVENTS:
        told.tell(event)
    for heard in (notebook.heard, heard_by("one"), heard_by("two")):
        assert [type(event) for event in heard] == list(EVENT_HOOKS)
        assert heard[-1] == ENDED
        assert heard[1].weighted == {"synthesis": 0.5}
        assert heard[2].metrics["psnr"] == (30.0, 31.0)


def test_arguments_wrappers_and_order_are_pluggys(watchers):
    registry = watchers(
        quiet="@hookimpl\ndef pie_run_ended():\n    heard.append('no argument')\n",
        around="@hookimpl(wrapper=True)\ndef pie_run_ended(event):\n    heard.append('before')\n"
        "    result = yield\n    heard.append(event.outcome)\n    return result\n",
    )
    registry.observers().tell(ENDED)
    assert heard_by("quiet") == ["no argument"]
    assert heard_by("around") == ["before", "finished"]


MUTATIONS = [
    "event.config['terms'] = 1",
    "event.config['terms']['a'].clear()",
    "event.config['terms']['a']['parts'][0] = 5",
    "event.stages.update(w=9)",
    "event.seed = 4",
]


@pytest.mark.parametrize("mutation", MUTATIONS)
def test_one_that_mutates_is_named_and_harms_nobody(
    watchers, caplog: pytest.LogCaptureFixture, mutation: str
):
    notebook, last = Notebook(), Notebook()
    registry = watchers(vandal=f"@hookimpl(tryfirst=True)\ndef pie_run_started(event):\n    {mutation}\n")
    with caplog.at_level(logging.WARNING):
        registry.observers(notebook, last).tell(STARTED)
    assert "'vandal' of vandal-dist 1.2.3 failed in pie_run_started and is left out" in caplog.text
    assert notebook.heard[0].config["terms"]["a"]["parts"] == (1, (2.0,))
    assert STARTED.config == {"terms": {"a": {"parts": [1, [2.0]]}}}
    assert notebook.heard[0] is not last.heard[0]
    assert notebook.heard[0].config is not last.heard[0].config


def test_a_frozen_copy_does_not_follow_its_original():
    config = {"a": [1, {"b": 2}], "set": {3}}
    event = observers.frozen(dataclasses.replace(STARTED, config=config))
    config["a"][1]["b"] = 5  # type: ignore[index]
    config["set"].add(4)  # type: ignore[attr-defined]
    assert event.config["a"] == (1, {"b": 2})
    assert event.config["set"] == {3}


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ("raise KeyError(event.portraits)", "KeyError: 2"),
        ("raise SystemExit(7)", "it exits (7)"),
        ("raise RecursionError", "RecursionError"),
    ],
)
def test_one_that_fails_is_named_once_and_left_out(
    watchers, caplog: pytest.LogCaptureFixture, body: str, why: str
):
    ended = "@hookimpl\ndef pie_run_ended(event):\n    heard.append(event)\n"
    registry = watchers(broken=f"@hookimpl\ndef pie_run_started(event):\n    {body}\n{ended}", fine=ended)
    notebook = Notebook()
    told = registry.observers(notebook)
    with caplog.at_level(logging.WARNING):
        told.tell(STARTED)
        told.tell(STARTED)
        told.tell(ENDED)
    assert len(caplog.messages) == 1
    assert "'broken' of broken-dist 1.2.3" in caplog.text and why in caplog.text
    assert heard_by("broken") == []
    assert [len(heard_by("fine")), len(notebook.heard)] == [1, 3]
    caplog.clear()
    registry.observers().tell(STARTED)
    assert "'broken'" in caplog.text, "the next run tries it again"


def test_an_observer_that_is_no_plugin_is_named_by_its_class(caplog: pytest.LogCaptureFixture):
    class Failing(Notebook):
        def pie_run_started(self, event: RunStarted) -> None:
            raise OSError("disk full")

    failing, steady = Failing(), Notebook()
    told = Registry().observers(failing, steady)
    with caplog.at_level(logging.WARNING):
        told.tell(STARTED)
        told.tell(ENDED)
    assert (len(failing.heard), len(steady.heard)) == (0, 2)
    assert "the observer Failing failed in pie_run_started and is left out: OSError: disk full" in caplog.text


@pytest.mark.parametrize("body", ["raise OSError('x')\n    yield", "yield\n    raise OSError('x')"])
def test_a_wrapper_that_fails_is_left_out(watchers, caplog: pytest.LogCaptureFixture, body: str):
    registry = watchers(around=f"@hookimpl(wrapper=True)\ndef pie_run_ended(event):\n    {body}\n")
    notebook = Notebook()
    told = registry.observers(notebook)
    with caplog.at_level(logging.WARNING):
        told.tell(ENDED)
        told.tell(ENDED)
    assert len(notebook.heard) == 2
    assert len(caplog.messages) == 1
    assert "'around' of around-dist 1.2.3 failed" in caplog.text


def test_an_interruption_passes_through(watchers):
    told = watchers(stop="@hookimpl\ndef pie_run_started(event):\n    raise KeyboardInterrupt\n").observers()
    with pytest.raises(KeyboardInterrupt):
        told.tell(STARTED)


def test_one_that_is_slow_is_named_once(
    watchers, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
):
    now = iter(range(100))
    monkeypatch.setattr(observers, "time", SimpleNamespace(perf_counter=lambda: float(next(now))))
    told = watchers(slow="@hookimpl\ndef pie_steps_done(event):\n    heard.append(event.step)\n").observers()
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            told.tell(EVENTS[1])
    assert heard_by("slow") == [2, 2, 2]
    assert caplog.messages == [
        "the observer 'slow' of slow-dist 1.2.3 took 1.0 s in pie_steps_done, and the run waited"
    ]


def test_one_that_is_quick_is_not_named(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch):
    now = iter(range(100))
    monkeypatch.setattr(observers, "time", SimpleNamespace(perf_counter=lambda: 0.4 * next(now)))
    Observers(others=[Notebook()]).tell(ENDED)
    assert caplog.messages == []
