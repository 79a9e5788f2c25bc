"""The store: assets that were fetched or added, one folder each, in the user's data folder.

    STORE/NAME/FILE           the asset, complete and checked
    STORE/NAME/record.json    its size, digest and origin; an asset without a record is not there
    STORE/.partial/NAME       a download that is not complete yet
    STORE/.locks/NAME         held while an asset is fetched or added

A file takes its place by a rename after all checks, so that nothing half-written is ever read.
"""

from __future__ import annotations

import contextlib
import datetime
import json
import os
import shutil
import sys
import uuid
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath

from pie_framework.assets import formats
from pie_framework.assets.catalogue import Catalogue, Entry
from pie_framework.errors import AssetError
from pie_framework.files import addresses
from pie_framework.files.addresses import ASSET_SCHEME, digest, size

ENVIRONMENT_VARIABLE = "PIE_ASSETS"
#: Largest file that is taken out of an archive, bytes.
LARGEST = 8 << 30
RECORD = "record.json"
#: What a digest was compared with when the asset came.
BY_CATALOGUE, FIRST_USE, OVERRULED = "catalogue", "first use", "nothing: it differs from the catalogue's"


@dataclass(frozen=True)
class Record:
    """What is known of an asset in the store.

    Attributes:
        name: of the asset.
        file: name of its file or folder, beside the record; the whole path for a link.
        size: bytes.
        sha256: hexadecimal digest when it came.
        origin: the address or path that it came from.
        checked: BY_CATALOGUE; FIRST_USE where the catalogue knew no digest; OVERRULED where it differs from the one
            that the catalogue knew.
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


def default_folder(environment: Mapping[str, str] | None = None) -> Path:
    """PIE_ASSETS, or the folder for this program's data of this system's users."""
    env = os.environ if environment is None else environment
    if env.get(ENVIRONMENT_VARIABLE):
        return Path(env[ENVIRONMENT_VARIABLE]).expanduser()
    if sys.platform == "win32":
        base = Path(env.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Application Support"
    else:
        base = Path(env.get("XDG_DATA_HOME") or Path.home() / ".local" / "share")
    return base / "pie-framework" / "assets"


class Store:
    """Assets on this machine.

    Args:
        folder: where; `default_folder()` when None. It is made when first written to.
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
            raise self._absent(name, catalogue)
        path = self.file(record)
        if not path.exists():
            gone = "the file it is linked to is gone" if record.linked else "its file is gone"
            raise AssetError(f"the asset '{name}': {gone} ({path})", self._entry(name, catalogue).how_to_get)
        if path.is_file() and path.stat().st_size != record.size:
            raise AssetError(
                f"the asset '{name}' has changed: it has {path.stat().st_size} bytes, and had {record.size}",
                f"'pie assets verify {name}' says more; get it again.",
            )
        if inside and not path.is_dir():
            raise AssetError(f"'{uri}': the asset '{name}' is one file, nothing is inside it")
        return path / inside if inside else path

    def add(self, entry: Entry, source: Path, link: bool = False, trust: bool = False) -> Record:
        """Take in a file, or a folder, that lies on this machine.

        Args:
            entry: what it is meant to be.
            source: the file; it is copied. A zip archive that holds one file of the asset's name does as well.
            link: only point to it instead.
            trust: accept a digest or size that differs from the catalogue's.

        Raises:
            AssetError: it is not what the catalogue says, or cannot be copied.
        """
        source = source.expanduser()
        if not source.exists():
            raise AssetError(f"there is no file '{source}'")
        what = f"'{source}'"
        member = None if link else _packed(source, entry)
        if member is None:
            formats.check(source, entry.format, what)
        with self.lock(entry.name):
            if link:
                sha256, bytes_ = digest(source), size(source)
                checked = self.compare(entry, sha256, bytes_, what, trust)
                (self.folder / entry.name / RECORD).unlink(missing_ok=True)
                _remove(self.folder / entry.name / entry.file)
                return self._write(
                    Record(
                        entry.name, str(source.resolve()), bytes_, sha256, str(source), checked, linked=True
                    )
                )
            with self._temporary(entry.name) as temporary:
                try:
                    if member is not None:
                        _unpack(source, member, temporary)
                    elif source.is_dir():
                        shutil.copytree(source, temporary, ignore=shutil.ignore_patterns(".git"))
                    else:
                        shutil.copyfile(source, temporary)
                except (OSError, shutil.Error) as error:
                    raise AssetError(f"{what} cannot be copied to {self.folder}: {_said(error)}") from error
                return self.take(entry, temporary, str(source.resolve()), trust)

    def take(self, entry: Entry, complete: Path, origin: str, trust: bool = False) -> Record:
        """Check a complete file or folder of this file system and move it to its place; needs the lock.

        Raises:
            AssetError: it is not what the catalogue says; it stays where it is.
        """
        what = f"what came from {origin}"
        formats.check(complete, entry.format, what)
        sha256, bytes_ = digest(complete), size(complete)
        checked = self.compare(entry, sha256, bytes_, what, trust)
        home = self.folder / entry.name
        try:
            if complete.is_file():
                with complete.open("r+b") as stream:
                    os.fsync(stream.fileno())
            home.mkdir(parents=True, exist_ok=True)
            (home / RECORD).unlink(missing_ok=True)
            _remove(home / entry.file)
            complete.replace(home / entry.file)
        except OSError as error:
            raise AssetError(f"cannot write to {home}: {_said(error)}") from error
        return self._write(Record(entry.name, entry.file, bytes_, sha256, origin, checked))

    def compare(self, entry: Entry, sha256: str, bytes_: int, what: str, trust: bool) -> str:
        """BY_CATALOGUE, FIRST_USE or OVERRULED; AssetError when the catalogue knows better and `trust` is not given."""
        hint = (
            "It is damaged, or another version. Give trust=true to use it all the same, "
            "if you know where it comes from."
        )
        if entry.size is not None and bytes_ != entry.size and not trust:
            raise AssetError(f"{what} has {bytes_} bytes; '{entry.name}' has {entry.size}", hint)
        expected = entry.expects(sha256)
        if expected is False and not trust:
            known = entry.sha256 or entry.sha256_prefix or ""
            raise AssetError(
                f"{what} is not '{entry.name}': its sha256 begins {sha256[:12]}, not {known[:12]}", hint
            )
        if expected is False or (entry.size is not None and bytes_ != entry.size):
            return OVERRULED
        return BY_CATALOGUE if expected else FIRST_USE

    def verify(self, name: str) -> str | None:
        """Read an asset again; what is wrong with it in words, or None."""
        try:
            record = self.record(name)
            if record is None:
                return "it is not here"
            path = self.file(record)
            if not path.exists():
                return f"its file is gone ({path})"
            if (bytes_ := size(path)) != record.size:
                return f"it has {bytes_} bytes, and had {record.size} when it came"
            sha256 = digest(path)
        except (AssetError, OSError) as error:
            return str(error)
        if sha256 != record.sha256:
            return f"its sha256 begins {sha256[:12]}, and began {record.sha256[:12]} when it came"
        return None

    @contextlib.contextmanager
    def lock(self, name: str) -> Iterator[None]:
        """Held by one process at a time; AssetError when another has it. The system frees it when a process dies."""
        path = self.folder / ".locks" / name
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            stream = path.open("a+b")
        except OSError as error:
            raise AssetError(
                f"cannot write to {self.folder}: {_said(error)}",
                f"Name a folder you may write to with {ENVIRONMENT_VARIABLE}.",
            ) from error
        with stream:
            if not _try_lock(stream.fileno()):
                raise AssetError(
                    f"another process is getting the asset '{name}' right now", "Wait until it is done."
                )
            yield

    def partial(self, name: str) -> Path:
        """Where a download of an asset grows."""
        return self.folder / ".partial" / name

    @contextlib.contextmanager
    def _temporary(self, name: str) -> Iterator[Path]:
        path = self.folder / ".partial" / f"{name}-{uuid.uuid4().hex[:12]}"
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield path
        finally:
            _remove(path)

    def _write(self, record: Record) -> Record:
        from pie_framework.files.io import write_json

        now = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")
        fields = {**asdict(record), "when": now}
        write_json(self.folder / record.name / RECORD, fields)
        return Record(**fields)

    def _absent(self, name: str, catalogue: Catalogue | None) -> AssetError:
        entry = self._entry(name, catalogue)
        return AssetError(f"the asset '{name}' ({entry.file}) is not here", entry.how_to_get)

    def _entry(self, name: str, catalogue: Catalogue | None) -> Entry:
        from pie_framework.assets.catalogue import load

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


def _packed(source: Path, entry: Entry) -> str | None:
    """The one file of the asset's name in a zip archive, as its publishers hand it out; None where there is no such."""
    if entry.format in formats.ZIPPED or not zipfile.is_zipfile(source):
        return None
    try:
        with zipfile.ZipFile(source) as archive:
            fitting = [name for name in archive.namelist() if PurePosixPath(name).name == entry.file]
    except formats.ZIP_DAMAGE as error:
        raise AssetError(f"'{source}' cannot be unpacked: {error}", "Get it again.") from error
    if len(fitting) > 1:
        raise AssetError(
            f"'{source}' holds several files named '{entry.file}'", "Unpack it and give the right one."
        )
    return fitting[0] if fitting else None


def _unpack(source: Path, member: str, target: Path) -> None:
    try:
        with zipfile.ZipFile(source) as archive, archive.open(member) as packed, target.open("wb") as sink:
            left = LARGEST
            while block := packed.read(1 << 20):
                left -= len(block)
                if left < 0:
                    raise AssetError(f"'{member}' in '{source}' is larger than {LARGEST} bytes")
                sink.write(block)
    except formats.ZIP_DAMAGE as error:
        raise AssetError(f"'{member}' in '{source}' cannot be unpacked: {error}") from error


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _said(error: BaseException) -> str:
    return getattr(error, "strerror", None) or str(error)


def _try_lock(descriptor: int) -> bool:
    """Lock an open file without waiting; False when another process has it."""
    try:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
