from __future__ import annotations

import io
import json
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest

from pie_alignment.point_files import MAX_BYTES, read_points
from pie_framework.errors import InputError

POINTS = np.random.default_rng(0).uniform(20, 400, (68, 2)).round(3)


def pairs(points: np.ndarray = POINTS) -> list[list[float]]:  # type: ignore[type-arg]
    return points.tolist()  # type: ignore[no-any-return]


def table(separator: str, heading: str = "", index: bool = False) -> str:
    rows = [separator.join([*([str(i)] if index else []), f"{x}", f"{y}"]) for i, (x, y) in enumerate(POINTS)]
    return "\n".join([*([heading] if heading else []), *rows, ""])


def npz(**arrays: np.ndarray) -> bytes:  # type: ignore[type-arg]
    stream = io.BytesIO()
    np.savez_compressed(stream, **arrays)  # type: ignore[arg-type]
    return stream.getvalue()


def npy(values: np.ndarray, pickled: bool = False) -> bytes:  # type: ignore[type-arg]
    stream = io.BytesIO()
    np.save(stream, values, allow_pickle=pickled)
    return stream.getvalue()


GOOD: dict[str, bytes] = {
    "list.json": json.dumps(pairs()).encode(),
    "depth.json": json.dumps([[x, y, 0.1] for x, y in pairs()]).encode(),
    "objects.json": json.dumps({"points": [{"x": x, "y": y, "z": 1} for x, y in pairs()]}).encode(),
    "marked.json": b"\xef\xbb\xbf" + json.dumps({"landmarks": pairs()}).encode(),
    "a.npy": npy(POINTS),
    "columns.npy": npy(np.asfortranarray(POINTS)),
    "single.npy": npy(POINTS.astype(np.float32)[None]),
    "deep.npy": npy(np.concatenate([POINTS, POINTS[:, :1]], axis=1)),
    "one.npz": npz(anything=POINTS),
    "named.npz": npz(scores=np.ones(68), landmarks=POINTS),
    "blanks.txt": table("  ").encode(),
    "commas.csv": table(", ").encode(),
    "counted.csv": table(";", index=True).encode(),
    "headed.csv": table(",", "index,x,y", index=True).encode(),
    "remarks.txt": ("# made by hand\n" + table("\t")).encode(),
    "json called.csv": json.dumps(pairs()).encode(),
}


@pytest.mark.parametrize("name", GOOD)
def test_every_format_gives_the_points(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(GOOD[name])
    found = read_points(tmp_path / name)
    assert list(found) == [None]
    np.testing.assert_allclose(found[None], POINTS, atol=1e-4)


def test_pts_counts_from_one_and_the_origin_can_be_said(tmp_path: Path) -> None:
    path = tmp_path / "a.pts"
    path.write_text("version: 1\nn_points:  68\n{\n" + table(" ") + "}\n")
    np.testing.assert_allclose(read_points(path)[None], POINTS - 0.5)
    np.testing.assert_allclose(read_points(path, "corner")[None], POINTS)
    np.testing.assert_allclose(read_points(path, "centre")[None], POINTS + 0.5)


def test_points_of_several_photos(tmp_path: Path) -> None:
    path = tmp_path / "all.json"
    path.write_text(json.dumps({"a.jpg": pairs(), "b": {"points": pairs(POINTS[:5])}}))
    found = read_points(path)
    assert list(found) == ["a.jpg", "b"]
    assert found["b"].shape == (5, 2)


class _Runs:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        import os

        return os.system, ("touch executed",)


def _huge_npy() -> bytes:
    """Declares 10^12 numbers and holds three."""
    header = b"{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000000, 2), }"
    header += b" " * (64 - (10 + len(header) + 1) % 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + bytes(24)


def _zip_bomb() -> bytes:
    """33 MB of zeros in 33 kB."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("points.npy", npy(np.zeros((MAX_BYTES // 8 + 10, 1))))
    return stream.getvalue()


def _lzma() -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr("points.npy", npy(POINTS))
    return stream.getvalue()


def changed(row: int, value: object) -> bytes:
    points: list[list[object]] = [list(pair) for pair in pairs()]
    points[row][1] = value
    return json.dumps(points).encode()


BAD: dict[str, tuple[bytes, str]] = {
    "pickled array": (
        npy(np.array([_Runs()], dtype=object), pickled=True),
        "Python objects, which are never",
    ),
    "pickled array in npz": (npz(points=np.array([_Runs()], dtype=object)), "Python objects"),
    "pickle": (
        b"\x80\x04\x95\x1a\x00\x00\x00\x00\x00\x00\x00\x8c\x05posix\x94\x8c\x06system\x94\x93\x94.",
        "no file",
    ),
    "text as numbers": (npy(np.array(["a"] * 68)), "not numbers"),
    "complex numbers": (npy(POINTS.astype(complex)), "not numbers"),
    "declares too much": (_huge_npy(), "declares 2000000000000 numbers"),
    "zip bomb": (_zip_bomb(), "more than"),
    "other compression": (_lzma(), "compressed in a way"),
    "several arrays": (npz(a=POINTS, b=POINTS), "2 arrays and none is called"),
    "cut npy": (npy(POINTS)[:300], "declares 136 numbers"),
    "cut npz": (npz(points=POINTS)[:200], "no file of face points"),
    "header only": (npy(POINTS)[:20], "no file of face points"),
    "wrong shape": (npy(POINTS.T.copy()), r"shape is \(2, 68\)"),
    "flat": (npy(POINTS.ravel()), r"shape is \(136,\)"),
    "wrong count": (json.dumps(pairs()[:21]).encode(), "21 points.*5, 66, 68 or 478"),
    "468 points": (npy(np.ones((468, 2)) * 9), "468 points"),
    "none": (b"[]", "has 0 points"),
    "nan": (changed(7, float("nan")), "point 7 is not finite"),
    "infinite": (table(" ").replace(str(POINTS[3, 0]), "inf").encode(), "point 3 is not finite"),
    "overflow": (json.dumps(pairs()).replace(str(POINTS[2, 1]), "1e999").encode(), "point 2 is not finite"),
    "huge integer": (changed(2, 10**400), "no file of face points"),
    "string": (changed(2, "12"), "'12' where a number belongs"),
    "true": (changed(2, True), "where a number belongs"),
    "null": (changed(2, None), "where a number belongs"),
    "nested": (b"[" * 100_000, "no file of face points"),
    "one of nested": (b'{"a.jpg": 3}', "neither a list of points nor"),
    "empty": (b" \n", "it is empty"),
    "empty mapping": (b"{}", "it is empty"),
    "cut json": (json.dumps(pairs()).encode()[:-9], "no file of face points"),
    "picture": (b"\xff\xd8\xff\xe0\x00\x10JFIF\x00" + bytes(range(256)), "no file of face points"),
    "words": (b"to be or not to be\n", "'to' where a number belongs"),
    "ragged": (b"1 2\n3 4 5\n", "no file of face points"),
    "fractions": (json.dumps(pairs(POINTS / 500)).encode(), "fractions: multiply"),
    "pts count": (b"version: 1\nn_points: 5\n{\n1 2\n3 4\n}\n", "declares 5 points and has 2"),
    "pts braces": (b"version: 1\nn_points: 5\n1 2\n", "between braces"),
    "heading only": (b"x,y\n", "has 0 points"),
}


@pytest.mark.parametrize("kind", BAD)
def test_hostile_and_broken_files_give_one_clear_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.chdir(tmp_path)
    data, message = BAD[kind]
    path = tmp_path / "points.bin"
    path.write_bytes(data)
    with pytest.raises(InputError, match=message) as caught:
        read_points(path)
    assert "points.bin" in str(caught.value)
    assert len(str(caught.value)) < 1000
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize("name", ["list.json", "a.npy", "named.npz", "commas.csv"])
def test_truncation_gives_points_or_one_clear_error(tmp_path: Path, name: str) -> None:
    data, path, failures = GOOD[name], tmp_path / "cut", 0
    for part in range(50):
        path.write_bytes(data[: len(data) * part // 50])
        try:
            read_points(path)
        except InputError:
            failures += 1
    assert failures >= 48


def test_a_header_that_does_not_end(tmp_path: Path) -> None:
    """numpy's tokenizer has an error of its own for it."""
    data = GOOD["a.npy"]
    path = tmp_path / "a.npy"
    path.write_bytes(data[:10] + data[10:].replace(b"'shape': (", b"'shape': ((", 1))
    with pytest.raises(InputError, match="no file of face points"):
        read_points(path)


def test_missing_folder_and_too_large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match="no file of points"):
        read_points(tmp_path / "none.json")
    with pytest.raises(InputError, match="no file of points"):
        read_points(tmp_path)
    with (tmp_path / "large.json").open("wb") as stream:
        stream.truncate(MAX_BYTES + 1)
    with pytest.raises(InputError, match="at most"):
        read_points(tmp_path / "large.json")
