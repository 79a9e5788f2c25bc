"""Filling the store: what is added, linked and verified, and what is refused."""

from __future__ import annotations

import hashlib
import zipfile
from pathlib import Path

import pytest

from pie_assets.keeping import BY_CATALOGUE, FIRST_USE, OVERRULED, WritableStore
from pie_framework.assets.catalogue import Catalogue, Entry
from pie_framework.errors import AssetError

CONTENT = b"\x80\x02K\x01."
ENTRY = Entry(
    "net",
    "A network.",
    "net.pkl",
    "pickle",
    "https://example.org",
    size=5,
    sha256=hashlib.sha256(CONTENT).hexdigest(),
)
FREE = Entry("free", "Unknown digest.", "free.pkl", "pickle", "https://example.org")
KIT = Entry("kit", "A folder.", "Kit", "folder", "https://example.org")
CATALOGUE = Catalogue({entry.name: entry for entry in (ENTRY, FREE, KIT)})


@pytest.fixture
def store(tmp_path: Path) -> WritableStore:
    return WritableStore(tmp_path / "assets")


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    path = tmp_path / "mine.bin"
    path.write_bytes(CONTENT)
    return path


def test_adding_copies_under_the_catalogues_name(store: WritableStore, mine: Path) -> None:
    record = store.add(ENTRY, mine)
    assert record.checked == BY_CATALOGUE and record.size == 5 and not record.linked
    mine.unlink()
    assert store.path("asset://net", CATALOGUE).read_bytes() == CONTENT
    assert store.path("asset://net").name == "net.pkl"
    assert store.names() == ["net"] and store.verify("net") is None
    assert not list(store.folder.glob(".partial/*"))


def test_linking_points_to_the_file(store: WritableStore, mine: Path) -> None:
    assert store.add(ENTRY, mine, link=True).linked
    assert store.path("asset://net", CATALOGUE) == mine.resolve()
    assert store.add(ENTRY, mine).linked is False
    assert store.path("asset://net", CATALOGUE) != mine.resolve()
    store.add(ENTRY, mine, link=True)
    assert [p.name for p in (store.folder / "net").iterdir()] == ["record.json"], "no copy is left behind"
    mine.unlink()
    with pytest.raises(AssetError, match="linked to is gone"):
        store.path("asset://net", CATALOGUE)
    assert "gone" in str(store.verify("net"))


def test_a_folder_is_added_without_its_version_control(store: WritableStore, tmp_path: Path) -> None:
    kit = tmp_path / "clone"
    (kit / ".git").mkdir(parents=True)
    (kit / ".git" / "HEAD").write_text("x")
    (kit / "a").mkdir()
    (kit / "a" / "face.obj").write_text("v 0 0 0")
    copied = store.add(KIT, kit)
    linked = store.add(KIT, kit, link=True)
    assert copied.sha256 == linked.sha256 and copied.size == 7
    store.add(KIT, kit)
    assert resolve_in(store, "asset://kit/a/face.obj").read_text() == "v 0 0 0"
    assert not (store.path("asset://kit") / ".git").exists()
    with pytest.raises(AssetError, match="is not a folder"):
        store.add(KIT, kit / "a" / "face.obj")
    with pytest.raises(AssetError, match="is a folder, not a pickle file"):
        store.add(FREE, kit)


def resolve_in(store: WritableStore, uri: str) -> Path:
    return store.path(uri, CATALOGUE)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"\x80\x02K\x02.", "its sha256 begins"),
        (b"\x80\x02K\x01K\x01.", "has 7 bytes"),
        (b"\x80\x02K\x01", "cut short"),
        (b"<html>log in", "web page"),
        (b"PK\x03\x04", "not a pickle file"),
        (b"", "not a pickle file"),
    ],
)
def test_what_is_not_the_asset_is_not_added(
    store: WritableStore, mine: Path, content: bytes, said: str
) -> None:
    mine.write_bytes(content)
    for link in (False, True):
        with pytest.raises(AssetError, match=said):
            store.add(ENTRY, mine, link=link)
    assert store.names() == []


def test_a_file_is_taken_out_of_its_archive(store: WritableStore, tmp_path: Path) -> None:
    path = tmp_path / "handed_out.zip"

    def pack(**files: bytes) -> None:
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in files.items():
                archive.writestr(name.replace("__", "/"), content)

    pack(**{"Model__net.pkl": CONTENT, "Model__readme.txt": b"hello"})
    assert store.add(ENTRY, path).checked == BY_CATALOGUE
    assert store.path("asset://net", CATALOGUE).read_bytes() == CONTENT
    with pytest.raises(AssetError, match="not a pickle file"):
        store.add(ENTRY, path, link=True)
    pack(**{"a__net.pkl": CONTENT, "b__net.pkl": CONTENT})
    with pytest.raises(AssetError, match=r"several files named 'net\.pkl'"):
        store.add(ENTRY, path)
    pack(**{"Model__readme.txt": b"hello"})
    with pytest.raises(AssetError, match="not a pickle file"):
        store.add(ENTRY, path)
    pack(**{"Model__net.pkl": b"<html>"})
    with pytest.raises(AssetError, match="web page"):
        store.add(ENTRY, path)
    damaged = bytearray(path.read_bytes())
    damaged[45] ^= 0xFF
    path.write_bytes(bytes(damaged))
    with pytest.raises(AssetError):
        store.add(ENTRY, path)
    assert store.path("asset://net", CATALOGUE).read_bytes() == CONTENT, "what was there stays"
    assert not list(store.folder.glob(".partial/*"))


def test_damaged_archives_are_one_error(store: WritableStore, tmp_path: Path) -> None:
    path = tmp_path / "handed_out.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr("net.pkl", CONTENT * 400)
    whole = path.read_bytes()
    path.write_bytes(whole[:44] + b"\xff" * 20 + whole[64:])
    with pytest.raises(AssetError, match="damaged"):
        store.add(ENTRY, path)
    path.write_bytes(whole.replace(b"PK\x01\x02", b"PK??"))
    with pytest.raises(AssetError, match="damaged"):
        store.add(ENTRY, path)


def test_a_digest_can_be_overruled(store: WritableStore, mine: Path) -> None:
    mine.write_bytes(b"\x80\x02K\x07.")
    assert store.add(ENTRY, mine, trust=True).checked == OVERRULED
    assert store.verify("net") is None


def test_what_changes_afterwards_is_noticed(store: WritableStore, mine: Path) -> None:
    assert store.add(FREE, mine, trust=True).checked == FIRST_USE
    path = store.path("asset://free", CATALOGUE)
    path.write_bytes(b"\x80\x02K\x07.")
    assert "sha256" in str(store.verify("free"))
    path.write_bytes(CONTENT + b"..")
    with pytest.raises(AssetError, match="has changed: it has 7 bytes, and had 5"):
        store.path("asset://free", CATALOGUE)
    assert "7 bytes" in str(store.verify("free"))
    assert store.verify("net") == "it is not here"


def test_a_store_that_cannot_be_written(mine: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(AssetError, match=r"cannot write to.*PIE_ASSETS"):
        WritableStore(tmp_path / "file" / "assets").add(ENTRY, mine)


@pytest.mark.parametrize(
    "text", ["{", "[]", "{}", '{"name": "other", "file": "x", "size": 1, "sha256": "0"}', "3"]
)
def test_a_damaged_record(store: WritableStore, mine: Path, text: str) -> None:
    store.add(ENTRY, mine)
    (store.folder / "net" / "record.json").write_text(text)
    with pytest.raises(AssetError, match="record of the asset 'net' is damaged"):
        store.path("asset://net", CATALOGUE)
    assert "damaged" in str(store.verify("net"))
    store.add(ENTRY, mine)
    assert store.verify("net") is None
