"""Reading numeric arrays out of MATLAB files of version 5 to 7.2, as data that nobody vouches for.

The format is a list of elements, each a type, a length in bytes and data, arrays being elements made of elements
(MathWorks, *MAT-File Format*). Every length is compared with the bytes that are there; compressed arrays are unpacked
only as far as their own dimensions say. Arrays of other kinds (texts, cells, structures, sparse ones) are passed over.

`scipy.io.loadmat` reads more, but is not made for such data: it takes the type numbers of a file as indices, and a file
with one wrong byte can end the process (scipy 1.17: 6 of 384 did).
"""

from __future__ import annotations

import itertools
import math
import os
import struct
import zlib
from collections.abc import Collection, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from pie_framework.errors import AssetError
from pie_weights.untrusted import open_bytes

Array = npt.NDArray[Any]

HEADER = 128
MATRIX, COMPRESSED = 14, 15
#: Types of stored numbers.
STORED = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
#: Classes of arrays of numbers; what is stored may be narrower.
CLASSES = {6: "f8", 7: "f4", 8: "i1", 9: "u1", 10: "i2", 11: "u2", 12: "i4", 13: "u4", 14: "i8", 15: "u8"}
#: Bytes of a compressed array that hold its flags, dimensions and name.
PREFACE = 4096


def read_mat(path: str | os.PathLike[str], names: Collection[str], most: int) -> dict[str, Array]:
    """The named arrays that the file has, in native byte order.

    Args:
        path: the file.
        names: of the arrays wanted.
        most: more numbers than this, in all of them together, are refused.

    Raises:
        AssetError: the file is absent, no MATLAB file of these versions, damaged, or claims more than it may.
    """
    data = open_bytes(path)
    mark = bytes(data[HEADER - 2 : HEADER])
    if mark not in (b"IM", b"MI"):
        raise AssetError(f"'{path}' is no MATLAB file of version 5 to 7.2")
    order = "<" if mark == b"IM" else ">"
    found: dict[str, Array] = {}
    try:
        for kind, body in _elements(data[HEADER:], order):
            if kind == COMPRESSED:
                body = _unpacked(body, order, names, most)
            elif kind != MATRIX:
                continue
            name, array = _matrix(body, order, names, most)
            if array is not None:
                found[name] = array
                most -= array.size
    except AssetError as error:
        raise AssetError(f"'{path}': {error.message}", error.hint) from error
    except (struct.error, ValueError, zlib.error, UnicodeDecodeError) as error:
        raise AssetError(f"'{path}' is damaged: {error}") from error
    return found


def _elements(data: memoryview, order: str) -> Iterator[tuple[int, memoryview]]:
    """Type and data of each element, one after the other."""
    at = 0
    while at + 8 <= len(data):
        kind, length = struct.unpack_from(order + "II", data, at)
        if kind >> 16:  # a small element: its data are in the tag
            kind, length, start, stop = kind & 0xFFFF, kind >> 16, at + 4, at + 8
            if length > 4:
                raise AssetError("it is damaged: a small element of more than four bytes")
        else:
            start = at + 8
            # Elements begin at multiples of eight bytes, but after compressed ones.
            stop = start + length + (0 if kind == COMPRESSED else -length % 8)
        if start + length > len(data):
            raise AssetError("it is damaged: it ends before its data do")
        yield kind, data[start : start + length]
        at = stop


def _unpacked(packed: memoryview, order: str, names: Collection[str], most: int) -> memoryview:
    """The body of a compressed array; of one that is not wanted, only its beginning."""
    stream = zlib.decompressobj()
    head = stream.decompress(packed, PREFACE)
    kind, length = struct.unpack_from(order + "II", head)
    if kind != MATRIX:
        return memoryview(b"")
    name, _, dimensions = _preface(memoryview(head)[8:], order)
    if name not in names:
        return memoryview(head)[8:]
    _bounded(name, dimensions, most)
    # Eight bytes a number at most, and what comes before the numbers.
    limit = min(length, 8 * math.prod(dimensions) + PREFACE)
    rest = stream.decompress(stream.unconsumed_tail, max(1, limit + 8 - len(head)))
    body = memoryview(head + rest)[8 : 8 + length]
    if len(body) < length:
        raise AssetError(f"the array '{name}' is damaged: its compressed data do not fit its dimensions")
    return body


def _preface(body: memoryview, order: str) -> tuple[str, int, tuple[int, ...]]:
    """Name, class and dimensions of an array; an empty name where there are none."""
    parts = _elements(body, order)
    try:
        (_, flags), (kind, sizes), (_, name) = next(parts), next(parts), next(parts)
    except StopIteration:
        return "", 0, ()
    if len(flags) < 4 or kind != 5:
        return "", 0, ()
    dimensions = struct.unpack(f"{order}{len(sizes) // 4}i", sizes[: len(sizes) // 4 * 4])
    (word,) = struct.unpack_from(order + "I", flags)
    # Complex arrays (flag 8) have a second part, and are no numbers of ours.
    return bytes(name).decode("ascii"), 0 if word & 0x800 else word & 0xFF, dimensions


def _matrix(body: memoryview, order: str, names: Collection[str], most: int) -> tuple[str, Array | None]:
    """Name and numbers of an array; None where it is not wanted or holds something else."""
    name, kind, dimensions = _preface(body, order)
    if name not in names:
        return name, None
    if kind not in CLASSES:
        raise AssetError(f"'{name}' is no array of real numbers")
    _bounded(name, dimensions, most)
    stored, data = next(itertools.islice(_elements(body, order), 3, None), (9, memoryview(b"")))
    if stored not in STORED:
        raise AssetError(f"'{name}' is stored in the unknown type {stored}")
    numbers = np.frombuffer(data, np.dtype(order + STORED[stored]))
    if len(numbers) != math.prod(dimensions):
        raise AssetError(f"'{name}' has {len(numbers)} numbers, its dimensions are {dimensions}")
    array = numbers.reshape(dimensions, order="F")
    return name, array.astype(np.dtype(CLASSES[kind]), copy=False)


def _bounded(name: str, dimensions: tuple[int, ...], most: int) -> None:
    if not 2 <= len(dimensions) <= 8 or min(dimensions) < 0 or math.prod(dimensions) > most:
        raise AssetError(f"'{name}' claims the dimensions {dimensions}, which is more than a face model has")
