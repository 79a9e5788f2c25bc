"""Fetching a file: resume, size limit, and what was fetched is complete and of the right kind.

A download grows beside a note of where it comes from and which version it is; only such bytes are gone on with.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import BinaryIO

from pie_assets.http import Answer, Changed, Passing, Patience, Refused, ask, read
from pie_framework.assets import formats
from pie_framework.errors import AssetError

#: Largest file that is fetched when the catalogue knows no size, bytes.
LIMIT = 8 << 30
#: Room that is left on the disk, bytes.
SPARE = 64 << 20

#: Is told bytes that are here, bytes in all (None when unknown) and the address, now and then.
Progress = Callable[[int, "int | None", str], None]


@dataclass(frozen=True)
class Origin:
    """Where the bytes of an unfinished download come from.

    Attributes:
        url: the address asked for.
        validator: which version it is; "" when the server does not say, and then it cannot be gone on with.
        total: size of the whole file, bytes; None when unknown.
    """

    url: str
    validator: str
    total: int | None


def fetch(
    url: str,
    target: Path,
    kind: str,
    size: int | None = None,
    limit: int = LIMIT,
    patience: Patience | None = None,
    progress: Progress | None = None,
) -> bool:
    """Fetch a file.

    Args:
        url: http or https.
        target: where it grows; complete when this returns. What is there from before is gone on with.
        kind: what it is, a key of `formats.FORMATS`.
        size: bytes it must have; None when unknown.
        limit: bytes it may have at most where the size is unknown.
        patience: how long to wait.
        progress: see Progress.

    Returns:
        Whether parts of it came in several requests.

    Raises:
        Refused: this address does not give it.
        AssetError: it cannot be written.
    """
    job = _Job(url, target, kind, size, limit, patience or Patience(), progress or (lambda *_: None))
    return job.run()


def discard(target: Path) -> None:
    """Throw an unfinished download away."""
    target.unlink(missing_ok=True)
    _note(target).unlink(missing_ok=True)


def _note(target: Path) -> Path:
    return target.with_name(target.name + ".origin")


@dataclass(frozen=True)
class _Job:
    url: str
    target: Path
    kind: str
    size: int | None
    limit: int
    patience: Patience
    progress: Progress

    def run(self) -> bool:
        failures = requests = best = 0
        resumed = self._here() > 0
        while True:
            try:
                self._once()
                return resumed or requests > 0
            except Passing as error:
                here, requests = self._here(), requests + 1
                failures = 1 if here >= best + self.patience.step else failures + 1
                best = max(best, here)
                if failures >= self.patience.attempts:
                    raise Refused(f"{error} ({requests} attempts)") from error
                time.sleep(self.patience.pause * 2 ** (failures - 1))
            except OSError as error:
                raise AssetError(
                    f"cannot write to {self.target.parent}: {error.strerror or error}"
                ) from error

    def _here(self) -> int:
        return self.target.stat().st_size if self.target.is_file() else 0

    def _origin(self) -> Origin | None:
        """Where the bytes that are here come from; None when that is not known."""
        try:
            return Origin(**json.loads(_note(self.target).read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            return None

    def _once(self) -> None:
        self.target.parent.mkdir(parents=True, exist_ok=True)
        origin, start = self._origin(), self._here()
        if origin is None or origin.url != self.url or not origin.validator:
            discard(self.target)
            origin, start = None, 0
        elif start and start == origin.total:
            return self._check_end(start, origin.total)
        try:
            with ask(self.url, start, origin.validator if origin else "", self.patience) as answer:
                self._take(answer, origin)
        except Changed:
            discard(self.target)
            raise

    def _take(self, answer: Answer, origin: Origin | None) -> None:
        total = answer.total
        if answer.start and origin is not None and origin.total not in (None, total):
            raise Changed("the file has changed its size on the server")
        most = self.limit if self.size is None else self.size
        if total is not None and total > most:
            raise Refused(f"the file has {total} bytes, more than the {most} that it may have")
        if self.size is not None and total is not None and total != self.size:
            raise Refused(f"the file has {total} bytes, not {self.size}")
        needed = (total or self.size or 0) - answer.start
        if shutil.disk_usage(self.target.parent).free < needed + SPARE:
            raise AssetError(f"there is no room for {needed} bytes in {self.target.parent}")
        if not answer.start:
            discard(self.target)
            note = asdict(Origin(self.url, answer.validator, total))
            _note(self.target).write_text(json.dumps(note), encoding="utf-8")
        try:
            with self.target.open("ab") as stream:
                here = self._copy(answer, stream, most)
            self._check_end(here, total)
        except Refused:
            discard(self.target)
            raise

    def _copy(self, answer: Answer, stream: BinaryIO, most: int) -> int:
        """Write the body down; how many bytes there are then."""
        here = answer.start
        sniffed = here >= formats.HEAD
        since, mark = time.monotonic(), here
        self.progress(here, answer.total or self.size, self.url)
        while block := read(answer, self.patience):
            here += len(block)
            if here > most:
                raise Refused(f"the file has more than the {most} bytes that it may have")
            stream.write(block)
            if not sniffed and here >= formats.HEAD:
                stream.flush()
                self._sniff()
                sniffed = True
            self.progress(here, answer.total or self.size, self.url)
            now = time.monotonic()
            if now - since > self.patience.window:
                if (here - mark) / (now - since) < self.patience.rate:
                    raise Passing(f"stalled: {here - mark} bytes in {now - since:.0f} seconds")
                since, mark = now, here
        return here

    def _sniff(self) -> None:
        with self.target.open("rb") as stream:
            head = stream.read(formats.HEAD)
        try:
            formats.check_beginning(head, self.kind, "what the server sent")
        except AssetError as error:
            raise Refused(error.message, error.hint) from error

    def _check_end(self, here: int, total: int | None) -> None:
        expected = total if total is not None else self.size
        if expected is not None and here < expected:
            raise Passing(f"the server closed after {here} of {expected} bytes")
        if self.size is not None and here != self.size:
            raise Refused(f"the server sent {here} bytes, not {self.size}")
        try:
            formats.check(self.target, self.kind, "what the server sent")
        except AssetError as error:
            raise Refused(error.message, error.hint) from error
