"""Reading `BFM_model_front.mat`, the Basel Face Model as Deep3DFaceRecon rearranges it, or an .npz of its arrays."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pie_facemodels.conventions import multi_pie_66
from pie_facemodels.files import read_npz
from pie_facemodels.mat_file import read_mat
from pie_facemodels.morphable import MorphableData
from pie_framework.errors import AssetError
from pie_weights.untrusted import sniff

Array = npt.NDArray[Any]

#: The arrays that are read, and whether the model cannot do without.
ARRAYS = {
    "meanshape": True,  # (1, 3V) decimetres, x y z of vertex after vertex
    "idBase": True,  # (3V, n) per standard deviation
    "exBase": True,  # (3V, m)
    "meantex": True,  # (1, 3V) RGB, 0 to 255
    "texBase": True,  # (3V, k)
    "tri": True,  # (F, 3) vertices, counted from 1
    "keypoints": True,  # (1, 68) vertices, counted from 1
    "tri_mask2": False,  # (F', 3) the smaller region for photometric losses
}
#: More numbers than this are no face model (the real file has 25 million).
MOST_NUMBERS = 200_000_000
HINT = "face_model.path is the file that Deep3DFaceRecon_pytorch calls BFM_model_front.mat (docs/formats/bfm.md)."


def read_bfm(path: str | os.PathLike[str], region: str = "front") -> MorphableData:
    """The face model of a file, centred on the mean of its vertices, in decimetres.

    Args:
        path: the file; what it is shows in its content, not in its name.
        region: "front" for the file's own smaller region, "whole" for everything.

    Raises:
        AssetError: it is another file, damaged, or its arrays do not fit together.
    """
    where = Path(path).name
    kind = sniff(path)
    if kind == "mat5":
        arrays = read_mat(path, ARRAYS, MOST_NUMBERS)
    elif kind == "npz":
        needed = [name for name, always in ARRAYS.items() if always]
        arrays = read_npz(Path(path), needed, [name for name in ARRAYS if name not in needed])
    elif kind == "hdf5":
        raise AssetError(
            f"{where} is a MATLAB file of version 7.3 (HDF5)",
            "Save it again with MATLAB's '-v7', or as .npz.",
        )
    else:
        raise AssetError(f"{where} is neither a MATLAB file nor an .npz", HINT)
    missing = [name for name, needed in ARRAYS.items() if needed and name not in arrays]
    if missing:
        raise AssetError(f"{where} lacks {', '.join(missing)}", HINT)
    for name, array in arrays.items():
        if array.dtype.kind not in "fiu":
            raise AssetError(f"{where}: '{name}' holds {array.dtype}, not numbers", HINT)
    return _assemble(arrays, where, region)


def _assemble(arrays: Mapping[str, Array], where: str, region: str) -> MorphableData:
    mean = _floats(arrays["meanshape"], where, "meanshape").reshape(-1)
    if not len(mean) or len(mean) % 3:
        raise AssetError(f"{where}: 'meanshape' has {len(mean)} numbers, which are no points (x, y, z)", HINT)
    count = len(mean) // 3
    points = mean.reshape(count, 3).astype(np.float64)
    albedo = _floats(arrays["meantex"], where, "meantex").reshape(-1)
    if len(albedo) != len(mean):
        raise AssetError(f"{where}: 'meantex' has {len(albedo)} numbers for {count} vertices", HINT)
    faces = _indices(arrays["tri"], where, "tri", count)
    keypoints = _indices(arrays["keypoints"], where, "keypoints", count).reshape(-1)
    if len(keypoints) != 68:
        raise AssetError(f"{where}: 'keypoints' has {len(keypoints)} landmarks, not 68", HINT)
    shown = None
    if region == "front" and "tri_mask2" in arrays:
        shown = _indices(arrays["tri_mask2"], where, "tri_mask2", count)
    for name, array in (("tri", faces), ("tri_mask2", shown)):
        if array is not None and (array.ndim != 2 or array.shape[1] != 3):
            raise AssetError(f"{where}: '{name}' has shape {array.shape}, not (F, 3)", HINT)
    return MorphableData(
        mean=(points - points.mean(axis=0)).astype(np.float32),
        identity=_basis(arrays["idBase"], where, "idBase", count),
        expression=_basis(arrays["exBase"], where, "exBase", count),
        albedo_mean=albedo.reshape(count, 3) / np.float32(255.0),
        albedo=_basis(arrays["texBase"], where, "texBase", count, 255.0),
        faces=faces,
        landmark_vertices=np.asarray(multi_pie_66(keypoints), dtype=np.int64),
        region=shown,
        expression_unit="standard deviations",
    )


def _floats(array: Array, where: str, name: str) -> npt.NDArray[np.float32]:
    with np.errstate(over="ignore"):
        values = array.astype(np.float32)
    if not np.isfinite(values).all():
        raise AssetError(f"{where}: '{name}' holds values that are not finite", HINT)
    return values


def _basis(array: Array, where: str, name: str, count: int, unit: float = 1.0) -> npt.NDArray[np.float32]:
    """(n, V, 3) of (3V, n)."""
    if array.ndim != 2 or array.shape[0] != 3 * count:
        raise AssetError(f"{where}: '{name}' has shape {array.shape}, not ({3 * count}, n)", HINT)
    basis = np.ascontiguousarray(array.T, dtype=np.float32).reshape(-1, count, 3)
    return basis if unit == 1.0 else basis / np.float32(unit)


def _indices(array: Array, where: str, name: str, count: int) -> npt.NDArray[np.int64]:
    """Vertices counted from 0."""
    values = np.asarray(array, dtype=np.float64)
    if not values.size or not np.isfinite(values).all() or not np.array_equal(values, np.floor(values)):
        raise AssetError(f"{where}: '{name}' holds values that are no vertex numbers", HINT)
    if values.min() < 1 or values.max() > count:
        raise AssetError(f"{where}: '{name}' names vertices beyond the {count} of 'meanshape'", HINT)
    return values.astype(np.int64) - 1
