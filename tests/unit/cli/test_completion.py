"""Tab completion of what can follow `pie run`, for the composition at hand."""

from __future__ import annotations

import sys

import pytest

from pie_framework.cli.main import main


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("pie run generator.trunc", ["generator.truncation=", "generator.truncation_cutoff="]),
        ("pie run optimizer=torch optimizer.", ["optimizer.component=", "optimizer.name=", "optimizer.parameters."]),
        ("pie run optimizer.name=adadelta optimizer.", ["optimizer.eps=", "optimizer.name=", "optimizer.rho="]),
        ("pie run terms.edit.options.si", ["terms.edit.options.size="]),
        ("pie doctor init=nearest init.candidates=", ["init.candidates=64"]),
        ("pie run settin", []),
        ("pie run generator.trunc[ x", []),
    ],
)  # fmt: skip
def test_settings_of_the_chosen_components_are_offered(
    line: str, offered: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COMP_LINE", line)
    monkeypatch.setenv("COMP_POINT", str(len(line)))
    before = sys.argv
    assert main(["-sc", "query=bash"]) == 0
    captured = capsys.readouterr()
    assert captured.out.split() == offered
    assert captured.err == ""
    assert sys.argv is before


def test_it_is_installed_for_the_program(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["-sc", "install=bash"]) == 0
    assert capsys.readouterr().out.rstrip().endswith("hydra_bash_completion pie")
