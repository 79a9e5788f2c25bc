"""Reads a file under watch: an audit hook of the interpreter sees whatever it does beside reading data."""

from __future__ import annotations

import sys
import tempfile
import tracemalloc
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pie_framework.errors import AssetError
from pie_framework.untrusted import read_any
from pie_stylegan.io import load_generator
from tests.unit.untrusted import assembly as asm
from tests.unit.untrusted.contents import WHOLE, own_file
from tests.unit.untrusted.kinds import ADA, MIB, ROSINALITY

#: Python memory that reading any of the files may take, beyond the mapped file.
MEMORY = 64 * MIB
FORBIDDEN = (
    "import",
    "exec",
    "compile",
    "os.",
    "subprocess.",
    "socket.",
    "pickle.",
    "ctypes.",
    "marshal.",
    "shutil.",
)
HARMLESS = ("os.listdir", "os.scandir", "ctypes.set_errno")
_seen: list[str] | None = None


def _audit(event: str, arguments: tuple[Any, ...]) -> None:
    if _seen is None:
        return
    written = event == "open" and isinstance(arguments[1], str) and set("wax+") & set(arguments[1])
    if written or (event.startswith(FORBIDDEN) and event not in HARMLESS):
        _seen.append(f"{event} {arguments[:1]}")


@contextmanager
def watched() -> Iterator[list[str]]:
    """Collects what the interpreter did that reading data needs none of."""
    global _seen
    if not getattr(sys, "_pie_audit", False):
        sys.addaudithook(lambda event, arguments: _audit(event, arguments))
        sys._pie_audit = True  # type: ignore[attr-defined]
    _seen = []
    try:
        yield _seen
    finally:
        _seen = None


def warm_up() -> None:
    """Import all that reading needs, so that importing anything while a file is read is suspicious."""
    load_generator(ADA)
    load_generator(ROSINALITY)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "g"
        for make in (own_file, WHOLE["torch file (legacy)"]):
            path.write_bytes(make())
            load_generator(path)
        path.write_bytes(asm.whole(asm.array("f8", (1,), asm.raw(b"x" * 8))))
        read_any(path)
        for rest in (b"?", b"<html>", asm.torch_zip(b"}.")):
            path.write_bytes(rest)
            try:
                read_any(path)
            except AssetError:
                continue


@dataclass(frozen=True)
class Outcome:
    """What became of one file: the error (None: it opened), suspicious events, peak of Python's memory in bytes."""

    error: BaseException | None
    events: list[str]
    peak: int


def attempt(read: Callable[[Path], Any], path: Path) -> Outcome:
    """Read a file and watch."""
    tracemalloc.start()
    error: BaseException | None = None
    with watched() as events, warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            read(path)
        except BaseException as raised:
            error = raised
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return Outcome(error, list(events), peak)
