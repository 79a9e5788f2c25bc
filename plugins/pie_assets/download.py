"""Fetching a file with pooch: what comes is bounded and looked at while it comes, and complete when it is done."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO
from urllib.parse import urljoin, urlsplit

from pie_assets import archives, formats
from pie_framework.errors import AssetError
from pie_framework.version import __version__

if TYPE_CHECKING:
    from requests import Response

#: Room that is left on the disk, bytes.
SPARE = 64 << 20
#: Bytes that are written, and counted, at once.
CHUNK = 1 << 16

#: Is told bytes that are here, bytes in all (None when unknown) and the address, now and then.
Progress = Callable[[int, "int | None", str], None]


class RefusedError(AssetError):
    """The server's answer is not the file, and asking it again will not help."""

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(_printable(message), hint)


class TransientError(Exception):
    """A fault that may be gone when the server is asked again."""


def _printable(text: str) -> str:
    """A text that quotes a server, without what a terminal would obey, and of bounded length."""
    return "".join(c if c.isprintable() else "?" for c in text[:1000])


@dataclass(frozen=True)
class RetryPolicy:
    """How long to wait for a server.

    Attributes:
        timeout: seconds without a byte.
        attempts: requests for one address.
        pause: seconds before the second attempt; twice as long before each further one.
    """

    timeout: float = 30.0
    attempts: int = 4
    pause: float = 1.0


@dataclass(frozen=True)
class Wanted:
    """A file to fetch.

    Attributes:
        url: http or https.
        kind: what it is, a key of `formats.BEGINNINGS`.
        size: bytes it must have; None when unknown.
        limit: bytes it may have at most where the size is unknown.
    """

    url: str
    kind: str
    size: int | None = None
    limit: int = archives.LARGEST


def fetch(wanted: Wanted, target: Path, policy: RetryPolicy, progress: Progress | None = None) -> None:
    """Fetch a file; `target` is complete when this returns.

    Raises:
        RefusedError: this address does not give it.
        AssetError: it cannot be written.
    """
    _check_scheme(wanted.url)
    for attempt in range(policy.attempts):
        try:
            with target.open("wb") as stream:
                _Transfer(wanted, stream, progress or (lambda *_: None)).run(policy.timeout)
            return formats.check(target, wanted.kind, "what the server sent")
        except TransientError as error:
            if attempt == policy.attempts - 1:
                raise RefusedError(f"{error} ({policy.attempts} attempts)") from error
            time.sleep(policy.pause * 2**attempt)
        except OSError as error:
            raise AssetError(f"cannot write to {target.parent}: {error.strerror or error}") from error


def _check_scheme(url: str, before: str = "") -> None:
    scheme = urlsplit(url).scheme.lower()
    if scheme not in ("http", "https") or not urlsplit(url).hostname:
        raise RefusedError(f"'{url}' is not an http or https address")
    if scheme == "http" and urlsplit(before).scheme.lower() == "https":
        raise RefusedError(f"the server leads from https to '{url}', which is not protected")


class _Transfer:
    """One request. It sees every answer before the body is read, and is the file that pooch writes the body to."""

    def __init__(self, wanted: Wanted, stream: BinaryIO, progress: Progress) -> None:
        self.wanted, self.stream, self.progress = wanted, stream, progress
        self.most = wanted.limit if wanted.size is None else wanted.size
        self.here = 0
        self.answered = False
        self.total: int | None = None

    def run(self, timeout: float) -> None:
        """Ask, and write what comes; RefusedError and TransientError say why it is not complete."""
        from pooch import HTTPDownloader
        from requests import exceptions as faults

        headers = {"User-Agent": f"pie-framework/{__version__}", "Accept-Encoding": "identity"}
        hooks = {"response": self.look}
        download = HTTPDownloader(chunk_size=CHUNK, timeout=timeout, headers=headers, hooks=hooks)
        try:
            download(self.wanted.url, self, None)
        except (faults.TooManyRedirects, ValueError) as error:  # addresses that are none are ValueErrors
            raise RefusedError(f"what the server says makes no sense: {error}") from error
        except faults.RequestException as error:
            if "timed out" in str(error):
                raise TransientError(f"nothing came for {timeout:g} seconds") from error
            broke = "the transfer broke" if self.answered else "the server cannot be reached"
            raise TransientError(f"{broke}: {error}") from error
        expected = self.total if self.total is not None else self.wanted.size
        if expected is not None and self.here < expected:
            raise TransientError(f"the server closed after {self.here} of {expected} bytes")
        if self.wanted.size is not None and self.here != self.wanted.size:
            raise RefusedError(f"the server sent {self.here} bytes, not {self.wanted.size}")

    def look(self, answer: Response, **_: Any) -> None:
        """Refuse an answer that is not the file before its body is read; called by requests."""
        headers, self.answered = answer.headers, not answer.is_redirect
        if answer.is_redirect:
            return _check_scheme(urljoin(answer.url, headers["location"]), answer.url)
        if answer.status_code != 200:
            transient = answer.status_code >= 500 or answer.status_code in (408, 425, 429)
            kind = TransientError if transient else RefusedError
            raise kind(_printable(f"the server answered {answer.status_code} {answer.reason}"))
        if headers.get("Content-Encoding", "identity").lower() != "identity":
            raise RefusedError(
                f"the server packs the file ({headers['Content-Encoding']}), although asked not to"
            )
        if "html" in headers.get("Content-Type", "").lower():
            raise RefusedError("the server sent a web page, not the file", formats.LOGIN)
        length = headers.get("Content-Length", "")
        self.total = int(length) if length.isascii() and length.isdigit() and len(length) < 19 else None
        if self.total is not None and self.total > self.most:
            raise RefusedError(f"the file has {self.total} bytes, more than the {self.most} that it may have")
        if self.wanted.size is not None and self.total not in (None, self.wanted.size):
            raise RefusedError(f"the file has {self.total} bytes, not {self.wanted.size}")
        needed = self.total or self.wanted.size or 0
        folder = Path(self.stream.name).parent
        if shutil.disk_usage(folder).free < needed + SPARE:
            raise AssetError(f"there is no room for {needed} bytes in {folder}")
        self.progress(0, self.total or self.wanted.size, self.wanted.url)

    def write(self, block: bytes) -> None:
        """Some bytes of the body; called by pooch."""
        if not self.here:
            formats.check_beginning(block[: formats.HEAD], self.wanted.kind, "what the server sent")
        self.here += len(block)
        if self.here > self.most:
            raise RefusedError(f"the file has more than the {self.most} bytes that it may have")
        self.stream.write(block)
        self.progress(self.here, self.total or self.wanted.size, self.wanted.url)

    def flush(self) -> None:
        """Called by pooch after each block; the file is closed before it is read."""
