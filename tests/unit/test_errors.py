"""Errors are one line of bounded length, and say where."""

from __future__ import annotations

import pytest

from pie_framework.errors import LONGEST, ConfigError, in_one_line


def test_long_values_lose_their_middle():
    said = str(ConfigError(f"seed: {'x' * 5000} is not a number", "Try " + "y" * 5000))
    assert len(said) <= LONGEST + 2
    assert said.startswith("seed: xxx") and "x is not a number. Try yyy" in said


class Unspeakable(Exception):
    def __str__(self) -> str:
        raise KeyError("no text")


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (KeyError("a\nb"), r"KeyError: 'a\nb'"),
        (ValueError("two\n lines"), "ValueError: two lines"),
        (ValueError(), "ValueError"),
        (Unspeakable(), "Unspeakable: its message cannot be shown"),
        (SystemExit(3), "it exits (3)"),
        (SystemExit(), "it exits (0)"),
        (ConfigError("seed: no", "Try 1."), "seed: no. Try 1."),
    ],
)
def test_any_exception_is_one_line(error: BaseException, said: str) -> None:
    assert in_one_line(error) == said
    assert len(in_one_line(OSError("x" * 5000))) < LONGEST + 20


def test_an_error_is_located_unless_it_begins_with_its_place() -> None:
    for message, expected in {
        "init.count: x": "init.count: x",
        "initial noise": "init: initial noise",
        "a start of init": "init: a start of init",
    }.items():
        error = ConfigError(message)
        error.locate("init")
        error.locate("elsewhere")
        assert str(error) == expected
