"""Safetensors files, read without trusting the header: a JSON object, then the numbers it describes.

Layout: 8 bytes length (little endian), the header, the data; every tensor has `dtype`, `shape` and `data_offsets`.
"""

from __future__ import annotations

import json
import math
from typing import Any, NamedTuple

import torch
from torch import Tensor

from .records import Limits, UntrustedFileError
from .source import explain, sniff_bytes
from .tensors import MAX_DIMENSIONS, item_size, view_of

DTYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U8": torch.uint8,
    "BOOL": torch.bool,
}


class SafeTensors(NamedTuple):
    """Contents of a safetensors file: tensors by name (views of the mapped file), and its texts."""

    tensors: dict[str, Tensor]
    metadata: dict[str, str]


def parse(data: memoryview, limits: Limits) -> SafeTensors:
    """Tensors and metadata.

    Raises:
        UntrustedFileError: anything in the header does not fit the bytes of the file.
    """
    if sniff_bytes(data) != "safetensors":
        raise UntrustedFileError(f"it {explain(data)}" if len(data) > 8 else "it is cut off")
    length = int.from_bytes(data[:8], "little")
    if length > limits.header:
        raise UntrustedFileError(f"its header has {length} bytes; at most {limits.header} are read")
    if length > len(data) - 8:
        raise UntrustedFileError(f"it is cut off: its header of {length} bytes is not all there")
    try:
        header = json.loads(
            str(data[8 : 8 + length], "utf-8"),
            object_pairs_hook=_unique,
            parse_int=_integer,
            parse_float=float,
        )
    except (ValueError, RecursionError) as error:
        raise UntrustedFileError(f"its header is damaged ({error})") from error
    if not isinstance(header, dict):
        raise UntrustedFileError("its header is damaged")
    metadata = header.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(v, str) for v in metadata.values()):
        raise UntrustedFileError("the texts in its header are damaged")
    body = data[8 + length :]
    spans: list[tuple[int, int]] = []
    tensors = {name: _tensor(name, entry, body, spans) for name, entry in header.items()}
    spans.sort()
    at = 0
    for begin, end in spans:
        if begin != at:
            raise UntrustedFileError("its tensors overlap or leave gaps")
        at = end
    if at != len(body):
        raise UntrustedFileError(
            f"it is cut off or too long: {at} bytes are described, {len(body)} are there"
        )
    return SafeTensors(tensors, metadata)


def _tensor(name: str, entry: Any, body: memoryview, spans: list[tuple[int, int]]) -> Tensor:
    shown = name[:80]
    if not isinstance(entry, dict) or set(entry) != {"dtype", "shape", "data_offsets"}:
        raise UntrustedFileError(f"the header's entry '{shown}' is damaged")
    kind, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    dtype = DTYPES.get(kind) if isinstance(kind, str) else None
    if dtype is None:
        raise UntrustedFileError(f"the numbers of '{shown}' are of the unknown kind {str(kind)[:40]!r}")
    if not isinstance(shape, list) or len(shape) > MAX_DIMENSIONS or not _sizes(shape):
        raise UntrustedFileError(f"the shape of '{shown}' is impossible")
    if not isinstance(offsets, list) or len(offsets) != 2 or not _sizes(offsets):
        raise UntrustedFileError(f"the place of '{shown}' is damaged")
    begin, end = offsets
    needed = math.prod(shape) * item_size(dtype)
    if not begin <= end <= len(body):
        raise UntrustedFileError(
            f"it is cut off or lies: '{shown}' should end at byte {end} of {len(body)} that are there"
        )
    if end - begin != needed:
        raise UntrustedFileError(f"'{shown}' needs {needed} bytes for its shape and has {end - begin}")
    spans.append((begin, end))
    return view_of(body[begin:end], dtype).reshape(shape)


def _sizes(values: list[Any]) -> bool:
    return all(type(n) is int and 0 <= n < 1 << 48 for n in values)


def _integer(word: str) -> int:
    if len(word) > 20:
        raise ValueError("a number in it is too long")
    return int(word)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name in it stands twice")
    return found
