"""Zip archives as publishers hand assets out. They are not trusted: sizes are bounded, and no name leads elsewhere."""

from __future__ import annotations

import contextlib
import lzma
import shutil
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from pie_framework.errors import AssetError

#: What all files of an archive may have together, bytes.
LARGEST = 8 << 30
#: Most files of an archive.
MOST_FILES = 20_000
#: What reading an archive raises when its bytes are not what they should be; and OSError.
_DAMAGE = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, RuntimeError, ValueError, LookupError)


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[zipfile.ZipFile]:
    """An archive; AssetError when it cannot be read, also later on. No member gives more than its announced size."""
    try:
        with zipfile.ZipFile(path) as archive:
            yield archive
    except (*_DAMAGE, OSError) as error:
        raise AssetError(
            f"'{path.name}' is damaged and cannot be unpacked: {error}", "Get it again."
        ) from error


def _bounded(members: list[zipfile.ZipInfo], limit: int) -> None:
    if sum(member.file_size for member in members) > limit:
        raise AssetError(f"the archive holds more than {limit} bytes")


def find(path: Path, name: str) -> str | None:
    """The one member of a zip archive that is called so, in whatever folder; None where there is none, or no archive.

    Raises:
        AssetError: the archive is damaged, or there are several.
    """
    if not zipfile.is_zipfile(path):
        return None
    with _opened(path) as archive:
        fitting = [member for member in archive.namelist() if PurePosixPath(member).name == name]
    if len(fitting) > 1:
        raise AssetError(f"'{path}' holds several files named '{name}'", "Unpack it and give the right one.")
    return fitting[0] if fitting else None


def unpack_member(path: Path, member: str, target: Path) -> None:
    """Write one file of an archive to `target`; AssetError when it is damaged or too large."""
    with _opened(path) as archive:
        _bounded([archive.getinfo(member)], LARGEST)
        with archive.open(member) as packed, target.open("wb") as sink:
            shutil.copyfileobj(packed, sink)


def unpack(path: Path, folder: Path, limit: int = LARGEST) -> None:
    """Unpack an archive, and make what lies in its one top folder the folder given.

    Args:
        path: the zip file.
        folder: is made; something may be left beside it.
        limit: bytes that all files may have together.

    Raises:
        AssetError: it is damaged, too large, has several top folders, or names that lead elsewhere.
    """
    with _opened(path) as archive:
        members = [member for member in archive.infolist() if not member.is_dir()]
        _bounded(members, limit)
        if not 0 < len(members) <= MOST_FILES:
            raise AssetError(f"the archive has {len(members)} files")
        for member in members:
            inside = PurePosixPath(member.filename)
            if inside.is_absolute() or ".." in inside.parts or any(c in member.filename for c in "\\:\0"):
                raise AssetError(f"the archive has a file '{inside.name[:80]}', which leads elsewhere")
            if len(inside.parts) < 2 or inside.parts[0] != PurePosixPath(members[0].filename).parts[0]:
                raise AssetError(f"the archive has more than one top folder ('{str(inside)[:80]}')")
        whole = folder.with_name(folder.name + ".whole")
        archive.extractall(whole, members)  # links become files that hold where they led
        (whole / PurePosixPath(members[0].filename).parts[0]).replace(folder)
