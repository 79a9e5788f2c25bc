"""The command line of `pie bench`: its help, its errors, interruption."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pie_bench import command, jobs, workers
from pie_framework.cli.main import main

from .toy_world import registry, toy_method, toy_plan, toy_run


def test_help_lists_sets_methods_and_settings_and_imports_no_torch() -> None:
    code = (
        "import sys; from pie_framework.cli.main import main; main(['bench', '--help']); "
        "assert not {'torch', 'pandas', 'joblib'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    for text in (
        "pie bench models",
        "smoke ",
        "16 edits",
        "no_invariance",
        "workers=2",
        "expression.smile=0.8",
    ):
        assert text in done.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["set=smok"], "the group 'set' has no option 'smok'. Did you mean 'smoke'?"),
        (["methods=[ful]"], "the group 'method' has no option 'ful'. Did you mean 'full'"),
        (["hydra/launcher=basic"], "'hydra/launcher=basic' is for Hydra's launchers. Add -m."),
        (["methods=[synth]", "overrides=['init=mean']", "job=9"], "job=9: the bench has the jobs 0 to 0"),
    ],
)
def test_errors_are_one_line(arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", *arguments]) == 2
    captured = capsys.readouterr()
    assert said in captured.err
    assert captured.err.count("\n") == 1


def test_an_interrupt_says_what_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    plan = toy_plan(tmp_path, toy_method("synth", toy_run()))

    do = workers.run

    def interrupted(todo: list[jobs.Job], *how: Any) -> None:
        do(todo[:1], *how)
        raise KeyboardInterrupt

    monkeypatch.setattr(jobs, "make", lambda bench, registry: plan)
    monkeypatch.setattr(workers, "run", interrupted)
    assert command.run(plan.bench, registry()) == 130
    monkeypatch.setattr(workers, "run", do)
    assert "1 of 2 jobs are done and kept" in capsys.readouterr().err
    assert command.run(toy_plan(tmp_path, *plan.methods, job=1).bench, registry()) == 0
    assert not plan.missing()


@pytest.mark.parametrize("words", [[], ["set=full"], ["models"], ["report", "outputs/bench_smoke"]])
@pytest.mark.parametrize("library", ["joblib", "pandas"])
def test_a_missing_library_is_named(
    words: list[str], library: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    assert main(["bench", *words]) == 2
    said = f"'pie bench' needs {library}. Install it with: pip install 'pie-framework[bench]'."
    assert capsys.readouterr().err == f"pie: error: {said}\n"


@pytest.mark.parametrize("logging", ["hydra.job_logging", "hydra.hydra_logging"])
def test_launchers_log_to_standard_error(logging: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "--cfg", "hydra", "-p", logging]) == 0
    shown = capsys.readouterr().out
    assert "ext://sys.stderr" in shown and "stdout" not in shown
