"""Fetching from servers that misbehave: nothing half-written or wrong is ever taken in."""

from __future__ import annotations

import hashlib
import io
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from requests import Response

from pie_assets.download import RefusedError, RetryPolicy, Wanted, _Transfer
from pie_assets.keeping import BY_CATALOGUE, FIRST_USE, WritableStore
from pie_assets.pull import pull
from pie_framework.assets.catalogue import Catalogue, Entry
from pie_framework.errors import AssetError

from .server import Site, file, redirect, send, serve, stall

#: For servers that answer: a busy machine makes no stall of them.
CALM = RetryPolicy(timeout=60.0, attempts=3, pause=0.0)
#: For servers that do not.
QUICK = replace(CALM, timeout=0.3)
#: What a pickle looks like from outside; long enough for several reads.
CONTENT = b"\x80\x02" + bytes(range(256)) * 1200 + b"."
OTHER = b"\x80\x02" + bytes(reversed(range(256))) * 1200 + b"."
PAGE = b"<!DOCTYPE html><html>Please log in</html>"


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    monkeypatch.setenv("no_proxy", "*")
    with serve() as running:
        yield running


@pytest.fixture
def store(tmp_path: Path) -> WritableStore:
    return WritableStore(tmp_path / "assets")


def entry(*urls: str, known: bytes | None = CONTENT, **changes: Any) -> Entry:
    """An asset whose digest and size are those of `known`, or unknown."""
    facts: dict[str, Any] = {
        "name": "net",
        "summary": "A network.",
        "file": "net.pkl",
        "format": "pickle",
        "source": "https://example.org/net",
        "urls": urls,
    }
    if known is not None:
        facts |= {"size": len(known), "sha256": hashlib.sha256(known).hexdigest()}
    return Entry(**facts | changes)


def get(wanted: Entry, store: WritableStore, **options: Any) -> Path:
    return store.file(pull(wanted, store, policy=options.pop("policy", CALM), **options))


def refused(wanted: Entry, store: WritableStore, said: str, **options: Any) -> None:
    """It is refused, and the store holds nothing that could be used."""
    with pytest.raises(AssetError, match=said):
        get(wanted, store, **options)
    assert store.record("net") is None
    assert not (store.folder / "net").exists() or not list((store.folder / "net").iterdir())


# ---- what works ------------------------------------------------------------------------------------------------


def test_a_file_comes_whole_with_its_record(site: Site, store: WritableStore) -> None:
    told = []
    wanted = entry(site.page("/net.pkl", file(CONTENT)))
    path = get(wanted, store, progress=lambda *state: told.append(state))
    assert path.read_bytes() == CONTENT
    record = store.record("net")
    assert record is not None and record.checked == BY_CATALOGUE and record.origin == wanted.urls[0]
    assert told[0][0] == 0 and told[-1] == (len(CONTENT), len(CONTENT), wanted.urls[0])
    assert not list(store.folder.glob(".partial/*"))
    assert store.path("asset://net") == path


def test_an_unknown_digest_is_that_of_first_use(site: Site, store: WritableStore) -> None:
    path = get(entry(site.page("/net.pkl", file(CONTENT)), known=None), store)
    record = store.record("net")
    assert record is not None and record.checked == FIRST_USE
    assert store.verify("net") is None
    path.write_bytes(OTHER)
    assert "its sha256 begins" in str(store.verify("net"))


def test_a_known_beginning_of_the_digest_is_compared(site: Site, store: WritableStore) -> None:
    url = site.page("/net.pkl", file(CONTENT))
    prefix = hashlib.sha256(CONTENT).hexdigest()[:8]
    refused(entry(url, known=None, sha256_prefix="00000000"), store, "sha256 begins")
    get(entry(url, known=None, sha256_prefix=prefix), store)
    record = store.record("net")
    assert record is not None and record.checked == BY_CATALOGUE


@pytest.mark.parametrize("status", [301, 302, 303, 307])
def test_redirects_are_followed_to_another_path(site: Site, store: WritableStore, status: int) -> None:
    site.page("/files/net", file(CONTENT))
    url = site.page("/net.pkl", redirect("/files/net", status))
    assert get(entry(url), store).read_bytes() == CONTENT


def test_a_mirror_is_asked_when_the_first_has_nothing(site: Site, store: WritableStore) -> None:
    gone = site.page("/gone", send(404, PAGE))
    broken = site.page("/broken", send(500, b"oops"))
    wrong = site.page("/wrong", file(OTHER))
    right = site.page("/net.pkl", file(CONTENT))
    assert get(entry(gone, broken, wrong, right), store).read_bytes() == CONTENT
    assert len(site.asked("/gone")) == 1, "a missing page is not asked for again"
    assert len(site.asked("/broken")) == CALM.attempts
    record = store.record("net")
    assert record is not None and record.origin == right


def test_a_server_error_passes(site: Site, store: WritableStore) -> None:
    url = site.page("/net.pkl", send(503, b"busy"), send(429, b"slowly"), file(CONTENT))
    assert get(entry(url), store).read_bytes() == CONTENT


def test_a_broken_transfer_is_begun_again(site: Site, store: WritableStore) -> None:
    url = site.page("/net.pkl", file(CONTENT, cut=100_000), send(503, b""), file(CONTENT))
    assert get(entry(url), store).read_bytes() == CONTENT
    assert len(site.seen) == 3


# ---- what is refused -------------------------------------------------------------------------------------------


def test_a_truncated_body_is_never_taken(site: Site, store: WritableStore) -> None:
    url = site.page("/net.pkl", send(200, CONTENT[:5000], Content_Length=len(CONTENT)))
    refused(entry(url, known=None), store, "the transfer broke")


def test_a_body_that_ends_early_without_saying_its_length(site: Site, store: WritableStore) -> None:
    url = site.page("/net.pkl", send(200, CONTENT[:-1], Content_Length=None))
    refused(entry(url), store, "closed after")
    refused(entry(url, known=None), store, "cut short")


def test_a_length_that_is_too_small_is_a_lie(site: Site, store: WritableStore) -> None:
    url = site.page("/net.pkl", send(200, CONTENT, Content_Length=5000))
    refused(entry(url), store, f"has 5000 bytes, not {len(CONTENT)}")
    refused(entry(url, known=None), store, "cut short")


def test_a_length_that_is_too_large_is_a_lie(site: Site, store: WritableStore) -> None:
    url = site.page("/net.pkl", send(200, CONTENT, Content_Length=len(CONTENT) + 50))
    refused(entry(url, known=None), store, "the transfer broke")
    refused(entry(url), store, "more than the")


def test_a_length_that_is_no_number(site: Site, store: WritableStore) -> None:
    url = site.page("/net.pkl", send(200, CONTENT, Content_Length="many"))
    refused(entry(url), store, "makes no sense")


def test_more_than_the_limit_is_refused(site: Site, store: WritableStore) -> None:
    said = site.page("/said", send(200, CONTENT))
    refused(entry(said, known=None), store, "more than the 1000 that it may have", limit=1000)
    silent = site.page("/silent", send(200, CONTENT, Content_Length=None))
    refused(entry(silent, known=None), store, "more than the 1000", limit=1000)
    refused(entry(silent, size=1000), store, "more than the 1000")


@pytest.mark.parametrize("known", [CONTENT, None])
@pytest.mark.parametrize(
    "answer",
    [
        send(200, PAGE, Content_Type="text/html; charset=utf-8"),
        send(200, b"\xef\xbb\xbf\n " + PAGE + b"x" * 5000),
        send(200, b"<?xml version='1.0'?><Error><Code>AccessDenied</Code></Error>", Content_Length=None),
        send(200, b'{"error": "quota exceeded"}', Content_Type="application/json"),
        send(200, b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 5\n"),
        send(200, b""),
        send(200, CONTENT, Content_Encoding="gzip"),
        send(204, b"", Content_Length=None),
    ],
)
def test_a_wrong_body_is_refused(site: Site, store: WritableStore, answer: Any, known: bytes | None) -> None:
    refused(entry(site.page("/net.pkl", answer), known=known), store, "could not be fetched")


def test_what_a_server_says_does_not_reach_the_terminal(site: Site, store: WritableStore) -> None:
    def answer(handler: Any) -> None:
        handler.send_response(404, "gone\x1b[2J")
        handler.end_headers()

    refused(entry(site.page("/net.pkl", answer)), store, r"answered 404 gone\?\[2J")


def test_the_right_size_with_the_wrong_content_is_refused(site: Site, store: WritableStore) -> None:
    url = site.page("/net.pkl", file(OTHER))
    refused(entry(url), store, "its sha256 begins")
    assert len(site.seen) == 1, "what came in one piece is not asked for again"
    assert get(entry(url), store, trust=True).read_bytes() == OTHER


def test_a_server_that_stalls_is_left(site: Site, store: WritableStore) -> None:
    url = site.page("/net.pkl", stall(CONTENT, 5000, 2.0))
    refused(entry(url), store, "nothing came for 0.3 seconds", policy=QUICK)
    silent = site.page("/silent", lambda handler: time.sleep(2.0))
    refused(entry(silent), store, "nothing came for 0.3 seconds", policy=QUICK)


def test_a_server_that_is_not_there(site: Site, store: WritableStore) -> None:
    refused(entry("http://127.0.0.1:1/net.pkl"), store, "cannot be reached")


# ---- redirects that are refused --------------------------------------------------------------------------------


def test_a_circle_of_redirects(site: Site, store: WritableStore) -> None:
    url = site.page("/a", redirect("/b"))
    site.page("/b", redirect("/a"))
    refused(entry(url), store, "makes no sense: Exceeded 30 redirects")


@pytest.mark.parametrize("target", ["file:///etc/hostname", "ftp://127.0.0.1/x", "data:,x", "gopher://x/"])
def test_redirects_out_of_http_are_refused(site: Site, store: WritableStore, target: str) -> None:
    refused(entry(site.page("/net.pkl", redirect(target))), store, "not an http or https address")


def test_a_redirect_from_https_to_http_is_refused() -> None:
    answer = Response()
    answer.url, answer.status_code = "https://example.org/net.pkl", 302
    answer.headers["location"] = "http://example.org/net.pkl"
    transfer = _Transfer(Wanted(answer.url, "pickle"), io.BytesIO(), lambda *_: None)
    with pytest.raises(RefusedError, match="not protected"):
        transfer.look(answer)
    answer.headers["location"] = "/elsewhere"
    transfer.look(answer)


@pytest.mark.parametrize("url", ["file:///etc/hostname", "ftp://127.0.0.1/x", "data:,x", "net.pkl"])
def test_addresses_out_of_http_are_refused(store: WritableStore, url: str) -> None:
    refused(entry(url), store, "not an http or https address")


# ---- two at once, and archives ---------------------------------------------------------------------------------


def test_two_pulls_at_once(site: Site, store: WritableStore) -> None:
    go = threading.Event()

    def slowly(handler: Any) -> None:
        go.wait(60)
        file(CONTENT)(handler)

    wanted = entry(site.page("/net.pkl", slowly))
    first = threading.Thread(target=lambda: pull(wanted, store, policy=CALM))
    first.start()
    while not site.seen:
        time.sleep(0.01)
    with pytest.raises(AssetError, match="another process is getting"):
        get(wanted, store)
    go.set()
    first.join(60)
    assert store.path("asset://net").read_bytes() == CONTENT


def test_a_killed_pull_leaves_nothing_that_could_be_used(site: Site, store: WritableStore) -> None:
    url = site.page("/net.pkl", stall(CONTENT, 100_000, 20.0))
    code = (
        "import sys; from pathlib import Path\n"
        "from pie_framework.assets.catalogue import Entry; from pie_assets.pull import pull\n"
        "from pie_assets.keeping import WritableStore\n"
        "pull(Entry('net', 'A net.', 'net.pkl', 'pickle', 'x', urls=(sys.argv[1],)), WritableStore(Path(sys.argv[2])))"
    )
    child = subprocess.Popen([sys.executable, "-c", code, url, str(store.folder)])
    try:
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            if any(part.stat().st_size for part in store.folder.glob(".partial/net/*")):
                break
            time.sleep(0.02)
        with pytest.raises(AssetError, match="another process is getting"):
            get(entry(url), store)
    finally:
        child.kill()
        child.wait(10)
    assert list(store.folder.glob(".partial/net/*")) and store.record("net") is None
    with pytest.raises(AssetError, match="is not here"):
        store.path("asset://net", Catalogue({"net": entry(url)}))
    site.page("/net.pkl", file(CONTENT))
    assert get(entry(url), store).read_bytes() == CONTENT
    assert not list(store.folder.glob(".partial/*")), "what was left is removed"


def test_what_is_here_stays_when_getting_it_again_fails(site: Site, store: WritableStore) -> None:
    url = site.page("/net.pkl", file(CONTENT), send(200, PAGE, Content_Type="text/html"))
    get(entry(url), store)
    with pytest.raises(AssetError, match="web page"):
        get(entry(url), store)
    assert store.path("asset://net").read_bytes() == CONTENT


def packed(**files: bytes) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, content in files.items():
            archive.writestr(name.replace("__", "/"), content)
    return stream.getvalue()


def test_an_archive_is_unpacked_into_a_folder(site: Site, store: WritableStore) -> None:
    archive = packed(**{"Kit-main__README.md": b"hello", "Kit-main__model__face.obj": b"v 0 0 0\n"})
    kit = entry(site.page("/kit.zip", file(archive)), known=None, format="folder", file="Kit", unpack="zip")
    folder = get(kit, store)
    assert sorted(p.name for p in folder.rglob("*")) == ["README.md", "face.obj", "model"]
    assert store.path("asset://net/model/face.obj").read_bytes() == b"v 0 0 0\n"
    assert store.verify("net") is None
    (folder / "model" / "face.obj").write_bytes(b"v 0 0 1\n")
    assert "sha256" in str(store.verify("net"))
