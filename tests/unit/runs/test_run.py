"""The edits at the end of a run: those that this face model does not offer are left out, with a line that says so."""

from __future__ import annotations

import io
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from pie_framework.editing.controls import UnknownControlError, Vocabulary
from pie_framework.errors import ConfigError
from pie_framework.runs import run
from pie_framework.runs.folder import Manifest
from pie_framework.testing.toys import TOY_LAYOUT


class Embedding:
    """Two portraits; edits are only parsed."""

    def __init__(self, requests: dict[str, list[str]]) -> None:
        config = SimpleNamespace(edit=SimpleNamespace(requests=requests), paste_back=False)
        self.pipeline = SimpleNamespace(config=config)
        self.portraits = ("first", "second")
        self.made: list[str] = []

    def reconstruction(self, index: int) -> None:
        return None

    def edit(self, controls: list[str], portrait: int, name: str) -> list[Any]:
        Vocabulary(TOY_LAYOUT).parse(controls, name)
        self.made.append(f"{name} {portrait}")
        return [SimpleNamespace(image=[None])]


@pytest.fixture(autouse=True)
def _no_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "save_edit", lambda *_: None)
    monkeypatch.setattr(run, "to_picture", lambda _: None)


def edit(embedding: Embedding, console: Console) -> None:
    folder = SimpleNamespace(file=lambda name: name)
    run._Run(embedding.pipeline, embedding.portraits, folder, Manifest({}), console, 0.0)._edit(embedding)  # type: ignore[arg-type]


def test_unknown_controls_are_left_out() -> None:
    out = io.StringIO()
    embedding = Embedding({"turn": ["rotation.yaw=5"], "wink": ["expression.wink=1"]})
    edit(embedding, Console(file=out, width=200))
    assert embedding.made == ["turn 0", "turn 1"]
    assert out.getvalue().count("the edit 'wink' is left out: unknown control 'expression.wink'") == 1


def test_other_mistakes_are_errors() -> None:
    with pytest.raises(ConfigError, match="not a number") as error:
        edit(Embedding({"turn": ["rotation.yaw=much"]}), Console(file=io.StringIO()))
    assert not isinstance(error.value, UnknownControlError)
