"""The store: assets that were fetched or added, one folder each, in the user's data folder.

    STORE/NAME/FILE           the asset, complete and checked
    STORE/NAME/record.json    its size, digest and origin; an asset without a record is not there

Here it is only read. What fills it moves a file to its place by a rename after all checks, so that nothing
half-written is ever read.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from pie_framework.assets.catalogue import Catalogue, Entry, load
from pie_framework.errors import AssetError
from pie_framework.files import addresses
from pie_framework.files.addresses import ASSET_SCHEME

ENVIRONMENT_VARIABLE = "PIE_ASSETS"
RECORD = "record.json"


@dataclass(frozen=True)
class Record:
    """What is known of an asset in the store.

    Attributes:
        name: of the asset.
        file: name of its file or folder, beside the record; the whole path for a link.
        size: bytes.
        sha256: hexadecimal digest when it came.
        origin: the address or path that it came from.
        checked: what the digest was compared with when it came.
        linked: whether the file lies elsewhere and is only pointed to.
        when: date and time, UTC.
    """

    name: str
    file: str
    size: int
    sha256: str
    origin: str
    checked: str
    linked: bool = False
    when: str = ""


def default_folder() -> Path:
    """PIE_ASSETS, or the folder for this program's data of this system's users."""
    if said := os.environ.get(ENVIRONMENT_VARIABLE):
        return Path(said).expanduser()
    from platformdirs import user_data_path

    return user_data_path("pie-framework", appauthor=False) / "assets"


class Store:
    """Assets on this machine.

    Args:
        folder: where; `default_folder()` when None. It need not be there.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = default_folder() if folder is None else folder

    def record(self, name: str) -> Record | None:
        """What is known of an asset, or None when it is not there; AssetError when its record is damaged."""
        path = self.folder / name / RECORD
        try:
            fields = json.loads(path.read_text(encoding="utf-8"))
            record = Record(**fields)
            if not all(isinstance(fields[k], str) for k in ("file", "sha256")) or record.name != name:
                raise ValueError("its fields are not those of a record")
        except FileNotFoundError:
            return None
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise AssetError(
                f"the record of the asset '{name}' is damaged ({path}): {error}", f"Remove {path.parent}."
            ) from error
        return record

    def file(self, record: Record) -> Path:
        """Where the file or folder of a record lies."""
        return Path(record.file) if record.linked else self.folder / record.name / record.file

    def names(self) -> list[str]:
        """Names of all assets that are there."""
        return sorted(path.parent.name for path in self.folder.glob(f"[!.]*/{RECORD}"))

    def path(self, uri: str, catalogue: Catalogue | None = None) -> Path:
        """What `asset://NAME` or `asset://NAME/inside` means; AssetError says how to get what is not there."""
        name, _, inside = uri.removeprefix(ASSET_SCHEME).partition("/")
        outside = inside.startswith("/") or ".." in PurePosixPath(inside).parts
        if not name or name.startswith(".") or "\\" in name or outside:
            raise AssetError(f"'{uri}' is not the address of an asset", "Write asset://NAME.")
        record = self.record(name)
        if record is None:
            entry = _entry(name, catalogue)
            raise AssetError(f"the asset '{name}' ({entry.file}) is not here", entry.how_to_get)
        path = self.file(record)
        if not path.exists():
            gone = "the file it is linked to is gone" if record.linked else "its file is gone"
            raise AssetError(f"the asset '{name}': {gone} ({path})", _entry(name, catalogue).how_to_get)
        if path.is_file() and path.stat().st_size != record.size:
            raise AssetError(
                f"the asset '{name}' has changed: it has {path.stat().st_size} bytes, and had {record.size}",
                f"'pie assets verify {name}' says more; get it again.",
            )
        if inside and not path.is_dir():
            raise AssetError(f"'{uri}': the asset '{name}' is one file, nothing is inside it")
        return path / inside if inside else path


def _entry(name: str, catalogue: Catalogue | None) -> Entry:
    return (load() if catalogue is None else catalogue).get(name)


def resolve(uri: str, sha256: str | None = None, folder: bool = False) -> Path:
    """The file that an asset's address means.

    Args:
        uri: `asset://NAME` for an asset of the catalogue that lies in the store, `asset://NAME/path` for a file inside
            one that is a folder, or what `pie_framework.files.addresses.resolve` takes.
        sha256: hexadecimal digest the file must have; not checked when None.
        folder: whether a folder will do as well as a file.

    Raises:
        AssetError: the file is absent, or the digest differs.
    """
    if not uri.startswith(ASSET_SCHEME):
        return addresses.resolve(uri, sha256, folder)
    return addresses.checked(Store().path(uri), uri, sha256, folder)
