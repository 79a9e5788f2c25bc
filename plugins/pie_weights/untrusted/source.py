"""The bytes of a foreign file, and what kind of file they are. Imports no torch."""

from __future__ import annotations

import mmap
import os
from pathlib import Path

from pie_framework.errors import AssetError

from .records import UntrustedFileError

PathLike = str | os.PathLike[str]

TORCH_MAGIC = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."


def open_bytes(path: PathLike) -> memoryview:
    """The file, mapped into memory; writes to it stay private. It must not be truncated while it is in use.

    Raises:
        AssetError: it is not a readable file.
        UntrustedFileError: it is empty.
    """
    file = Path(path)
    if not file.is_file():
        what = "is a folder" if file.is_dir() else "is not a file" if file.exists() else "does not exist"
        raise AssetError(f"the file '{path}' {what}", "Check the path.")
    try:
        with file.open("rb") as stream:
            if os.fstat(stream.fileno()).st_size == 0:
                raise UntrustedFileError(f"'{path}' is empty", "Fetch it again.")
            return memoryview(mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_COPY))
    except OSError as error:
        raise AssetError(f"'{path}' cannot be read ({error.strerror})") from error


def sniff(path: PathLike) -> str:
    """What a file is by its content, never by its name.

    Returns:
        "safetensors", "torch-zip", "torch-legacy", "pickle", "npz", "zip", "mat5", "hdf5", or "unknown".
    """
    return sniff_bytes(open_bytes(path))


def sniff_bytes(data: memoryview) -> str:
    """As `sniff`, for bytes."""
    head = bytes(data[:512])
    if head.startswith(b"PK\x03\x04"):
        return _zip_kind(bytes(data[: 1 << 12]), bytes(data[-(1 << 16) :]))
    if head.startswith(TORCH_MAGIC):
        return "torch-legacy"
    if head.startswith(b"\x89HDF\r\n\x1a\n"):
        return "hdf5"
    if head.startswith(b"MATLAB 5.0 MAT-file"):
        return "mat5"
    if len(head) > 8 and head[8:9] == b"{" and 2 <= int.from_bytes(head[:8], "little") < 1 << 40:
        return "safetensors"
    if len(head) > 2 and head[0] == 0x80 and 2 <= head[1] <= 5:
        return "pickle"
    if head[:1] in (b"(", b"c", b"]", b"}") and bytes(data[-1:]) == b"." and b"\n" in head:
        return "pickle"
    return "unknown"


def _zip_kind(head: bytes, tail: bytes) -> str:
    if b"/data.pkl" in head or b"/data.pkl" in tail:
        return "torch-zip"
    return "npz" if b".npy" in head or b".npy" in tail else "zip"


_LOOKS = {
    b"version https://git-lfs": "is a Git LFS pointer, not the file: run 'git lfs pull' where it came from",
    b"\x1f\x8b": "is a gzip archive: unpack it first",
    b"BZh": "is a compressed archive: unpack it first",
    b"\xfd7zXZ\x00": "is a compressed archive: unpack it first",
    b"7z\xbc\xaf\x27\x1c": "is a compressed archive: unpack it first",
    b"\x28\xb5\x2f\xfd": "is a compressed archive: unpack it first",
    b"{": "is a JSON text, not a checkpoint",
    b"[": "is a JSON text, not a checkpoint",
}


def explain(data: memoryview) -> str:
    """What a file looks like that is of no kind a reader knows, for an error message."""
    head = bytes(data[:2048]).lstrip()
    lower = head[:1024].lower()
    if lower.startswith((b"<!doctype html", b"<html", b"<?xml")) or b"<head" in lower:
        return "is a web page, not a checkpoint: the download answered with a page instead of the file"
    if head[257:262] == b"ustar":
        return "is a tar archive: unpack it first"
    looks = (what for start, what in _LOOKS.items() if head.startswith(start))
    return next(looks, "is not in a format that is read here")
