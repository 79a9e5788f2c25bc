"""Reads a file under watch: an audit hook of the interpreter sees whatever it does beside reading data."""

from __future__ import annotations

import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pie_framework.errors import AssetError
from pie_stylegan.io import load_generator
from pie_weights.untrusted import read_any
from tests.unit.pie_weights.untrusted import assembly as asm
from tests.unit.pie_weights.untrusted.contents import WHOLE, own_file
from tests.unit.pie_weights.untrusted.kinds import ADA, ROSINALITY

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
    """What became of one file.

    Attributes:
        error: None if it opened.
        events: what is suspicious.
        peak: bytes by which the process grew at most; 0 where the system does not tell.
        seconds: time it took.
    """

    error: BaseException | None
    events: list[str]
    peak: int
    seconds: float


def _resident(field: str) -> int:
    """Bytes of this process in memory: now ("VmRSS") or at most ("VmHWM")."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return 0
    return next(int(line.split()[1]) for line in lines if line.startswith(field)) * 1024


def attempt(read: Callable[[Path], Any], path: Path) -> Outcome:
    """Read a file and watch."""
    with suppress(OSError):  # Linux: the peak counts from here
        Path("/proc/self/clear_refs").write_text("5")
    error: BaseException | None = None
    before, start = _resident("VmRSS"), time.perf_counter()
    with watched() as events, warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            read(path)
        except BaseException as raised:
            error = raised
    seconds = time.perf_counter() - start
    return Outcome(error, list(events), max(0, _resident("VmHWM") - before), seconds)
