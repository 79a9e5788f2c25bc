"""Reads pickles, files of torch.save and safetensors into plain data. PyTorch is imported when the first is read."""

from __future__ import annotations

import io
import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from pie_framework.errors import AssetError

from .records import Allowed, UntrustedFileError
from .source import TORCH_MAGIC, PathLike, explain, open_bytes, sniff_bytes

if TYPE_CHECKING:
    from torch import Tensor

    from .unpickling import Budget
    from .values import Declared

#: Most bytes of the directory of a zip file and of the header of a safetensors file.
DIRECTORY, HEADER = 2 << 20, 8 << 20


class SafeTensors(NamedTuple):
    """Contents of a safetensors file: tensors by name (views of the mapped file), and its texts."""

    tensors: dict[str, Tensor]
    metadata: dict[str, str]


def read_any(path: PathLike, *, allow: Allowed | None = None) -> Any:
    """A pickle or a file of torch.save (zip, or from before 1.6) as plain data.

    None, numbers, texts, bytes, lists, tuples, dictionaries and sets come as such, and so do tensors (NVIDIA's pickles
    carry their storages) and NumPy arrays of numbers. OrderedDict comes as dict, NumPy scalars as Python numbers, texts
    of Python 2 as Latin-1, storages without a tensor as 1-d tensors, byte strings from 4 KiB on as memoryview. Tensors
    are views of the mapped file wherever its bytes are aligned; clone what must outlive changes of the file.

    Args:
        path: the file; what it is shows its content.
        allow: further names, as "module.name": a function of the arguments, or None for an inert `Record`.

    Raises:
        AssetError: there is no such file.
        UntrustedFileError: it names or calls anything else, lies about sizes, or is damaged; one line says which.
    """
    with _one_error(path):
        data = open_bytes(path)
        kind = sniff_bytes(data)
        if kind not in ("pickle", "torch-zip", "torch-legacy"):
            other = f"is a {kind} file, neither a pickle nor a file of torch.save"
            raise UntrustedFileError(f"it {explain(data) if kind == 'unknown' else other}")
        from .unpickling import Budget, Source, Unpickler
        from .values import NAMES, Values

        # Several tensors may share a storage; small files are allowed some more.
        budget, allow = Budget(4 * len(data) + (16 << 20)), allow or {}
        if kind == "torch-zip":
            return _zip(data, budget, allow)
        if kind == "torch-legacy":
            return _legacy(data, budget, allow)
        content = Unpickler(Source(data, budget), NAMES | allow.keys()).load()
        return Values(budget, allow, {}, lambda inner: _legacy(inner, budget, {})).make(content)[0]


def read_safetensors(path: PathLike) -> SafeTensors:
    """Tensors and metadata of a safetensors file.

    Raises:
        AssetError: there is no such file.
        UntrustedFileError: its header does not fit its bytes.
    """
    with _one_error(path):
        data = open_bytes(path)
        if sniff_bytes(data) != "safetensors":
            raise UntrustedFileError(f"it is no safetensors file: it {explain(data)}")
        length = int.from_bytes(data[:8], "little")
        if length > HEADER:
            raise UntrustedFileError(f"its header has {length} bytes; at most {HEADER} are read")
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(str(path), framework="pt") as stream:
                return SafeTensors(
                    {name: stream.get_tensor(name) for name in stream.keys()},  # noqa: SIM118
                    stream.metadata() or {},
                )
        except SafetensorError as error:
            raise UntrustedFileError(f"it is cut off or damaged ({error})") from error


@contextmanager
def _one_error(path: PathLike) -> Iterator[None]:
    """One error whatever goes wrong, that names the file."""
    remedy = "Fetch it again from its source, and compare its checksum."
    try:
        yield
    except UntrustedFileError as error:
        raise UntrustedFileError(f"'{path}' was not loaded: {error.message}", error.hint or remedy) from error
    except AssetError:
        raise
    except (RecursionError, MemoryError) as error:
        raise UntrustedFileError(f"'{path}' was not loaded: it asks for too much memory", remedy) from error
    except Exception as error:
        raise UntrustedFileError(f"'{path}' was not loaded: it is damaged ({error})", remedy) from error


def _legacy(data: memoryview, budget: Budget, allow: Allowed) -> Any:
    """A file that torch.save wrote before 1.6, or the bytes of a pickled storage.

    Five pickles: a mark, the version, the machine, the content, the keys of the storages; then those one after another.
    """
    from .unpickling import Source, Unpickler
    from .values import NAMES, Values, declare, tensors

    if bytes(data[: len(TORCH_MAGIC)]) != TORCH_MAGIC:
        raise UntrustedFileError("what it carries in a storage was not written by torch.save")
    declared: Declared = {}
    source = Source(data, budget, len(TORCH_MAGIC))
    version, system = Unpickler(source, ()).load(), Unpickler(source, ()).load()
    if version != 1001 or not isinstance(system, dict) or system.get("little_endian") is not True:
        raise UntrustedFileError("its torch header is damaged, or from a machine of another byte order")
    content = Unpickler(source, NAMES | allow.keys(), partial(declare, declared)).load()
    parts: dict[str, memoryview] = {}
    for key in Unpickler(source, ()).load():
        if not isinstance(key, str) or key not in declared:
            raise UntrustedFileError("its list of storages does not fit its contents")
        dtype, count = declared[key]
        if int.from_bytes(source.view(8), "little") != count:
            raise UntrustedFileError("a storage in it has another length than announced")
        parts[key] = source.view(count * dtype.itemsize)
    return Values(budget, allow, tensors(declared, parts, budget)).make(content)[0]


def _zip(data: memoryview, budget: Budget, allow: Allowed) -> Any:
    """A file that torch.save writes today: data.pkl and a member for each storage."""
    from .unpickling import Source, Unpickler
    from .values import NAMES, Values, declare, tensors

    files = _members(data)
    roots = [name.removesuffix("data.pkl") for name in files if name.endswith("/data.pkl")]
    if len(roots) != 1:
        raise UntrustedFileError("it has no single data.pkl, so torch.save did not write it")
    if any(name.startswith(f"{roots[0]}code/") for name in files):
        raise UntrustedFileError(
            "it is a TorchScript archive, which is a program", "Use the file with the weights (a state dict)."
        )
    if files.get(f"{roots[0]}byteorder", b"little") != b"little":
        raise UntrustedFileError("it comes from a machine of another byte order")
    declared: Declared = {}
    source = Source(files[f"{roots[0]}data.pkl"], budget)
    content = Unpickler(source, NAMES | allow.keys(), partial(declare, declared)).load()
    parts = {name.removeprefix(f"{roots[0]}data/"): part for name, part in files.items()}
    return Values(budget, allow, tensors(declared, parts, budget)).make(content)[0]


def _members(data: memoryview) -> dict[str, memoryview]:
    """Name -> bytes of every member of a zip file that is not compressed."""
    import zipfile

    # Only the end is given to zipfile, which counts positions from there; so it reads no directory larger than this.
    start = max(0, len(data) - DIRECTORY)
    try:
        entries = zipfile.ZipFile(io.BytesIO(data[start:])).infolist()
    except (zipfile.BadZipFile, ValueError) as error:
        raise UntrustedFileError(f"it is cut off, or its directory is damaged ({error})") from error
    found: dict[str, memoryview] = {}
    spans: list[tuple[int, int]] = []
    for entry in entries:
        if (
            entry.compress_type != zipfile.ZIP_STORED
            or entry.file_size != entry.compress_size
            or entry.flag_bits & 1
        ):
            raise UntrustedFileError(
                f"its member '{entry.filename[:80]}' is compressed or encrypted",
                "torch.save never compresses; a file that does could unpack to any size.",
            )
        at = entry.header_offset + start
        head = bytes(data[at : at + 30]) if at >= 0 else b""
        begin = at + 30 + int.from_bytes(head[26:28], "little") + int.from_bytes(head[28:30], "little")
        if (
            not head.startswith(b"PK\x03\x04")
            or begin + entry.file_size > len(data)
            or entry.filename in found
        ):
            raise UntrustedFileError(f"its member '{entry.filename[:80]}' is not where its directory says")
        found[entry.filename] = data[begin : begin + entry.file_size]
        spans.append((at, begin + entry.file_size))
    if any(after[0] < before[1] for before, after in itertools.pairwise(sorted(spans))):
        raise UntrustedFileError("its members overlap")
    return found
