"""Pieces of work in several processes of one thread each, by joblib; imports torch and joblib when something is to do.

What a piece gives must not depend on the process that does it, so the results do not depend on their number.
"""

from __future__ import annotations

import importlib
import signal
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from pie_framework.errors import PieError, RunError
from pie_framework.plugins import Registry, discover

if TYPE_CHECKING:
    from rich.console import Console

T = TypeVar("T")
R = TypeVar("R")


class Piece(Protocol):
    """One piece of work; its text is how the progress calls it."""

    @property
    def work(self) -> float:
        """How long it takes beside the others."""
        ...


P = TypeVar("P", bound=Piece)

#: What this process does its pieces with, and for which `run` it was made.
_made: tuple[str, Any] = ("", None)


def need_libraries() -> None:
    """PieError that says what to install where joblib or pandas is missing."""
    try:
        for name in ("joblib", "pandas"):
            importlib.import_module(name)
    except ImportError as error:
        raise PieError(
            f"'pie bench' needs {error.name}", "Install it with: pip install 'pie-framework[bench]'."
        ) from error


def run(
    pieces: Sequence[P],
    make: Callable[[Registry], T],
    do: Callable[[T, P], R],
    workers: int,
    registry: Registry,
    console: Console | None = None,
    lines: int | None = None,
) -> list[R]:
    """Do all pieces.

    Args:
        pieces: the pieces.
        make: makes what pieces are done with, once in every process. It and `do` are sent to other processes.
        do: does one piece.
        workers: number of processes; a single one is this one.
        registry: the installed components; other processes than this one discover their own.
        console: shows the progress; silent when None.
        lines: how many lines of progress are printed where there is no terminal; one for each piece by default.

    Returns:
        What each piece gives, in their order.

    Raises:
        PieError: a piece failed, or a process was ended from outside.
        KeyboardInterrupt: it was interrupted.
    """
    global _made
    from joblib import Parallel, delayed, parallel_config

    workers = min(workers, len(pieces))
    found: dict[int, R] = {}
    key, here = uuid.uuid4().hex, registry if workers <= 1 else None
    calls = (delayed(_do)(key, make, do, here, number, piece) for number, piece in enumerate(pieces))
    one_each = parallel_config("loky", n_jobs=max(workers, 1), inner_max_num_threads=1)
    try:
        with one_thread(), _progress(console, pieces, lines) as done, one_each:
            for number, result in Parallel(return_as="generator_unordered", batch_size=1)(calls):
                found[number] = result
                done(pieces[number])
    except BrokenProcessPool as error:
        raise RunError(
            "a worker of the bench was ended from outside, perhaps for want of memory",
            "What was finished is kept; go on with the same command, or with workers=1.",
        ) from error
    finally:
        _made = ("", None)
        if workers > 1:
            from joblib.externals.loky import get_reusable_executor

            get_reusable_executor().shutdown(kill_workers=True)
    return [found[number] for number in range(len(pieces))]


def _do(
    key: str,
    make: Callable[[Registry], T],
    do: Callable[[T, P], R],
    here: Registry | None,
    number: int,
    piece: P,
) -> tuple[int, R]:
    global _made
    if _made[0] != key:
        if here is None:
            import torch

            signal.signal(signal.SIGINT, signal.SIG_IGN)  # the process that started this one ends it
            torch.set_num_threads(1)
        _made = (key, make(discover() if here is None else here))
    return number, do(_made[1], piece)


@contextmanager
def one_thread() -> Iterator[None]:
    """Torch with one thread: figures that do not depend on the machine's number of cores."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def _progress(
    console: Console | None, pieces: Sequence[Piece], lines: int | None
) -> Iterator[Callable[[Piece], None]]:
    """Gives a function that is told of each piece that is done: a bar, or lines where there is no terminal."""
    if console is None or not pieces:
        yield lambda piece: None
        return
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    started, total, count = time.perf_counter(), sum(piece.work for piece in pieces), 0
    columns = (BarColumn(), TextColumn("{task.description}"), TimeElapsedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task(f"0/{len(pieces)}", total=total)

        def done(piece: Piece) -> None:
            nonlocal count
            count += 1
            bar.update(task, advance=piece.work, description=f"{count}/{len(pieces)}")
            every = len(pieces) / min(lines or len(pieces), len(pieces))
            if not console.is_terminal and int(count / every) > int((count - 1) / every):
                seconds = time.perf_counter() - started
                console.print(
                    f"{count}/{len(pieces)}  {piece}  {seconds:.0f} s", highlight=False, soft_wrap=True
                )

        yield done
