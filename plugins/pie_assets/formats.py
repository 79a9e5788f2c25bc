"""What a file is by its content, so that a login page or half a file is never kept as a checkpoint.

Only first and last bytes and declared lengths are looked at; nothing is loaded or unpickled.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from pathlib import Path

from pie_framework.assets.catalogue import FOLDER
from pie_framework.errors import AssetError

#: Bytes that are enough to tell what a file is.
HEAD = 1024
#: Legacy torch files begin with this pickled number.
_TORCH_LEGACY = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
_HDF5 = b"\x89HDF\r\n\x1a\n"
#: Longest header that a safetensors file may have, bytes.
_SAFETENSORS_HEADER = 100_000_000
#: What to do about a page in place of a file.
LOGIN = "Its address may ask for a login or a confirmation: open it in a browser, then 'pie assets add'."


def _zip(head: bytes) -> bool:
    return head.startswith(b"PK\x03\x04")


def _pickle(head: bytes) -> bool:
    """Protocol 2 and later; earlier ones start with a mark or a container."""
    if head[:1] == b"\x80":
        return 2 <= (head + b"\0")[1] <= 5
    return head.startswith((b"(d", b"(l", b"(i", b"cc", b"cn"))


def _torch(head: bytes) -> bool:
    return _zip(head) or head.startswith(_TORCH_LEGACY)


def _safetensors(head: bytes) -> bool:
    length = int.from_bytes(head[:8], "little")
    return len(head) > 8 and 2 <= length <= _SAFETENSORS_HEADER and head[8:9] == b"{"


def _mat(head: bytes) -> bool:
    return head.startswith((b"MATLAB 5.0", b"MATLAB 7.3", _HDF5))


#: By the names that catalogues use: what the beginning has to look like.
BEGINNINGS: dict[str, Callable[[bytes], bool]] = {
    "pickle": _pickle,
    "torch": _torch,
    "safetensors": _safetensors,
    "mat": _mat,
    "zip": _zip,
    "npz": _zip,
    "npy": lambda head: head.startswith(b"\x93NUMPY"),
}
#: Formats that are zip archives themselves, or may be.
ZIPPED = ("torch", "zip", "npz")


def page(head: bytes) -> bool:
    """Whether this is the beginning of a web page or of an error in XML."""
    start = head.removeprefix(b"\xef\xbb\xbf").lstrip()[:64].lower()
    return start.startswith((b"<!doctype", b"<html", b"<head", b"<?xml", b"<body", b"<script", b"<!--"))


def check_beginning(head: bytes, kind: str, what: str) -> None:
    """Raise AssetError when a file that begins like this cannot be of the kind.

    Args:
        head: the first bytes.
        kind: a name of BEGINNINGS.
        what: the file, for the message.
    """
    if not head:
        raise AssetError(f"{what} is empty, not a {kind} file", "Get it again.")
    if page(head):
        raise AssetError(
            f"{what} is a web page, not the file",
            LOGIN,
        )
    if not BEGINNINGS[kind](head):
        raise AssetError(
            f"{what} is not a {kind} file: it begins with {head[:12]!r}",
            "'pie assets show NAME' says which file it should be.",
        )


def check(path: Path, kind: str, what: str) -> None:
    """Raise AssetError when a file is not of the kind, or plainly not all of one."""
    if kind == FOLDER:
        if not path.is_dir():
            raise AssetError(f"{what} is not a folder")
        if not any(path.iterdir()):
            raise AssetError(f"{what} is an empty folder")
        return
    if path.is_dir():
        raise AssetError(f"{what} is a folder, not a {kind} file")
    with path.open("rb") as stream:
        head = stream.read(HEAD)
    check_beginning(head, kind, what)
    if not _complete(path, head):
        raise AssetError(f"{what} is cut short", "Get it again.")


def _complete(path: Path, head: bytes) -> bool:
    """Whether the end is there, for formats that say where it is; True for the others."""
    size = path.stat().st_size
    if _zip(head):
        return zipfile.is_zipfile(path)
    if _safetensors(head):
        return _safetensors_size(path, int.from_bytes(head[:8], "little")) == size
    if _pickle(head) and not head.startswith(_TORCH_LEGACY):
        with path.open("rb") as stream:
            stream.seek(-1, 2)
            return stream.read(1) == b"."
    return True


def _safetensors_size(path: Path, header: int) -> int:
    """Size that the header promises, bytes; -1 when it cannot be read."""
    with path.open("rb") as stream:
        stream.seek(8)
        try:
            tensors = json.loads(stream.read(header))
            ends = [t["data_offsets"][1] for name, t in tensors.items() if name != "__metadata__"]
        except (ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError):
            return -1
    return 8 + header + max(ends, default=0) if all(isinstance(end, int) for end in ends) else -1
