"""MATLAB files as data: what scipy writes and reads, and files that lie about themselves."""

from __future__ import annotations

import struct
import tracemalloc
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pie_facemodels.mat_file import read_mat
from pie_framework.errors import AssetError

GOLDEN = Path(__file__).parents[2] / "golden" / "deep3d" / "BFM_model_front.mat"
HEADER = b"MATLAB 5.0 MAT-file".ljust(124) + b"\x00\x01IM"


def element(kind: int, body: bytes) -> bytes:
    return struct.pack("<II", kind, len(body)) + body + b"\0" * (-len(body) % 8)


def matrix(
    name: str, dimensions: tuple[int, ...], numbers: bytes, kind: int = 6, stored: int = 9, flags: int = 0
) -> bytes:
    parts = element(6, struct.pack("<II", kind | flags, 0))
    parts += element(5, struct.pack(f"<{len(dimensions)}i", *dimensions))
    return element(14, parts + element(1, name.encode()) + element(stored, numbers))


def write(tmp_path: Path, body: bytes) -> Path:
    path = tmp_path / "model.mat"
    path.write_bytes(HEADER + body)
    return path


def test_the_golden_file_is_read_as_scipy_reads_it() -> None:
    loadmat = pytest.importorskip("scipy.io").loadmat
    theirs = {name: value for name, value in loadmat(str(GOLDEN)).items() if not name.startswith("__")}
    ours = read_mat(GOLDEN, theirs, 10**7)
    assert ours.keys() == theirs.keys()
    for name, value in theirs.items():
        assert ours[name].dtype == value.dtype
        np.testing.assert_array_equal(ours[name], value)


@pytest.mark.parametrize("compressed", [False, True])
def test_every_type_of_number(tmp_path: Path, compressed: bool) -> None:
    scipy_io = pytest.importorskip("scipy.io")
    types = ("f8", "f4", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8")
    given: dict[str, Any] = {f"a_{t}": np.arange(12, dtype=t).reshape(3, 4) for t in types}
    given |= {"x": np.array([[3]]), "deep": np.arange(24.0).reshape(2, 3, 4), "empty": np.zeros((0, 3))}
    others = {"text": "hello", "cell": np.array([1, "two"], dtype=object), "record": {"a": 1}}
    scipy_io.savemat(tmp_path / "all.mat", {**others, **given}, do_compression=compressed)
    found = read_mat(tmp_path / "all.mat", given, 1000)
    assert found.keys() == given.keys()
    for name, value in given.items():
        np.testing.assert_array_equal(found[name], value)


def test_narrow_storage_and_the_other_byte_order(tmp_path: Path) -> None:
    """MATLAB stores whole doubles in few bytes; small elements hold their data in the tag."""
    path = write(tmp_path, matrix("x", (1, 3), bytes([1, 2, 3]), stored=2))
    np.testing.assert_array_equal(read_mat(path, ["x"], 9)["x"], [[1.0, 2.0, 3.0]])
    small = struct.pack("<HHI", 2, 3, 0x030201)
    parts = element(6, struct.pack("<II", 6, 0)) + element(5, struct.pack("<2i", 1, 3))
    path = write(tmp_path, element(14, parts + struct.pack("<HH4s", 1, 1, b"x") + small))
    np.testing.assert_array_equal(read_mat(path, ["x"], 9)["x"], [[1.0, 2.0, 3.0]])


LIES = {
    "more than allowed": (matrix("x", (1000, 1000), b"\0" * 64), "claims the dimensions"),
    "negative": (matrix("x", (-1, -8), b"\0" * 64), "claims the dimensions"),
    "overflowing": (matrix("x", (2**31 - 1, 2**31 - 1), b"\0" * 64), "claims the dimensions"),
    "too few numbers": (matrix("x", (3, 3), b"\0" * 64), "has 8 numbers"),
    "too long an element": (struct.pack("<II", 14, 2**31) + b"\0" * 64, "ends before its data"),
    "a length inside": (element(14, struct.pack("<II", 6, 2**31) + b"\0" * 64), "ends before its data"),
    "text": (matrix("x", (1, 8), b"\0" * 64, kind=4), "no array of real numbers"),
    "complex": (matrix("x", (1, 8), b"\0" * 64, flags=0x800), "no array of real numbers"),
    "unknown type": (matrix("x", (1, 8), b"\0" * 64, stored=77), "unknown type"),
    "a fat small element": (element(14, struct.pack("<HHI", 6, 9, 0) + b"\0" * 64), "small element"),
    "no zlib": (struct.pack("<II", 15, 40) + b"\1" * 40, "damaged"),
    "nothing inside": (element(14, b""), None),
    "short compressed": (
        struct.pack("<II", 15, len(zlib.compress(matrix("x", (10, 10), b"\0" * 800)[:500])))
        + zlib.compress(matrix("x", (10, 10), b"\0" * 800)[:500]),
        "do not fit",
    ),
}


@pytest.mark.parametrize("lie", LIES)
def test_lies(tmp_path: Path, lie: str) -> None:
    body, message = LIES[lie]
    path = write(tmp_path, body)
    if message is None:
        assert read_mat(path, ["x"], 10**5) == {}
    else:
        with pytest.raises(AssetError, match=message):
            read_mat(path, ["x"], 10**5)


@pytest.mark.parametrize("wanted", [True, False])
def test_a_bomb_is_not_unpacked(tmp_path: Path, wanted: bool) -> None:
    """64 MB of zeros in 64 kB, whose dimensions say 8 numbers: no more is unpacked than those need."""
    honest = matrix("x", (1, 8), b"\0" * 64)[8:]
    bomb = struct.pack("<II", 14, 1 << 26) + honest + b"\0" * ((1 << 26) - len(honest))
    packed = zlib.compress(bomb, 9)
    path = write(tmp_path, struct.pack("<II", 15, len(packed)) + packed)
    tracemalloc.start()
    try:
        if wanted:
            with pytest.raises(AssetError, match="do not fit"):
                read_mat(path, ["x"], 10**5)
        else:
            assert read_mat(path, ["y"], 10**5) == {}
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


def test_truncated_anywhere(tmp_path: Path) -> None:
    whole = GOLDEN.read_bytes()
    path = tmp_path / "cut.mat"
    for part in range(1, 50):
        path.write_bytes(whole[: part * len(whole) // 50])
        try:
            found = read_mat(path, ["meanshape", "keypoints"], 10**7)
        except AssetError:
            continue
        assert len(found) < 2


def test_damaged_anywhere(tmp_path: Path) -> None:
    """Whatever a byte of the headers becomes, it is read or refused."""
    whole = write(tmp_path, matrix("x", (1, 8), b"\0" * 64)).read_bytes()
    path = tmp_path / "damaged.mat"
    for at in range(126, len(whole) - 64):
        for value in (0, 1, 15, 127, 255):
            path.write_bytes(whole[:at] + bytes([value]) + whole[at + 1 :])
            try:
                found = read_mat(path, ["x"], 10**5)
            except AssetError:
                continue
            assert all(array.size <= 10**5 for array in found.values())


def test_other_files(tmp_path: Path) -> None:
    (tmp_path / "short").write_bytes(b"MATLAB")
    with pytest.raises(AssetError, match="no MATLAB file"):
        read_mat(tmp_path / "short", ["x"], 1)
    with pytest.raises(AssetError, match="does not exist"):
        read_mat(tmp_path / "absent", ["x"], 1)
