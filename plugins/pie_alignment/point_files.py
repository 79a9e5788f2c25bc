"""Reading face points from JSON, NumPy, .pts and text files. The kind is told by the content; nothing is executed."""

from __future__ import annotations

import json
import re
import tokenize
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from io import BytesIO
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pie_alignment.point_sets import COUNTS
from pie_framework.errors import InputError

FloatArray = NDArray[np.float64]
#: Points by the name of the photo's file; the key None where a file holds the points of one photo.
PointSets = dict["str | None", FloatArray]

#: Larger files are not read.
MAX_BYTES = 32 << 20
#: Endings of files of points, in the order in which a folder is searched.
SUFFIXES = (".json", ".npy", ".npz", ".pts", ".csv", ".txt")
#: Where coordinates are counted from, and what is added to them so that the origin is the top-left corner.
ORIGINS = {"corner": 0.0, "centre": 0.5, "one": -0.5}
_ARRAYS = ("points", "landmarks")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?|[+-]?(nan|inf|infinity)", re.IGNORECASE)


def read_points(path: Path, origin: str = "auto") -> PointSets:
    """The points in a file, in pixels from the top-left corner.

    Args:
        path: of the file.
        origin: what its coordinates count from: `corner`, `centre` (of the first pixel), `one` (that centre is 1, 1),
            or `auto`: `one` for .pts files, as iBUG's do, and `corner` for all others.

    Raises:
        InputError: the file is missing, too large, damaged, holds something else or a number of points that means
            nothing.
    """
    name = f"'{path}'"
    if not path.is_file():
        raise InputError(f"there is no file of points {name}", "Check landmarks.path.")
    size = path.stat().st_size
    if size > MAX_BYTES:
        raise InputError(f"{name} has {size:,} bytes", f"A file of points has at most {MAX_BYTES:,}.")
    data = path.read_bytes()
    try:
        kind, found = _parse(data)
    except (
        ValueError,
        TypeError,
        KeyError,
        EOFError,
        OSError,
        SyntaxError,
        RecursionError,
        OverflowError,
        MemoryError,
        NotImplementedError,
        tokenize.TokenError,
        zipfile.BadZipFile,
        zlib.error,
    ) as error:
        reason = str(error) or type(error).__name__
        raise InputError(
            f"{name} is no file of face points: {reason[:200]}",
            "docs/formats/landmarks.md shows the formats.",
        ) from None
    shift = ORIGINS[("one" if kind == "pts" else "corner") if origin == "auto" else origin]
    return {photo: _checked(points, name, photo) + shift for photo, points in found.items()}


def _checked(points: FloatArray, name: str, photo: str | None) -> FloatArray:
    where = name if photo is None else f"{name}, '{photo}'"
    if len(points) not in COUNTS:
        raise InputError(
            f"{where} has {len(points)} points",
            f"A face has {', '.join(map(str, COUNTS[:-1]))} or {COUNTS[-1]}; docs/formats/landmarks.md lists them.",
        )
    if not np.isfinite(points).all():
        rows = np.flatnonzero(~np.isfinite(points).all(axis=1))
        raise InputError(f"{where}: point {rows[0]} is not finite", "Every point needs an x and a y.")
    if float(points.min()) >= -0.5 and float(points.max()) <= 1.5:
        raise InputError(
            f"{where} has coordinates between 0 and 1",
            "They are fractions: multiply x by the photo's width and y by its height.",
        )
    return points


def _parse(data: bytes) -> tuple[str, PointSets]:
    if data.startswith(b"\x93NUMPY"):
        return "npy", {None: _pairs(_array(data))}
    if data.startswith(b"PK"):
        return "npz", {None: _pairs(_from_zip(data))}
    text = data.decode("utf-8-sig").strip()
    if not text:
        raise ValueError("it is empty")
    if re.match(r"(version|n_points)\b", text):
        return "pts", {None: _pts(text)}
    if text[0] in "[{":
        return "json", _json(json.loads(text))
    return "text", {None: _table(text)}


def _array(data: bytes) -> FloatArray:
    """A .npy file. Its declared size is compared with the bytes there are before anything is made."""
    stream = BytesIO(data)
    version = np.lib.format.read_magic(stream)
    if version == (1, 0):
        shape, by_column, dtype = np.lib.format.read_array_header_1_0(stream)
    elif version == (2, 0):
        shape, by_column, dtype = np.lib.format.read_array_header_2_0(stream)
    else:
        raise ValueError(f"version {version} of NumPy's format is not for arrays of numbers")
    if dtype.hasobject:
        raise ValueError("it holds Python objects, which are never loaded; save an array of numbers")
    if dtype.kind not in "fiu":
        raise ValueError(f"it holds {dtype}, not numbers")
    count, left = prod(shape), len(data) - stream.tell()
    if count * dtype.itemsize > left:
        raise ValueError(f"it declares {count} numbers of {dtype} but has {left} bytes")
    values = np.frombuffer(data, dtype, count, stream.tell()).astype(np.float64)
    return values.reshape(shape, order="F" if by_column else "C")


def _from_zip(data: bytes) -> FloatArray:
    """The one array of an .npz file, or the one called `points` or `landmarks`."""
    with zipfile.ZipFile(BytesIO(data)) as archive:
        entries = {
            e.filename.removesuffix(".npy"): e for e in archive.infolist() if e.filename.endswith(".npy")
        }
        name = next((n for n in _ARRAYS if n in entries), None)
        if name is None:
            if len(entries) != 1:
                raise ValueError(f"it has {len(entries)} arrays and none is called {' or '.join(_ARRAYS)}")
            name = next(iter(entries))
        entry = entries[name]
        if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise ValueError("it is compressed in a way that NumPy does not use")
        if entry.flag_bits & 1:
            raise ValueError("it is encrypted")
        with archive.open(entry) as stream:
            values = stream.read(MAX_BYTES + 1)
    if len(values) > MAX_BYTES:
        raise ValueError(f"its array '{name}' has more than {MAX_BYTES:,} bytes")
    return _array(values)


def _pts(text: str) -> FloatArray:
    """iBUG's .pts: `version: 1`, `n_points: N`, and N lines of x and y between braces."""
    body = re.search(r"\{([^{}]*)\}", text)
    if body is None:
        raise ValueError("its points are not between braces")
    points = _table(body[1])
    declared = re.search(r"n_points\s*:\s*(\d{1,9})\b", text)
    if declared is not None and int(declared[1]) != len(points):
        raise ValueError(f"it declares {declared[1]} points and has {len(points)}")
    return points


def _table(text: str) -> FloatArray:
    """Lines of `x y` or `index x y`, or columns under a heading with `x` and `y`; separated by commas or blanks."""
    lines = [line.split("#")[0].strip() for line in text.splitlines()]
    rows = [re.split(r"\s*[,;]\s*|\s+", line) for line in lines if line]
    if not rows:
        raise ValueError("it has no points")
    heading = [cell.strip("\"'").lower() for cell in rows[0]]
    columns: tuple[int, int] | None = None
    if "x" in heading and "y" in heading:
        columns, rows = (heading.index("x"), heading.index("y")), rows[1:]
    for number, row in enumerate(rows):
        for cell in row:
            if columns is None and not _NUMBER.fullmatch(cell):
                raise ValueError(f"row {number + 1} has '{cell[:40]}' where a number belongs")
    if columns is not None:
        if any(len(row) <= max(columns) for row in rows):
            raise ValueError("a row has no x or y")
        return np.array([[float(row[c]) for c in columns] for row in rows], dtype=np.float64).reshape(-1, 2)
    return _pairs(np.array([[float(cell) for cell in row] for row in rows], dtype=np.float64), indexed=True)


def _json(value: Any) -> PointSets:
    """A list of points, {"points": the list}, or {name of a photo: either of these, ...}."""
    if isinstance(value, Mapping):
        for key in _ARRAYS:
            if key in value:
                return {None: _list(value[key])}
        if not value:
            raise ValueError("it is empty")
        return {str(name): _list(_inner(points, str(name))) for name, points in value.items()}
    return {None: _list(value)}


def _inner(value: Any, name: str) -> Any:
    if isinstance(value, Mapping):
        for key in _ARRAYS:
            if key in value:
                return value[key]
    if not isinstance(value, list):
        raise ValueError(f"'{name[:40]}' is neither a list of points nor the name of a photo with one")
    return value


def _list(value: Any) -> FloatArray:
    if not isinstance(value, list):
        raise ValueError("the points are not a list")
    rows = [_row(point, number) for number, point in enumerate(value)]
    return np.array(rows, dtype=np.float64).reshape(-1, 2)


def _row(point: Any, number: int) -> tuple[float, float]:
    if isinstance(point, Mapping) and "x" in point and "y" in point:
        x, y = point["x"], point["y"]
    elif isinstance(point, Sequence) and not isinstance(point, str) and len(point) in (2, 3):
        x, y = point[0], point[1]
    else:
        raise ValueError(f'point {number} is neither [x, y] nor {{"x": ..., "y": ...}}')
    for coordinate in (x, y):
        if isinstance(coordinate, bool) or not isinstance(coordinate, (int, float)):
            raise ValueError(f"point {number} has {str(coordinate)[:40]!r} where a number belongs")
    return float(x), float(y)


def _pairs(values: FloatArray, indexed: bool = False) -> FloatArray:
    """(N, 2), or (N, 3) with a depth (which is left out) or, where `indexed`, a counting first column -> (N, 2)."""
    if values.ndim == 3 and len(values) == 1:
        values = values[0]
    if values.ndim != 2 or values.shape[1] not in (2, 3):
        raise ValueError(f"its shape is {values.shape}, not (N, 2)")
    if indexed and values.shape[1] == 3 and len(values) > 1 and (np.diff(values[:, 0]) == 1).all():
        return values[:, 1:]
    return values[:, :2]
