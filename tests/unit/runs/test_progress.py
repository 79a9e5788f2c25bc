"""The progress display: bars and terms on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import io

from rich.console import Console

from pie_framework.api.events import RunStarted, StepsDone
from pie_framework.runs.progress import LINES, ProgressDisplay

STAGES = {"w": 30, "w_plus": 30}


def shown(terminal: bool) -> str:
    """What is shown of a run of two stages, told of at every second step."""
    out = io.StringIO()
    console = Console(file=out, force_terminal=terminal, width=120, legacy_windows=False)
    with ProgressDisplay(console) as display:
        display.pie_run_started(RunStarted(None, 1, STAGES, ("a",), {}, {}, 0, ("x",), {}))
        for stage, steps in STAGES.items():
            for step in range(2, steps + 1, 2):
                display.pie_steps_done(StepsDone(stage, step, steps, 0.5, {"a": 0.25}, 3.0, 1))
    return out.getvalue()


def test_without_a_terminal_some_lines_are_printed() -> None:
    lines = shown(terminal=False).splitlines()
    assert 6 <= len(lines) <= LINES
    assert lines[-1] == "w_plus 30/30  E 0.5  a 0.25  3 s"


def test_a_terminal_shows_both_stages_and_the_terms() -> None:
    text = shown(terminal=True)
    for part in ("w_plus", "30/30", "E(w)", "0.25"):
        assert part in text
