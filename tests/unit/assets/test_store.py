"""The store as runs see it: addresses of assets, and how absence is told."""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path

import pytest

from pie_framework.assets import resolve
from pie_framework.assets.catalogue import Catalogue, Entry
from pie_framework.assets.store import Store, default_folder
from pie_framework.errors import AssetError

CONTENT = b"\x80\x02K\x01."
ENTRY = Entry("net", "A network.", "net.pkl", "pickle", "https://example.org")
CATALOGUE = Catalogue({"net": ENTRY})


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    """One with a file and a folder."""
    monkeypatch.setenv("PIE_ASSETS", str(tmp_path / "assets"))
    (tmp_path / "assets" / "net").mkdir(parents=True)
    (tmp_path / "assets" / "net" / "net.pkl").write_bytes(CONTENT)
    (tmp_path / "assets" / "kit" / "Kit").mkdir(parents=True)
    (tmp_path / "assets" / "kit" / "Kit" / "a").write_text("a")
    for name, file, size in (("net", "net.pkl", 5), ("kit", "Kit", 1)):
        record = {"name": name, "file": file, "size": size, "sha256": "0", "origin": "x", "checked": "y"}
        (tmp_path / "assets" / name / "record.json").write_text(json.dumps(record))
    return Store()


def test_absence_says_what_to_do(tmp_path: Path) -> None:
    store = Store(tmp_path)
    with pytest.raises(
        AssetError, match=r"'net' \(net.pkl\) is not here. Get it by hand from https://example.org"
    ):
        store.path("asset://net", CATALOGUE)
    with pytest.raises(AssetError, match=r"no asset named 'ent'.*Did you mean 'net'"):
        store.path("asset://ent", CATALOGUE)


@pytest.mark.parametrize(
    "uri", ["asset://", "asset:///net", "asset://.locks", "asset://net/../../x", "asset://a\\b"]
)
def test_addresses_that_are_none(store: Store, uri: str) -> None:
    with pytest.raises(AssetError, match="not the address of an asset"):
        store.path(uri, CATALOGUE)


def test_nothing_is_inside_a_file(store: Store) -> None:
    with pytest.raises(AssetError, match="nothing is inside it"):
        store.path("asset://net/inside", CATALOGUE)


def test_addresses_are_resolved_everywhere(store: Store) -> None:
    assert store.names() == ["kit", "net"]
    assert resolve("asset://net").read_bytes() == CONTENT
    assert resolve("asset://net", hashlib.sha256(CONTENT).hexdigest()).name == "net.pkl"
    with pytest.raises(AssetError, match="not the file that was declared"):
        resolve("asset://net", "0" * 64)
    with pytest.raises(AssetError, match="is a folder"):
        resolve("asset://kit")
    assert resolve("asset://kit", folder=True).is_dir()
    with pytest.raises(AssetError, match="does not exist"):
        resolve("asset://kit/gone")
    assert resolve("asset://kit/a").read_text() == "a"


def test_a_file_that_changed_or_went_is_told(store: Store) -> None:
    store.path("asset://net").write_bytes(CONTENT + b"..")
    with pytest.raises(AssetError, match="has changed: it has 7 bytes, and had 5"):
        store.path("asset://net", CATALOGUE)
    (store.folder / "net" / "net.pkl").unlink()
    with pytest.raises(AssetError, match=r"its file is gone.*Get it by hand"):
        store.path("asset://net", CATALOGUE)


def test_where_the_store_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PIE_ASSETS", "~/nets")
    assert default_folder() == tmp_path / "nets"
    monkeypatch.delenv("PIE_ASSETS")
    if sys.platform == "linux":
        monkeypatch.setenv("XDG_DATA_HOME", "/data")
        assert default_folder() == Path("/data/pie-framework/assets")
        monkeypatch.delenv("XDG_DATA_HOME")
        assert default_folder() == tmp_path / ".local" / "share" / "pie-framework" / "assets"
    assert default_folder().parts[-2:] == ("pie-framework", "assets")
