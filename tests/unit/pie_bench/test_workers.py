"""Pieces of work come back in their order from however many processes, and a piece that fails is told."""

from __future__ import annotations

import functools
import io
import os
import re
from dataclasses import dataclass

import pytest
from rich.console import Console

from pie_bench import workers
from pie_framework.errors import ConfigError, RunError
from pie_framework.plugins import Registry


@dataclass(frozen=True)
class Piece:
    number: int
    work: float = 1.0

    def __str__(self) -> str:
        return f"piece {self.number}"


def made(start: int, registry: Registry) -> int:
    return start


def add(start: int, piece: Piece) -> tuple[int, int]:
    return start + piece.number, os.getpid()


def fail(start: int, piece: Piece) -> None:
    raise ConfigError("it is wrong", "Mend it.")


def end(start: int, piece: Piece) -> None:
    os._exit(9)


PIECES = [Piece(number) for number in range(6)]


@pytest.mark.parametrize("count", [1, 2])
def test_results_come_in_the_order_of_the_pieces(count: int) -> None:
    found = workers.run(PIECES, functools.partial(made, 10), add, count, Registry())
    assert [value for value, _ in found] == [10, 11, 12, 13, 14, 15]
    assert (os.getpid() in {process for _, process in found}) == (count == 1)


@pytest.mark.parametrize("count", [1, 2])
def test_the_error_of_a_piece_comes_through(count: int) -> None:
    with pytest.raises(ConfigError, match=r"it is wrong\. Mend it\."):
        workers.run(PIECES, functools.partial(made, 10), fail, count, Registry())


def test_a_process_that_is_ended_is_told() -> None:
    with pytest.raises(RunError, match="ended from outside"):
        workers.run(PIECES, functools.partial(made, 10), end, 2, Registry())


def test_what_pieces_are_done_with_is_made_once_for_each_run() -> None:
    calls: list[int] = []

    def make(registry: Registry) -> int:
        calls.append(1)
        return len(calls)

    for run in (1, 2):
        assert [value for value, _ in workers.run(PIECES[:2], make, add, 1, Registry())] == [run, run + 1]
    assert len(calls) == 2


def test_nothing_to_do_is_nothing() -> None:
    assert workers.run([], functools.partial(made, 10), add, 2, Registry()) == []


@pytest.mark.parametrize("terminal", [True, False])
@pytest.mark.parametrize("lines", [None, 3])
def test_progress_counts_pieces(terminal: bool, lines: int | None) -> None:
    stream = io.StringIO()
    console = Console(file=stream, force_terminal=terminal, width=120)
    workers.run(PIECES, functools.partial(made, 10), add, 1, Registry(), console, lines)
    shown = stream.getvalue()
    if terminal:
        assert "6/6" in shown
    else:
        printed = re.findall(r"^(\d)/6  piece (\d)  \d+ s$", shown, re.M)
        assert len(printed) == (lines or 6) and printed[-1] == ("6", "5")
