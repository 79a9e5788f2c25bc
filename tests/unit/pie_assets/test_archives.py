"""Archives that were fetched: nothing of them lands outside their folder, and damage is one error."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from pie_assets.archives import unpack
from pie_framework.errors import AssetError


def pack(path: Path, files: dict[str, bytes]) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("../evil", "leads elsewhere"),
        ("Kit/../../evil", "leads elsewhere"),
        ("/etc/evil", "leads elsewhere"),
        ("C:/evil", "leads elsewhere"),
        ("Kit\\..\\evil", "leads elsewhere"),
        ("evil", "top folder"),
        ("Other/evil", "top folder"),
    ],
)
def test_archives_that_lead_elsewhere_are_refused(tmp_path: Path, name: str, said: str) -> None:
    path = tmp_path / "kit.zip"
    pack(path, {"Kit/a": b"a", name: b"evil"})
    with pytest.raises(AssetError, match=said):
        unpack(path, tmp_path / "out")
    assert not list(tmp_path.rglob("evil"))


def test_links_in_an_archive_lead_nowhere(tmp_path: Path) -> None:
    path = tmp_path / "kit.zip"
    with zipfile.ZipFile(path, "w") as archive:
        link = zipfile.ZipInfo("Kit/link")
        link.external_attr = 0o120777 << 16
        archive.writestr(link, "/etc/passwd")
    unpack(path, tmp_path / "out")
    assert not (tmp_path / "out" / "link").is_symlink()
    assert (tmp_path / "out" / "link").read_text() == "/etc/passwd"


def test_bombs_and_cut_archives_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "kit.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("Kit/zeros", bytes(1_000_000))
    with pytest.raises(AssetError, match="more than 1000 bytes"):
        unpack(path, tmp_path / "out2", limit=1000)
    whole = path.read_bytes()
    path.write_bytes(whole.replace((1_000_000).to_bytes(4, "little"), (1000).to_bytes(4, "little")))
    with pytest.raises(AssetError, match="damaged"):  # it holds more than it says
        unpack(path, tmp_path / "out4", limit=1000)
    assert sum(file.stat().st_size for file in tmp_path.rglob("zeros")) <= 1000
    path.write_bytes(whole[:-30])
    with pytest.raises(AssetError, match="damaged"):
        unpack(path, tmp_path / "out3")


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_damaged_archives_are_one_error(tmp_path: Path, method: int) -> None:
    path = tmp_path / "kit.zip"
    with zipfile.ZipFile(path, "w", method) as archive:
        archive.writestr("Kit/a", bytes(range(256)) * 40)
    content = bytearray(path.read_bytes())
    content[50:80] = b"\xff" * 30
    path.write_bytes(content)
    with pytest.raises(AssetError, match=r"damaged|cannot be unpacked"):
        unpack(path, tmp_path / "out")


@pytest.mark.parametrize("name", ["", "."])
def test_archives_with_files_of_no_name_are_refused(tmp_path: Path, name: str) -> None:
    path = tmp_path / "kit.zip"
    with zipfile.ZipFile(path, "w") as archive:
        member = zipfile.ZipInfo("x")
        member.filename = name
        archive.writestr(member, b"a")
    with pytest.raises(AssetError, match=r"damaged|leads elsewhere|top folder"):
        unpack(path, tmp_path / "out")
