"""Writes pickles and torch files by hand, as an attacker would; nothing here is read by Python's own unpickler."""

from __future__ import annotations

import io
import json
import pickle
import pickletools
import struct
import sys
import types
import warnings
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

STOP = b"."
MARK = b"("
TUPLE = b"t"
REDUCE = b"R"


def proto(version: int = 4) -> bytes:
    return b"\x80" + bytes([version])


def text(value: str) -> bytes:
    data = value.encode()
    return b"X" + struct.pack("<I", len(data)) + data


def raw(data: bytes) -> bytes:
    return b"B" + struct.pack("<I", len(data)) + data


def integer(value: int) -> bytes:
    data = value.to_bytes(max(1, value.bit_length() // 8 + 1), "little", signed=True)
    return b"\x8a" + bytes([len(data)]) + data


def glob(module: str, name: str) -> bytes:
    return b"c" + module.encode() + b"\n" + name.encode() + b"\n"


def stack_global(module: str, name: str) -> bytes:
    return text(module) + text(name) + b"\x93"


def tuple_of(*parts: bytes) -> bytes:
    return MARK + b"".join(parts) + TUPLE


def call(function: bytes, *arguments: bytes) -> bytes:
    return function + tuple_of(*arguments) + REDUCE


def whole(*parts: bytes) -> bytes:
    return proto() + b"".join(parts) + STOP


def storage(data: bytes) -> bytes:
    """A storage that carries a whole file."""
    return call(glob("torch.storage", "_load_from_bytes"), raw(data))


def tensor(
    store: bytes, size: tuple[int, ...], stride: tuple[int, ...] | None = None, offset: int = 0
) -> bytes:
    if stride is None:
        stride = tuple(torch.empty(size, device="meta").stride())
    return call(
        glob("torch._utils", "_rebuild_tensor_v2"),
        store,
        integer(offset),
        tuple_of(*map(integer, size)),
        tuple_of(*map(integer, stride)),
        b"\x89",
        call(glob("collections", "OrderedDict")),
    )


def array(dtype: str, shape: tuple[int, ...], data: bytes) -> bytes:
    """A pickled NumPy array; `data` is the instruction that makes its contents."""
    made = call(glob("numpy", "dtype"), text(dtype), b"\x89", b"\x88")
    empty = call(
        glob("numpy.core.multiarray", "_reconstruct"),
        glob("numpy", "ndarray"),
        tuple_of(integer(0)),
        raw(b"b"),
    )
    state = tuple_of(integer(1), tuple_of(*map(integer, shape)), made, b"\x89", data)
    return empty + state + b"b"


def floats(count: int) -> bytes:
    """A legacy file that holds a storage of `count` zeros."""
    out = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.save(torch.zeros(count).storage(), out, _use_new_zipfile_serialization=False)
    return out.getvalue()


def legacy(obj: Any) -> bytes:
    out = io.BytesIO()
    torch.save(obj, out, _use_new_zipfile_serialization=False)
    return out.getvalue()


def legacy_with(main: bytes) -> bytes:
    """A legacy torch file whose main pickle is `main`."""
    good = legacy({})
    at = [position for op, _, position in _ops(good) if op == "STOP"]
    return good[: at[2] + 1] + main + pickle.dumps([], 2)


def _ops(data: bytes) -> Iterator[tuple[str, Any, int]]:
    start = 0
    while start < len(data):
        for op, argument, position in pickletools.genops(data[start:]):
            yield op.name, argument, start + (position or 0)
        start += (position or 0) + 1


def torch_zip(
    main: bytes, members: dict[str, bytes] | None = None, method: int = zipfile.ZIP_STORED
) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("archive/data.pkl", main)
        archive.writestr("archive/byteorder", b"little")
        archive.writestr("archive/version", b"3\n")
        for name, data in (members or {}).items():
            archive.writestr(f"archive/{name}", data, compress_type=method)
    return out.getvalue()


def persistent_storage(numel: int, key: str = "0", kind: str = "FloatStorage") -> bytes:
    return tuple_of(text("storage"), glob("torch", kind), text(key), text("cpu"), integer(numel)) + b"Q"


def safetensors(header: object, body: bytes = b"", length: int | None = None) -> bytes:
    found = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(found) if length is None else length) + found + body


# ---- NVIDIA's module pickles ---------------------------------------------------------------------------------------


OWN = ("class_name", "init_args", "init_kwargs")


class Module:
    """A module as torch_utils.persistence pickles it."""

    def __init__(self, class_name: str, source: str, **attributes: Any) -> None:
        self.meta = {
            "type": "class",
            "version": 6,
            "module_src": source,
            "class_name": class_name,
            "state": attributes,
        }

    def __reduce__(self) -> Any:
        return sys.modules["torch_utils.persistence"]._reconstruct_persistent_obj, (self.meta,)


@contextmanager
def persistence() -> Iterator[None]:
    """Lets pickle write the name torch_utils.persistence._reconstruct_persistent_obj."""

    def reconstruct(meta: dict[str, Any]) -> None: ...

    module = types.ModuleType("torch_utils.persistence")
    reconstruct.__module__, reconstruct.__qualname__ = module.__name__, "_reconstruct_persistent_obj"
    module._reconstruct_persistent_obj = reconstruct  # type: ignore[attr-defined]
    sys.modules["torch_utils"], sys.modules[module.__name__] = types.ModuleType("torch_utils"), module
    try:
        yield
    finally:
        del sys.modules["torch_utils"], sys.modules[module.__name__]


def nvidia(
    state: dict[str, Tensor],
    attributes: dict[str, dict[str, Any]] | None = None,
    source: str = "# source\n",
    key: str | None = "G_ema",
    protocol: int = 4,
) -> bytes:
    """A network pickle of these tensors; `attributes` are those of modules by their full names."""
    tree: dict[str, Any] = {}
    for name, value in state.items():
        *path, last = name.split(".")
        node = tree
        for part in path:
            node = node.setdefault(part, {})
        node[last] = value

    def module(node: dict[str, Any], path: str) -> Module:
        own = {k: v for k, v in node.items() if not isinstance(v, dict)}
        below = {k: module(v, f"{path}.{k}".lstrip(".")) for k, v in node.items() if isinstance(v, dict)}
        others = {k: v for k, v in (attributes or {}).get(path, {}).items() if k not in OWN}
        return Module("Generator", source, **others, _parameters=own, _buffers={}, _modules=below)

    with persistence():
        network = module(tree, "")
        return pickle.dumps(network if key is None else {"G": None, "D": None, key: network}, protocol)


def replaced(data: bytes, change: Callable[[str, Any], bytes | None]) -> bytes:
    """A pickle with instructions replaced, and without frames; `change(op, argument)` gives None to keep one."""
    ops = [*pickletools.genops(data)]
    out = b""
    for (op, argument, position), after in zip(ops, [*ops[1:], (None, None, len(data))], strict=True):
        if op.name != "FRAME":
            new = change(op.name, argument)
            out += data[position : after[2]] if new is None else new
    return out
