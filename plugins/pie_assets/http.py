"""One HTTP request for (the rest of) a file: http and https only, few redirects, no answer that may hang for ever."""

from __future__ import annotations

import http.client
import re
import socket
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from email.message import Message
from functools import partial
from typing import IO, Any
from urllib.parse import urljoin, urlsplit

from pie_framework.errors import AssetError
from pie_framework.version import __version__


class Refused(AssetError):
    """The server's answer is not the file, and asking it again will not help."""

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(_printable(message), hint)


class Passing(Exception):
    """A fault that may be gone when the server is asked again."""

    def __init__(self, message: str) -> None:
        super().__init__(_printable(message))


def _printable(text: str) -> str:
    """A text that quotes a server, without what a terminal would obey, and of bounded length."""
    return "".join(c if c.isprintable() else "?" for c in text[:1000])


class Changed(Passing):
    """What the server has now does not go with the bytes that are here."""


@dataclass(frozen=True)
class Patience:
    """How long to wait for a server.

    Attributes:
        timeout: seconds without a byte.
        headers: seconds until the answer's headers are complete.
        window: seconds over which the rate is measured.
        rate: bytes per second below which a transfer counts as stalled.
        attempts: requests for one address; those that brought something are not counted.
        step: bytes that an attempt has to bring so as not to be counted.
        pause: seconds before the second attempt; twice as long before each further one.
        redirects: how many are followed.
    """

    timeout: float = 30.0
    headers: float = 60.0
    window: float = 60.0
    rate: float = 1024.0
    attempts: int = 4
    step: int = 1 << 16
    pause: float = 1.0
    redirects: int = 5


@dataclass(frozen=True)
class Answer:
    """What a server answered, with its headers checked.

    Attributes:
        body: to read from.
        start: offset of the first byte of the body in the file.
        total: size of the file, bytes; None when the server does not say.
        validator: what tells this version of the file from others (a strong ETag, else the date); "" for none.
        url: after redirects.
    """

    body: http.client.HTTPResponse
    start: int
    total: int | None
    validator: str
    url: str


@contextmanager
def ask(url: str, start: int, validator: str, patience: Patience) -> Iterator[Answer]:
    """Ask for a file from an offset on.

    Args:
        url: http or https.
        start: bytes that are there already; the answer's `start` says whether the server goes on from them.
        validator: that of the bytes that are there; "" asks without a condition.
        patience: see there.

    Raises:
        Refused: the address or the answer is of no use.
        Passing: no answer, or one that may be different later.
    """
    headers = {"User-Agent": f"pie-framework/{__version__}", "Accept-Encoding": "identity"}
    if start:
        headers["Range"] = f"bytes={start}-"
        if validator:
            headers["If-Range"] = validator
    with _open(url, headers, patience) as response:
        yield _answer(response, start, validator)


def _open(url: str, headers: dict[str, str], patience: Patience) -> http.client.HTTPResponse:
    """The answer to one request, its headers read; ask() says what it raises."""
    _check_scheme(url)
    request = urllib.request.Request(url, headers=headers)
    try:
        with _Watch(patience.headers) as watch:
            response: http.client.HTTPResponse = _opener(patience, watch).open(
                request, timeout=patience.timeout
            )
        if watch.barked:
            response.close()
            raise Passing("the server does not answer")
        return response
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == 416 and "Range" in headers:
            raise Changed("the server has fewer bytes than are here") from error
        kind: type[Exception] = Passing if error.code >= 500 or error.code in (408, 425, 429) else Refused
        raise kind(f"the server answered {error.code} {error.reason}") from error
    except (http.client.HTTPException, OSError, ValueError) as error:
        cause = getattr(error, "reason", error)  # what URLError wraps
        if watch.barked or isinstance(cause, TimeoutError):
            raise Passing("the server does not answer") from error
        raise Passing(
            f"the server cannot be reached: {type(cause).__name__}: {cause}".rstrip(": ")
        ) from error


def read(answer: Answer, patience: Patience) -> bytes:
    """Some more bytes of the body, b"" at its end; Passing when it breaks."""
    try:
        return answer.body.read1(1 << 18)
    except TimeoutError as error:
        raise Passing(f"nothing came for {patience.timeout:g} seconds") from error
    except (http.client.HTTPException, OSError, ValueError) as error:
        raise Passing(f"the transfer broke: {type(error).__name__}: {error}".rstrip(": ")) from error


def _answer(response: http.client.HTTPResponse, start: int, validator: str) -> Answer:
    headers = response.headers
    if (headers.get("Content-Encoding") or "identity").lower() != "identity":
        raise Refused(f"the server packs the file ({headers['Content-Encoding']}), although asked not to")
    media = headers.get_content_type()
    if headers.get("Content-Type") and media in ("text/html", "application/xhtml+xml"):
        raise Refused(
            "the server sent a web page, not the file",
            "It may ask for a login or a confirmation: open the source page in a browser, then 'pie assets add'.",
        )
    found = _validator(headers)
    if response.status == 206:
        first, total = _range(headers.get("Content-Range") or "")
        if not start or first != start:
            raise Changed(f"the server sent the bytes from {first} on, not those from {start} on")
        if validator and (found or validator.startswith('"')) and found != validator:
            raise Changed("the file has changed on the server")
        return Answer(response, start, total, found or validator, response.url)
    if response.status != 200:
        raise Refused(f"the server answered {response.status} {response.reason}")
    length = headers.get("Content-Length")
    total = int(length) if length is not None and re.fullmatch(r"\d{1,18}", length.strip()) else None
    return Answer(response, 0, total, found, response.url)


def _validator(headers: Message) -> str:
    etag = (headers.get("ETag") or "").strip()
    if re.fullmatch(r'"[^"\r\n]{1,200}"', etag):
        return etag
    date = (headers.get("Last-Modified") or "").strip()
    return date if re.fullmatch(r"[A-Za-z0-9,: +-]{10,40}", date) else ""


def _range(text: str) -> tuple[int, int | None]:
    """First byte and total of `bytes 10-99/100`; Changed when it makes no sense."""
    found = re.fullmatch(r"\s*bytes (\d{1,18})-(\d{1,18})/(\d{1,18}|\*)\s*", text)
    if not found or int(found[2]) < int(found[1]) or (found[3] != "*" and int(found[2]) >= int(found[3])):
        raise Changed(f"the server says '{text}' of the part it sent")
    return int(found[1]), None if found[3] == "*" else int(found[3])


def _check_scheme(url: str, before: str = "") -> None:
    scheme = urlsplit(url).scheme.lower()
    if scheme not in ("http", "https") or not urlsplit(url).hostname:
        raise Refused(f"'{url}' is not an http or https address")
    if scheme == "http" and urlsplit(before).scheme.lower() == "https":
        raise Refused(f"the server leads from https to '{url}', which is not protected")


class Redirects(urllib.request.HTTPRedirectHandler):
    """Follows a few redirects, to http and https only, and never from https to http."""

    max_repeats = 2

    def __init__(self, most: int) -> None:
        self.most = most

    def http_error_302(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: http.client.HTTPMessage,
    ) -> Any:
        target = headers.get("location") or headers.get("uri")
        if target:
            _check_scheme(urljoin(req.full_url, target), req.full_url)
        visited: dict[str, int] = getattr(req, "redirect_dict", {})
        if sum(visited.values()) >= self.most:
            raise Refused(f"the server leads on more than {self.most} times")
        try:
            return super().http_error_302(req, fp, code, msg, headers)
        except urllib.error.HTTPError as error:
            if "infinite loop" in str(error):
                raise Refused("the server leads round in a circle") from error
            raise

    http_error_301 = http_error_303 = http_error_307 = http_error_308 = http_error_302


class _Watch:
    """Breaks connections whose headers take too long: a server that sends them byte by byte passes every timeout."""

    def __init__(self, seconds: float) -> None:
        self.barked = False
        self._connections: list[http.client.HTTPConnection] = []
        self._timer = threading.Timer(seconds, self._bark)
        self._timer.daemon = True

    def __enter__(self) -> _Watch:
        self._timer.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        self._timer.cancel()

    def add(self, connection: http.client.HTTPConnection) -> None:
        self._connections.append(connection)

    def _bark(self) -> None:
        self.barked = True
        for connection in self._connections:
            if connection.sock is not None:
                try:
                    connection.sock.shutdown(socket.SHUT_RDWR)
                except OSError:
                    continue


def _opener(patience: Patience, watch: _Watch) -> urllib.request.OpenerDirector:
    """An opener that knows http and https and nothing else (no file:, no ftp:, no data:)."""

    def connect(kind: type[http.client.HTTPConnection], host: str, **options: Any) -> Any:
        connection = kind(host, **options)
        watch.add(connection)
        return connection

    class Http(urllib.request.HTTPHandler):
        def http_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
            return self.do_open(partial(connect, http.client.HTTPConnection), req)

    class Https(urllib.request.HTTPSHandler):
        def https_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
            return self.do_open(partial(connect, http.client.HTTPSConnection), req)

    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        Http(),
        Https(),
        Redirects(patience.redirects),
        urllib.request.HTTPErrorProcessor(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.UnknownHandler(),
    ):
        opener.add_handler(handler)
    return opener
