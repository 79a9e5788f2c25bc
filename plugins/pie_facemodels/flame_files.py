"""FLAME's files as arrays: the published pickle or an npz, and the landmark embedding; nothing in them is run."""

from __future__ import annotations

import ast
import math
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from pie_facemodels import files
from pie_framework.errors import AssetError
from pie_weights.untrusted import Allowed, Record, open_bytes, read_any, sniff

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float64]
Index = npt.NDArray[np.int64]

KEYS = ("v_template", "shapedirs", "posedirs", "J_regressor", "weights", "f", "kintree_table")
#: Root, neck, jaw, left eye, right eye.
JOINTS = 5
CHUMPY, SELECT = "chumpy.ch.Ch", "chumpy.reordering.Select"
SPARSE = tuple(f"scipy.sparse.{m}.{kind}_matrix" for kind in ("csc", "csr") for m in (kind, f"_{kind}"))
_ALLOWED: Allowed = dict.fromkeys((CHUMPY, SELECT, *SPARSE))
_RECONSTRUCT = ("numpy.core.multiarray._reconstruct", "numpy._core.multiarray._reconstruct")


@dataclass(frozen=True)
class FlameArrays:
    """The model as its file holds it, in metres, V vertices.

    Attributes:
        template: (V, 3).
        faces: (F, 3).
        shapes: (V, 3, n) offsets per standard deviation: shape, then expression.
        poses: (V, 3, 36) offsets per entry of the rotation matrices, less the identity, of all joints but the root.
        regressor: (5, V) joints as weighted sums of vertices.
        parents: of the joints 1 to 4.
        weights: (V, 5) how far each vertex follows each joint.
    """

    template: Floats
    faces: Index
    shapes: Floats
    poses: Floats
    regressor: Floats
    parents: tuple[int, ...]
    weights: Floats


@dataclass(frozen=True)
class Embedding:
    """The 68 Multi-PIE landmarks on triangles.

    Attributes:
        static_faces, static_weights: (51,), (51, 3) all but the contour.
        contour_faces, contour_weights: (n, 17), (n, 17, 3) the contour by yaw: 0 to (n - 1) / 2 degrees, then -1 down.
    """

    static_faces: Index
    static_weights: Floats
    contour_faces: Index
    contour_weights: Floats


def read_flame(path: Path) -> FlameArrays:
    """FLAME 2020 or 2023 from its pickle (chumpy and scipy objects are read as data) or an npz with the same keys.

    Raises:
        AssetError: it is something else, damaged, or its arrays do not fit together.
    """
    with files.damage(path, "is damaged"):
        if sniff(path) == "npz":
            return _checked(path, _npz(path))
        content = read_any(path, allow=_ALLOWED)
        if not isinstance(content, dict):
            raise AssetError(f"'{path}' is no FLAME model: it holds no dictionary")
        missing = [key for key in KEYS if key not in content]
        if missing:
            raise AssetError(f"'{path}' is no FLAME model: it lacks {', '.join(missing)}")
        return _checked(path, {key: _array(path, key, content[key]) for key in KEYS})


def _npz(path: Path) -> dict[str, Array]:
    """The arrays of an npz; the regressor may be there in the parts of a sparse matrix, as scipy writes them."""
    parts = [f"J_regressor_{part}" for part in ("data", "indices", "indptr", "shape")]
    plain = [key for key in KEYS if key != "J_regressor"]
    arrays = files.read_npz(path, plain, ["J_regressor", *parts])
    if "J_regressor" not in arrays:
        if not all(part in arrays for part in parts):
            raise AssetError(f"'{path}' lacks J_regressor")
        state = dict(zip(("data", "indices", "indptr", "_shape"), (arrays[p] for p in parts), strict=True))
        state["_shape"] = tuple(int(n) for n in np.asarray(state["_shape"]).reshape(-1)[:2])  # type: ignore[assignment]
        arrays["J_regressor"] = _dense(path, Record(SPARSE[0], (), state))
    return arrays


def _array(path: Path, key: str, value: Any, depth: int = 0) -> Array:
    """An array out of what the pickle has in its place."""
    if isinstance(value, np.ndarray):
        return value
    if isinstance(value, Record) and isinstance(value.state, dict) and depth < 4:
        if value.name in SPARSE:
            return _dense(path, value)
        if value.name == SELECT and {"a", "idxs"} <= value.state.keys():
            flat = _array(path, key, value.state["a"], depth + 1).reshape(-1)
            index = _array(path, key, value.state["idxs"], depth + 1)
            if index.dtype.kind not in "iu" or not index.size or index.min() < 0 or index.max() >= flat.size:
                raise AssetError(f"'{path}': {key} selects what is not there")
            shape = value.state.get("preferred_shape") or (index.size,)
            if not isinstance(shape, tuple) or math.prod(shape) != index.size:
                raise AssetError(f"'{path}': {key} has a damaged shape")
            return np.asarray(flat[index.reshape(-1)].reshape(shape))
        if value.name == CHUMPY and "x" in value.state:
            return _array(path, key, value.state["x"], depth + 1)
    raise AssetError(f"'{path}': {key} is no array")


def _dense(path: Path, value: Record) -> Floats:
    """A scipy sparse matrix, written out."""
    state = value.state
    shape = state.get("_shape", state.get("shape"))
    data, indices, ends = (state.get(name) for name in ("data", "indices", "indptr"))
    kinds = ((data, "fiu"), (indices, "iu"), (ends, "iu"))
    plain = all(isinstance(a, np.ndarray) and a.ndim == 1 and a.dtype.kind in kind for a, kind in kinds)
    if not plain or not (
        isinstance(shape, tuple)
        and len(shape) == 2
        and all(type(n) is int and 0 < n <= 1 << 21 for n in shape)
    ):
        raise AssetError(f"'{path}': the sparse matrix in it is damaged")
    assert data is not None and indices is not None and ends is not None
    if shape[0] * shape[1] > 1 << 24:
        raise AssetError(f"'{path}': the sparse matrix in it is too large for FLAME's joints: {shape}")
    by_column = "csc" in value.name
    outer, inner = (shape[1], shape[0]) if by_column else shape
    counts = np.diff(ends.astype(np.int64))
    fits = (
        len(ends) == outer + 1
        and ends[0] == 0
        and int(ends[-1]) == len(data) == len(indices)
        and bool((counts >= 0).all())
        and (not len(indices) or (int(indices.min()) >= 0 and int(indices.max()) < inner))
    )
    if not fits:
        raise AssetError(f"'{path}': the sparse matrix in it is damaged")
    dense = np.zeros((outer, inner))
    np.add.at(dense, (np.repeat(np.arange(outer), counts), indices.astype(np.int64)), data)
    return dense.T if by_column else dense


def _checked(path: Path, arrays: Mapping[str, Array]) -> FlameArrays:
    template = files.numbers(path, "v_template", arrays["v_template"], (None, 3)).astype(np.float64)
    count = len(template)
    if not 3 <= count <= files.MAX_VERTICES:
        raise AssetError(f"'{path}' has {count} vertices")
    shapes = files.numbers(path, "shapedirs", arrays["shapedirs"], (count, 3, None)).astype(np.float64)
    wide = 9 * (JOINTS - 1)
    poses = files.numbers(path, "posedirs", arrays["posedirs"], (count, 3, wide)).astype(np.float64)
    regressor = files.numbers(path, "J_regressor", arrays["J_regressor"], (JOINTS, count)).astype(np.float64)
    weights = files.numbers(path, "weights", arrays["weights"], (count, JOINTS)).astype(np.float64)
    faces = files.numbers(path, "f", arrays["f"], (None, 3)).astype(np.int64)
    tree = files.numbers(path, "kintree_table", arrays["kintree_table"], (2, JOINTS))
    parents = tuple(int(parent) for parent in tree[0, 1:])
    if not all(0 <= parent < joint for joint, parent in enumerate(parents, start=1)):
        raise AssetError(f"'{path}': its joints {parents} are no tree")
    if not faces.size or faces.min() < 0 or faces.max() >= count:
        raise AssetError(f"'{path}': f names vertices beyond its {count}")
    for key, value in (("v_template", template), ("shapedirs", shapes), ("posedirs", poses),
                       ("J_regressor", regressor), ("weights", weights)):  # fmt: skip
        if not np.isfinite(value.sum()):
            raise AssetError(f"'{path}': {key} holds values that are not finite")
    return FlameArrays(template, faces, shapes, poses, regressor, parents, weights)


def read_embedding(path: Path, faces: int) -> Embedding:
    """The 68-point landmark embedding: `landmark_embedding.npy` (a dictionary, pickled) or an npz with the same keys.

    Args:
        path: the file.
        faces: of the model that the landmarks lie on.

    Raises:
        AssetError: it is something else, or names faces that do not exist.
    """
    with files.damage(path, "is damaged"):
        return _embedding(path, faces)


def _embedding(path: Path, faces: int) -> Embedding:
    keys = (
        "static_lmk_faces_idx",
        "static_lmk_bary_coords",
        "dynamic_lmk_faces_idx",
        "dynamic_lmk_bary_coords",
    )
    if sniff(path) == "npz":
        content: Mapping[str, Any] = files.read_npz(path, [], [*keys, "lmk_face_idx"])
    else:
        content = _pickled_npy(path)
    if any(key not in content for key in keys):
        hint = (
            "This is the embedding of MediaPipe's points, which have no contour of the jaw; use landmark_embedding.npy."
            if "lmk_face_idx" in content
            else f"It needs {', '.join(keys)}."
        )
        raise AssetError(f"'{path}' is not FLAME's 68-point landmark embedding", hint)
    found = [np.asarray(_plain(content[key])) for key in keys]
    static, static_weights, contour, contour_weights = found
    bins = len(contour)
    files.numbers(path, keys[0], static, (51,))
    files.numbers(path, keys[1], static_weights, (51, 3))
    files.numbers(path, keys[2], contour, (None, 17))
    files.numbers(path, keys[3], contour_weights, (bins, 17, 3))
    if bins % 2 == 0:
        raise AssetError(f"'{path}': the contour is given for {bins} angles, which is no odd number")
    for key, index, weight in ((keys[0], static, static_weights), (keys[2], contour, contour_weights)):
        if not (index.min() >= 0 and index.max() < faces):
            raise AssetError(f"'{path}': {key} names faces beyond the model's {faces}")
        if not np.isfinite(weight.astype(np.float64).sum()):
            raise AssetError(f"'{path}': the weights of {key} are not finite")
    return Embedding(
        static.astype(np.int64),
        static_weights.astype(np.float64),
        contour.astype(np.int64),
        contour_weights.astype(np.float64),
    )


def _plain(value: Any) -> Any:
    return value.numpy() if isinstance(value, torch.Tensor) else value


def _pickled_npy(path: Path) -> dict[str, Any]:
    """The dictionary in an .npy file of Python objects: its pickle is read as data, not run."""
    data = open_bytes(path)
    head = bytes(data[:10])
    if not head.startswith(b"\x93NUMPY") or len(head) < 10:
        raise AssetError(f"'{path}' is no .npy or .npz file")
    wide = head[6] >= 2
    length = int.from_bytes(data[8 : 12 if wide else 10], "little")
    start = (12 if wide else 10) + length
    try:
        header = ast.literal_eval(bytes(data[12 if wide else 10 : min(start, 4096)]).decode("latin-1"))
        described = (header["descr"], header["shape"])
    except (ValueError, SyntaxError, TypeError, KeyError, MemoryError, RecursionError) as error:
        raise AssetError(f"'{path}' has a damaged header") from error
    if described != ("|O", ()) or start >= len(data):
        raise AssetError(f"'{path}' holds an array, not the dictionary of a landmark embedding")
    allow: Allowed = dict.fromkeys((*_RECONSTRUCT, "numpy.dtype"), None)
    with tempfile.TemporaryDirectory() as folder:
        inside = Path(folder) / path.name
        inside.write_bytes(data[start:])
        outer = _array_of(path, read_any(inside, allow=allow))
    if not isinstance(outer, list) or len(outer) != 1 or not isinstance(outer[0], dict):
        raise AssetError(f"'{path}' holds no dictionary")
    return {str(key): _array_of(path, value) for key, value in outer[0].items()}


def _array_of(path: Path, value: Any) -> Any:
    """A NumPy array that came as an inert record: its numbers, or the list of its objects; other values as they are."""
    if not isinstance(value, Record) or value.name not in _RECONSTRUCT:
        return value
    state = value.state
    dtype = state[2] if isinstance(state, tuple) and len(state) == 5 else None
    if not isinstance(dtype, Record) or not dtype.args or not isinstance(dtype.state, tuple):
        raise AssetError(f"'{path}' holds a damaged array")
    shape, data, code = state[1], state[4], str(dtype.args[0])
    if code.startswith("O"):
        return data if isinstance(data, list) else None
    if code not in ("f4", "f8", "i4", "i8", "u4", "u8") or dtype.state[1] not in ("<", ">"):
        raise AssetError(f"'{path}' holds an array of the unknown kind {code[:20]!r}")
    raw = data.encode("latin-1") if isinstance(data, str) else data
    kind = np.dtype(f"{dtype.state[1]}{code}")
    fits = (
        isinstance(raw, bytes | memoryview)
        and isinstance(shape, tuple)
        and all(type(n) is int and n >= 0 for n in shape)
        and math.prod(shape) * kind.itemsize == len(raw)
    )
    if not fits:
        raise AssetError(f"'{path}' holds an array whose size is not what it says")
    return (
        np.frombuffer(raw, kind).reshape(shape, order="F" if state[3] else "C").astype(kind.newbyteorder("="))
    )
