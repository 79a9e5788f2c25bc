"""Filling the store: what comes in is checked, recorded, and moved to its place by a rename.

Beside what `pie_framework.assets.store` reads there are, while an asset is fetched or added:

    STORE/.partial/NAME       what is not complete yet
    STORE/.locks/NAME         held by the process that gets it
"""

from __future__ import annotations

import contextlib
import datetime
import os
import shutil
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from pie_assets import archives, formats
from pie_framework.assets.catalogue import Entry
from pie_framework.assets.store import ENVIRONMENT_VARIABLE, RECORD, Record, Store
from pie_framework.errors import AssetError
from pie_framework.files.addresses import digest, size
from pie_framework.files.io import write_json

#: What a digest was compared with when the asset came: FIRST_USE where the catalogue knew none.
BY_CATALOGUE, FIRST_USE, OVERRULED = "catalogue", "first use", "nothing: it differs from the catalogue's"


class WritableStore(Store):
    """The store, for those who fill it. Its folder is made when it is first written to."""

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
        packed = not link and entry.format not in formats.ZIPPED and source.is_file()
        member = archives.find(source, entry.file) if packed else None
        if member is None:
            formats.check(source, entry.format, f"'{source}'")
        with self.lock(entry.name):
            if link:
                return self._link(entry, source, trust)
            with self.temporary(entry.name) as folder:
                temporary = folder / "copy"
                try:
                    if member is not None:
                        archives.unpack_member(source, member, temporary)
                    elif source.is_dir():
                        shutil.copytree(source, temporary, ignore=shutil.ignore_patterns(".git"))
                    else:
                        shutil.copyfile(source, temporary)
                except (OSError, shutil.Error) as error:
                    raise AssetError(
                        f"'{source}' cannot be copied to {self.folder}: {_said(error)}"
                    ) from error
                return self.take(entry, temporary, str(source.resolve()), trust)

    def _link(self, entry: Entry, source: Path, trust: bool) -> Record:
        sha256, bytes_ = digest(source), size(source)
        checked = compare(entry, sha256, bytes_, f"'{source}'", trust)
        self._clear(entry)
        where = str(source.resolve())
        return self._write(Record(entry.name, where, bytes_, sha256, str(source), checked, linked=True))

    def take(self, entry: Entry, complete: Path, origin: str, trust: bool = False) -> Record:
        """Check a complete file or folder of this file system and move it to its place; needs the lock.

        Raises:
            AssetError: it is not what the catalogue says; it stays where it is.
        """
        what = f"what came from {origin}"
        formats.check(complete, entry.format, what)
        sha256, bytes_ = digest(complete), size(complete)
        checked = compare(entry, sha256, bytes_, what, trust)
        home = self.folder / entry.name
        try:
            if complete.is_file():
                with complete.open("r+b") as stream:
                    os.fsync(stream.fileno())
            home.mkdir(parents=True, exist_ok=True)
            self._clear(entry)
            complete.replace(home / entry.file)
        except OSError as error:
            raise AssetError(f"cannot write to {home}: {_said(error)}") from error
        return self._write(Record(entry.name, entry.file, bytes_, sha256, origin, checked))

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
        from filelock import FileLock, Timeout

        path = self.folder / ".locks" / name
        lock = FileLock(path, timeout=0)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            lock.acquire()
        except Timeout as error:
            raise AssetError(
                f"another process is getting the asset '{name}' right now", "Wait until it is done."
            ) from error
        except (OSError, NotImplementedError) as error:  # the latter where a file system knows no locks
            raise AssetError(
                f"cannot write to {self.folder}: {_said(error)}",
                f"Name a folder you may write to with {ENVIRONMENT_VARIABLE}.",
            ) from error
        try:
            yield
        finally:
            lock.release()

    @contextlib.contextmanager
    def temporary(self, name: str) -> Iterator[Path]:
        """An empty folder for what is not complete yet; needs the lock. What a killed process left there is removed."""
        path = self.folder / ".partial" / name
        _remove(path)
        path.mkdir(parents=True)
        try:
            yield path
        finally:
            _remove(path)

    def _clear(self, entry: Entry) -> None:
        (self.folder / entry.name / RECORD).unlink(missing_ok=True)
        _remove(self.folder / entry.name / entry.file)

    def _write(self, record: Record) -> Record:
        now = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")
        fields = {**asdict(record), "when": now}
        write_json(self.folder / record.name / RECORD, fields)
        return Record(**fields)


def compare(entry: Entry, sha256: str, bytes_: int, what: str, trust: bool) -> str:
    """BY_CATALOGUE, FIRST_USE or OVERRULED; AssetError when the catalogue knows better and `trust` is not given."""
    hint = (
        "It is damaged, or another version. Give trust=true to use it all the same, "
        "if you know where it comes from."
    )
    other_size = entry.size not in (None, bytes_)
    expected = entry.expects(sha256)
    if other_size and not trust:
        raise AssetError(f"{what} has {bytes_} bytes; '{entry.name}' has {entry.size}", hint)
    if expected is False and not trust:
        known = entry.sha256 or entry.sha256_prefix or ""
        raise AssetError(
            f"{what} is not '{entry.name}': its sha256 begins {sha256[:12]}, not {known[:12]}", hint
        )
    if expected is False or other_size:
        return OVERRULED
    return BY_CATALOGUE if expected else FIRST_USE


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _said(error: BaseException) -> str:
    return getattr(error, "strerror", None) or str(error)
