"""OBJ meshes and npz archives that nobody vouches for."""

from __future__ import annotations

import contextlib
from pathlib import Path

import numpy as np
import pytest

from pie_facemodels import files
from pie_framework.errors import AssetError

MESH = b"""# a comment
mtllib nothing.mtl
v 0 0 0
v 1 0 0
v 1 1 0
v 0 1 1e-3
vt 0.5 0.5
usemtl skin
f 1/1 2/1 3/1 4/1
f -4 -3 -2
"""


def write(folder: Path, content: bytes) -> Path:
    path = folder / "mesh.obj"
    path.write_bytes(content)
    return path


def test_quads_become_triangles(tmp_path: Path) -> None:
    vertices, faces = files.read_obj(write(tmp_path, MESH), True)
    np.testing.assert_allclose(vertices, [[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 1e-3]])
    assert faces.tolist() == [[0, 1, 2], [0, 2, 3], [0, 1, 2]]
    again, none = files.read_obj(write(tmp_path, MESH.replace(b"\n", b"\r\n")), False)
    np.testing.assert_array_equal(again, vertices)
    assert none.shape == (0, 3)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "no vertices"),
        (b"vt 0 0\nf 1 1 1\n", "no vertices"),
        (b"v 1 2\nf 1 1 1\n", "three numbers"),
        (b"v a b c\n", "three numbers"),
        (b"v 1 2 \xff\xfe\n", "three numbers"),
        (b"v nan 0 0\nf 1 1 1\n", "not finite"),
        (b"v 1e999 0 0\nf 1 1 1\n", "not finite"),
        (MESH + b"f 1 2 9\n", "do not make"),
        (MESH + b"f 0 1 2\n", "do not make"),
        (MESH + b"f 1 2 -9\n", "do not make"),
        (MESH + b"f 1 2\n", "do not make"),
        (MESH + b"f 1 2 x\n", "not made of numbers"),
        (MESH + b"f 1 2 " + b"9" * 9000 + b"\n", "not made of numbers"),
        (b"v 0 0 0\n", "no faces"),
    ],
)
def test_damaged_meshes_are_refused(tmp_path: Path, content: bytes, message: str) -> None:
    with pytest.raises(AssetError, match=message):
        files.read_obj(write(tmp_path, content), True)


def test_sizes_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path, MESH)
    monkeypatch.setattr(files, "MAX_TRIANGLES", 1)
    with pytest.raises(AssetError, match="more than 1 triangles"):
        files.read_obj(path, True)
    monkeypatch.setattr(files, "MAX_VERTICES", 3)
    with pytest.raises(AssetError, match="4 vertices"):
        files.read_obj(path, True)
    monkeypatch.setattr(files, "MAX_OBJ", 10)
    with pytest.raises(AssetError, match="no mesh of a face"):
        files.read_obj(path, True)
    archive = tmp_path / "a.npz"
    np.savez(archive, one=np.zeros(1000))
    monkeypatch.setattr(files, "MAX_NPZ", 100)
    with pytest.raises(AssetError, match="unpacks"):
        files.read_npz(archive, ["one"])


def test_an_absent_file(tmp_path: Path) -> None:
    with pytest.raises(AssetError, match="cannot be read"):
        files.read_obj(tmp_path / "none.obj", False)


def test_archives_hold_plain_arrays(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    np.savez(path, one=np.arange(3), bad=np.array([{"a": 1}], dtype=object))
    assert files.read_npz(path, ["one"], ["two"])["one"].tolist() == [0, 1, 2]
    with pytest.raises(AssetError, match="lacks two"):
        files.read_npz(path, ["one", "two"])
    with pytest.raises(AssetError, match="plain arrays"):
        files.read_npz(path, ["bad"])
    for cut in (0, 10, path.stat().st_size // 2):
        damaged = tmp_path / "cut.npz"
        damaged.write_bytes(path.read_bytes()[:cut])
        with pytest.raises(AssetError):
            files.read_npz(damaged, ["one"])


@pytest.mark.parametrize("seed", range(4))
def test_damaged_archives_give_one_error(tmp_path: Path, seed: int) -> None:
    """Numpy and the unpackers raise many things: zlib.error, RuntimeError, TokenError ..."""
    rng = np.random.default_rng(seed)
    path = tmp_path / "a.npz"
    np.savez_compressed(path, one=rng.random(300))
    whole = path.read_bytes()
    refused = 0
    for _ in range(150):
        part = bytearray(whole)
        for place in rng.integers(min(len(part), 200), size=3) - rng.integers(2) * 200:
            part[place] = rng.integers(256)
        path.write_bytes(part)
        with contextlib.suppress(AssetError):
            files.read_npz(path, ["one"])
            refused -= 1
        refused += 1
    assert refused > 50


def test_shapes_and_kinds() -> None:
    array = np.zeros((4, 3))
    assert files.numbers(Path("x"), "a", array, (None, 3)) is array
    for wrong in (np.zeros((4, 2)), np.zeros(4), np.array([["a", "b", "c"]])):
        with pytest.raises(AssetError, match="expected numbers any x 3"):
            files.numbers(Path("x"), "a", wrong, (None, 3))


def test_the_cache_is_the_user_s(tmp_path: Path) -> None:
    folder = files.cache_folder({"XDG_CACHE_HOME": str(tmp_path), "LOCALAPPDATA": str(tmp_path)})
    assert folder.parts[-2:] == ("pie-framework", "face_models")
    files.write_cache(tmp_path / "deep" / "kept.npz", {"a": np.arange(3)})
    assert files.read_npz(tmp_path / "deep" / "kept.npz", ["a"])["a"].tolist() == [0, 1, 2]
    assert [p.name for p in (tmp_path / "deep").iterdir()] == ["kept.npz"]
    (tmp_path / "file").write_bytes(b"")
    files.write_cache(tmp_path / "file" / "kept.npz", {"a": np.arange(3)})
