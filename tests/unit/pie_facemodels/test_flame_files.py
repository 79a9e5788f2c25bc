"""Reading FLAME's files: the published pickle, the landmark embedding, archives, and hostile or damaged ones."""

from __future__ import annotations

import dataclasses
import io
import pickle
import sys
import types
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from scipy.sparse import csc_matrix

from pie_facemodels import flame
from pie_facemodels.flame_files import FlameArrays, read_embedding, read_flame
from pie_facemodels.settings import FlameSettings
from pie_framework.errors import AssetError, ConfigError
from pie_framework.settings import merge
from tests.unit.pie_facemodels.small_flame import (
    SETTINGS,
    arrays,
    content,
    embedding,
    embedding_content,
    model,
)


class _Chumpy:
    """Stands for chumpy.ch.Ch while a test writes a pickle."""

    def __init__(self, x: np.ndarray) -> None:
        self.x = x
        self._dirty_vars: set[str] = set()
        self._cache: dict[str, object] = {"drs": None}


@pytest.fixture
def chumpy(monkeypatch: pytest.MonkeyPatch) -> type:
    """A module by that name, only while the pickle is written."""
    kinds = {}
    for module, name in (("chumpy.ch", "Ch"), ("chumpy.reordering", "Select")):
        kind = type(name, (_Chumpy,), {"__module__": module})
        fake = types.ModuleType(module)
        setattr(fake, name, kind)
        monkeypatch.setitem(sys.modules, module, fake)
        kinds[name] = kind
    monkeypatch.setitem(sys.modules, "chumpy", types.ModuleType("chumpy"))
    return kinds["Ch"]


def pickled(chumpy: type, protocol: int = 2) -> bytes:
    c = content()
    kept: dict[str, Any] = {
        "v_template": chumpy(c["v_template"]),
        "shapedirs": chumpy(c["shapedirs"]),
        "posedirs": c["posedirs"],
        "J_regressor": csc_matrix(c["J_regressor"]),
        "weights": c["weights"],
        "f": c["f"],
        "kintree_table": c["kintree_table"],
        "bs_type": "lrotmin",
        "bs_style": "lbs",
    }
    return pickle.dumps(kept, protocol=protocol)


def same(found: FlameArrays) -> None:
    for name, value in dataclasses.asdict(arrays()).items():
        np.testing.assert_array_equal(np.asarray(getattr(found, name)), np.asarray(value), err_msg=name)


@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_the_chumpy_pickle(
    tmp_path: Path, chumpy: type, protocol: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "generic_model.pkl"
    path.write_bytes(pickled(chumpy, protocol))
    monkeypatch.undo()
    assert "chumpy" not in sys.modules
    same(read_flame(path))
    assert "chumpy" not in sys.modules


def test_names_of_python_2(tmp_path: Path, chumpy: type) -> None:
    """Old scipy's module, and byte strings for text, as Python 2 wrote them."""
    data = pickled(chumpy).replace(b"scipy.sparse._csc\n", b"scipy.sparse.csc\n")
    path = tmp_path / "model.pkl"
    path.write_bytes(data)
    same(read_flame(path))


def test_a_selection_of_a_chumpy_array(tmp_path: Path, chumpy: type) -> None:
    c = content()
    wide = np.concatenate([np.zeros(5), c["v_template"].reshape(-1)])
    chosen = sys.modules["chumpy.reordering"].Select(None)
    chosen.__dict__ = {
        "a": chumpy(wide),
        "idxs": np.arange(5, len(wide)),
        "preferred_shape": c["v_template"].shape,
    }
    path = tmp_path / "model.pkl"
    path.write_bytes(pickle.dumps({**c, "v_template": chosen}, protocol=2))
    same(read_flame(path))
    chosen.__dict__["idxs"] = np.arange(5, len(wide)) + 1
    path.write_bytes(pickle.dumps({**c, "v_template": chosen}, protocol=2))
    with pytest.raises(AssetError, match="selects what is not there"):
        read_flame(path)


def test_an_npz_with_a_sparse_regressor(tmp_path: Path) -> None:
    c = dict(content())
    sparse = csc_matrix(c.pop("J_regressor"))
    parts = {"data": sparse.data, "indices": sparse.indices, "indptr": sparse.indptr, "shape": sparse.shape}
    np.savez(tmp_path / "m.npz", **c, **{f"J_regressor_{k}": np.asarray(v) for k, v in parts.items()})
    same(read_flame(tmp_path / "m.npz"))
    np.savez(tmp_path / "m.npz", **c)
    with pytest.raises(AssetError, match="lacks J_regressor"):
        read_flame(tmp_path / "m.npz")


class _Evil:
    def __reduce__(self) -> tuple[Any, ...]:
        import os

        return os.system, ("touch was_run",)


@pytest.mark.parametrize("where", ["beside", "inside"])
def test_a_pickle_that_would_run_something(
    tmp_path: Path, chumpy: type, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    evil = {**content(), "bs_style": _Evil()} if where == "beside" else {"v_template": chumpy(_Evil())}  # type: ignore[dict-item]
    path = tmp_path / "generic_model.pkl"
    path.write_bytes(pickle.dumps(evil, protocol=2))
    with pytest.raises(AssetError, match="system"):
        read_flame(path)
    assert not (tmp_path / "was_run").exists()


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("v_template", np.zeros((7, 2)), "v_template is an array"),
        ("shapedirs", np.zeros((7, 3, 4)), "shapedirs is an array"),
        ("posedirs", np.zeros((7, 3, 36)), "posedirs is an array"),
        ("weights", np.full((7, 5), "a"), "weights is an array"),
        ("f", np.array([[0, 1, 10**6]]), "beyond"),
        ("kintree_table", np.array([[0, 1, 2, 3, 4], range(5)]), "no tree"),
        ("J_regressor", "text", "J_regressor is no array"),
        ("J_regressor", None, "J_regressor is no array"),
    ],
)
def test_damaged_models_are_refused(tmp_path: Path, key: str, value: object, message: str) -> None:
    path = tmp_path / "generic_model.pkl"
    path.write_bytes(pickle.dumps({**content(), key: value}, protocol=2))
    with pytest.raises(AssetError, match=message):
        read_flame(path)


def test_more_damage(tmp_path: Path, chumpy: type) -> None:
    path = tmp_path / "generic_model.pkl"
    whole = pickled(chumpy)
    for part in range(1, 20):
        path.write_bytes(whole[: len(whole) * part // 20])
        with pytest.raises(AssetError):
            read_flame(path)
    path.write_bytes(pickle.dumps([1, 2], protocol=2))
    with pytest.raises(AssetError, match="no dictionary"):
        read_flame(path)
    path.write_bytes(pickle.dumps({"f": 1}, protocol=2))
    with pytest.raises(AssetError, match="lacks v_template"):
        read_flame(path)
    broken = csc_matrix(content()["J_regressor"])
    broken.indices = broken.indices + 100
    path.write_bytes(pickle.dumps({**content(), "J_regressor": broken}, protocol=2))
    with pytest.raises(AssetError, match="sparse matrix in it is damaged"):
        read_flame(path)
    nan = content()["shapedirs"].copy()
    nan[3] = np.nan
    path.write_bytes(pickle.dumps({**content(), "shapedirs": nan}, protocol=2))
    with pytest.raises(AssetError, match="not finite"):
        read_flame(path)


@pytest.mark.parametrize("shape", [(-1, -9), (1.5, 2.0), ("a",), np.array([1, 2]), 5])
def test_a_selection_of_an_impossible_shape(tmp_path: Path, chumpy: type, shape: object) -> None:
    chosen = sys.modules["chumpy.reordering"].Select(None)
    chosen.__dict__ = {"a": np.zeros(9), "idxs": np.arange(9), "preferred_shape": shape}
    path = tmp_path / "model.pkl"
    path.write_bytes(pickle.dumps({**content(), "v_template": chosen}, protocol=2))
    with pytest.raises(AssetError, match="damaged"):
        read_flame(path)


@pytest.mark.parametrize("part", ["data", "indices", "indptr"])
@pytest.mark.parametrize("value", ["a", np.nan, 1j])
def test_a_sparse_matrix_of_no_numbers(tmp_path: Path, part: str, value: object) -> None:
    broken = csc_matrix(content()["J_regressor"])
    broken.__dict__[part] = np.full(len(getattr(broken, part)), value)
    path = tmp_path / "model.pkl"
    path.write_bytes(pickle.dumps({**content(), "J_regressor": broken}, protocol=2))
    with pytest.raises(AssetError, match=r"damaged|not finite"):
        read_flame(path)


def _npy(value: object) -> bytes:
    stream = io.BytesIO()
    np.save(stream, value, allow_pickle=True)  # type: ignore[arg-type]
    return stream.getvalue()


@pytest.mark.parametrize("tensors", [False, True])
def test_the_pickled_embedding(tmp_path: Path, tensors: bool) -> None:
    """The usual file: a dictionary of arrays, or of arrays and tensors, as numpy saves Python objects."""
    kept: dict[str, Any] = {**embedding_content(), "full_lmk_faces_idx": np.zeros((1, 68), dtype=np.int64)}
    if tensors:
        kept |= {
            key: torch.from_numpy(kept[key]) for key in ("dynamic_lmk_faces_idx", "dynamic_lmk_bary_coords")
        }
    path = tmp_path / "landmark_embedding.npy"
    path.write_bytes(_npy(kept))
    found = read_embedding(path, len(arrays().faces))
    for name, value in dataclasses.asdict(embedding()).items():
        np.testing.assert_array_equal(getattr(found, name), value)


def test_wrong_embeddings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "landmark_embedding.npy"
    count = len(arrays().faces)
    good = embedding_content()
    for value, message in (
        (np.zeros(4), "holds an array"),
        ({"a": 1}, "not FLAME's 68-point"),
        ({**good, "bad": _Evil()}, "system"),
        ({**good, "static_lmk_faces_idx": good["static_lmk_faces_idx"] + 10**7}, "beyond"),
        ({**good, "static_lmk_bary_coords": np.zeros((51, 2))}, "expected numbers"),
        ({**good, "dynamic_lmk_faces_idx": np.zeros((78, 17), dtype=int)}, "expected numbers|odd"),
        ({**good, "dynamic_lmk_faces_idx": 5}, "damaged"),
        ({**good, "dynamic_lmk_faces_idx": None}, "damaged"),
        ({**good, "static_lmk_faces_idx": [[1], [1, 2]]}, "damaged"),
        ({**good, "static_lmk_faces_idx": np.full(51, np.nan)}, "beyond"),
    ):
        path.write_bytes(_npy(value))
        with pytest.raises(AssetError, match=message):
            read_embedding(path, count)
    assert not (tmp_path / "was_run").exists()
    whole = _npy(dict(good))
    for cut in (0, 5, 40, 128, len(whole) // 2, len(whole) - 3):
        path.write_bytes(whole[:cut])
        with pytest.raises(AssetError):
            read_embedding(path, count)
    np.savez(tmp_path / "mediapipe.npz", lmk_face_idx=np.zeros(105), lmk_b_coords=np.zeros((105, 3)))
    with pytest.raises(AssetError, match="MediaPipe"):
        read_embedding(tmp_path / "mediapipe.npz", count)


def test_the_component(tmp_path: Path, chumpy: type) -> None:
    (tmp_path / "m.pkl").write_bytes(pickled(chumpy))
    (tmp_path / "e.npy").write_bytes(_npy(dict(embedding_content())))
    context = SimpleNamespace(dtype=torch.float32, device=torch.device("cpu"), asset=lambda uri, folder: uri)
    settings = dataclasses.replace(SETTINGS, path=str(tmp_path / "m.pkl"), landmarks=str(tmp_path / "e.npy"))
    made = flame.build(settings, context)
    theta = torch.zeros(1, made.layout.size)
    torch.testing.assert_close(made.landmarks(theta, 64), model(torch.float32).landmarks(theta, 64))
    for change, message in (
        ({"path": ""}, "face_model.path"),
        ({"landmarks": ""}, "face_model.landmarks"),
        ({"shapes": 99}, "holds 13 directions"),
        ({"identity": 9}, "identity=9"),
        ({"expression": 6}, "expression=6"),
    ):
        with pytest.raises(ConfigError, match=message):
            flame.build(dataclasses.replace(settings, **change), context)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="shapes"):
        merge(FlameSettings, {"shapes": -1})
