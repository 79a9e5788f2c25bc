"""Getting an asset of the catalogue: its addresses in order, every check, then its place in the store."""

from __future__ import annotations

import shutil
import stat
import zipfile
from pathlib import Path, PurePosixPath

from pie_assets import download
from pie_assets.download import LIMIT, Progress
from pie_assets.http import Patience, Refused
from pie_framework.assets import formats
from pie_framework.assets.catalogue import Entry
from pie_framework.assets.store import Record, Store
from pie_framework.errors import AssetError

#: Most files of an archive.
MOST_FILES = 20_000


def pull(
    entry: Entry,
    store: Store,
    trust: bool = False,
    limit: int = LIMIT,
    patience: Patience | None = None,
    progress: Progress | None = None,
) -> Record:
    """Fetch an asset into the store, whether or not it is there already.

    Args:
        entry: of the catalogue.
        store: where it goes.
        trust: accept a digest that differs from the catalogue's.
        limit: bytes it may have where the catalogue knows no size.
        patience: how long to wait for servers.
        progress: is told how far it is.

    Raises:
        AssetError: no address gave it, with the reason for each; another process is getting it; no room.
    """
    check_fetchable(entry)
    kind = entry.unpack or entry.format
    size = None if entry.unpack or trust else entry.size
    with store.lock(entry.name):
        target = store.partial(entry.name)
        reasons: list[str] = []
        hint: str | None = None
        for url in entry.urls:
            for again in (True, False):
                try:
                    resumed = download.fetch(url, target, kind, size, limit, patience, progress)
                    record = _keep(entry, store, target, url, trust, limit)
                except Refused as error:
                    reasons.append(f"{url}: {error.message}")
                    hint = hint or error.hint
                    break
                except _Wrong as error:
                    download.discard(target)
                    if resumed and again:
                        continue  # its parts may have been of different versions
                    reasons.append(f"{url}: {error}")
                    break
                download.discard(target)
                return record
    raise AssetError(
        f"the asset '{entry.name}' could not be fetched. " + "; ".join(reasons),
        hint or f"Try again later, or fetch it by hand and use 'pie assets add {entry.name} FILE'.",
    )


def check_fetchable(entry: Entry) -> None:
    """Raise AssetError when a person has to get it."""
    if entry.registration or not entry.urls:
        raise AssetError(f"the asset '{entry.name}' cannot be fetched by a program", entry.how_to_get)


class _Wrong(Exception):
    """What was fetched is not the asset."""


def _keep(entry: Entry, store: Store, target: Path, url: str, trust: bool, limit: int) -> Record:
    """Move what was fetched to its place."""
    if entry.unpack is None:
        try:
            return store.take(entry, target, url, trust)
        except AssetError as error:
            raise _Wrong(str(error.message)) from error
    folder = target.with_name(target.name + ".unpacked")
    shutil.rmtree(folder, ignore_errors=True)
    try:
        unpack(target, folder, limit)
        return store.take(entry, folder, url, trust)
    except AssetError as error:
        raise _Wrong(str(error.message)) from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def unpack(archive: Path, folder: Path, limit: int = LIMIT) -> None:
    """Unpack what lies in the one top folder of a zip archive.

    Args:
        archive: the zip file; it is not trusted.
        folder: is made.
        limit: bytes that all files may have together.

    Raises:
        AssetError: it is damaged, too large, or has names or links that lead elsewhere.
    """
    try:
        with zipfile.ZipFile(archive) as packed:
            members = [member for member in packed.infolist() if not member.is_dir()]
            if not members or len(members) > MOST_FILES:
                raise AssetError(f"the archive has {len(members)} files")
            top = PurePosixPath(members[0].filename).parts[0]
            left = limit
            for member in members:
                inside = _inside(member, top)
                path = folder.joinpath(*inside.parts)
                path.parent.mkdir(parents=True, exist_ok=True)
                with packed.open(member) as source, path.open("wb") as sink:
                    while block := source.read(1 << 20):
                        left -= len(block)
                        if left < 0:
                            raise AssetError(f"the archive holds more than {limit} bytes")
                        sink.write(block)
    except formats.ZIP_DAMAGE as error:
        raise AssetError(f"the archive is damaged: {error}") from error
    except OSError as error:
        raise AssetError(f"the archive cannot be unpacked: {error}") from error


def _inside(member: zipfile.ZipInfo, top: str) -> PurePosixPath:
    """Where a member goes in the folder; AssetError when that would not be in the folder."""
    path = PurePosixPath(member.filename)
    bad = path.is_absolute() or ".." in path.parts or any(c in member.filename for c in "\\:\0")
    if bad or stat.S_ISLNK(member.external_attr >> 16):
        raise AssetError(f"the archive has a file '{member.filename[:80]}', which leads elsewhere")
    if path.parts[0] != top or len(path.parts) < 2:
        raise AssetError(f"the archive has more than one top folder ('{top}' and '{path.parts[0][:80]}')")
    return PurePosixPath(*path.parts[1:])
