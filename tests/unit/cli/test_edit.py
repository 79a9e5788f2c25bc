"""The command line of `pie edit`."""

from __future__ import annotations

import pytest

from pie_framework.cli import edit as command
from pie_framework.cli.main import main


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["RUN"], "no edit"),
        (["rotation.yaw=1"], "must be a run folder"),
        (["RUN", "--lst"], "--list"),
        (["RUN", "rotation.yaw=1", "portrait=-1"], "portrait=-1"),
        (["RUN", "rotation.yaw=1", "corrections=²"], "corrections=²"),
        (["RUN", "rotation.yaw=1", "name=a", "name=b"], "twice"),
        (["RUN", "rotation.yaw=1", "paste_back=maybe"], "paste_back"),
        (["RUN", "rotation.yaw=1"], "no run folder 'RUN'"),
    ],
)
def test_bad_input_is_one_line_and_status_2(
    capsys: pytest.CaptureFixture[str], words: list[str], message: str
) -> None:
    assert main(["edit", *words]) == 2
    said = capsys.readouterr().err.strip()
    assert message in said
    assert "\n" not in said


def test_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["edit", "--help"]) == 0
    assert "rotation.yaw=15" in capsys.readouterr().out


def test_arguments() -> None:
    read = command.parse_arguments(["RUN", "rotation.yaw=1", "out=x", "portrait=2", "paste_back=true"])
    edit = {"run": "RUN", "controls": ["rotation.yaw=1"], "listing": False}
    assert read == {**edit, "out": "x", "portrait": 2, "paste_back": True}
