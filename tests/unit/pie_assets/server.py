"""A local HTTP server that does, request by request, what a test tells it to."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

#: Answers one request by writing to the handler.
Answer = Callable[["Handler"], None]


class Handler(BaseHTTPRequestHandler):
    """Hands each request to the next answer of its path; the last one answers all that follow."""

    protocol_version = "HTTP/1.1"
    site: Site

    def do_GET(self) -> None:
        self.close_connection = True
        self.site.seen.append((self.path, dict(self.headers.items())))
        answers = self.site.pages.get(self.path)
        if not answers:
            return send(404, b"nothing here")(self)
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        try:
            answer(self)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:
        """Silent."""


@dataclass
class Site:
    """Pages by path, each a list of answers, and what was asked."""

    pages: dict[str, list[Answer]] = field(default_factory=dict)
    seen: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    root: str = ""

    def page(self, path: str, *answers: Answer) -> str:
        self.pages[path] = list(answers)
        return self.root + path

    def asked(self, path: str) -> list[str | None]:
        """The ranges asked for of a path, in order."""
        return [headers.get("Range") for where, headers in self.seen if where == path]


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def handle_error(self, request: object, client_address: object) -> None:
        """Silent: clients leave when they have seen enough."""


@contextmanager
def serve() -> Iterator[Site]:
    """A server on a free local port, for as long as the block lasts."""
    site = Site()
    server = _Server(("127.0.0.1", 0), type("Bound", (Handler,), {"site": site}))
    site.root = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield site
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)


def send(status: int, body: bytes, **headers: object) -> Answer:
    """An answer with a body; `Content_Length=None` leaves that header out, another value lies."""

    def answer(handler: Handler) -> None:
        handler.send_response(status)
        given = {"Content-Type": "application/octet-stream", "Content-Length": len(body)}
        given["Connection"] = "close"
        given.update({name.replace("_", "-"): value for name, value in headers.items()})
        for name, value in given.items():
            if value is not None:
                handler.send_header(name, str(value))
        handler.end_headers()
        handler.wfile.write(body)

    return answer


def file(content: bytes, etag: str | None = '"one"', cut: int | None = None, **headers: object) -> Answer:
    """A file that can be had in parts, as honest servers do.

    Args:
        content: all of it.
        etag: its version.
        cut: bytes after which the connection is closed, counted in each answer.
        headers: others to send.
    """

    def answer(handler: Handler) -> None:
        wanted = handler.headers.get("Range")
        same = handler.headers.get("If-Range") in (None, etag)
        start = int(wanted.removeprefix("bytes=").partition("-")[0]) if wanted and same else 0
        if start >= len(content):
            return send(416, b"", Content_Range=f"bytes */{len(content)}")(handler)
        rest = content[start:]
        more: dict[str, object] = {"Content_Length": len(rest), **headers}
        if etag is not None:
            more["ETag"] = etag
        if start:
            more["Content_Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        send(206 if start else 200, rest[:cut], **more)(handler)

    return answer


def redirect(target: str, status: int = 302) -> Answer:
    return send(status, b"", Location=target)


def stall(content: bytes, first: int, seconds: float) -> Answer:
    """Sends the beginning, then nothing."""

    def answer(handler: Handler) -> None:
        send(200, content[:first], Content_Length=len(content), ETag='"one"')(handler)
        handler.wfile.flush()
        time.sleep(seconds)

    return answer


def trickle(content: bytes, seconds: float, headers: bool = False) -> Answer:
    """Sends the body byte by byte with pauses, or already the headers."""

    def answer(handler: Handler) -> None:
        head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(content)}\r\n"
        if headers:
            for letter in head + "X-Long: " + "x" * 1000:
                handler.wfile.write(letter.encode())
                handler.wfile.flush()
                time.sleep(seconds)
        handler.wfile.write((head + "\r\n").encode())
        for i in range(len(content)):
            handler.wfile.write(content[i : i + 1])
            handler.wfile.flush()
            time.sleep(seconds)

    return answer
