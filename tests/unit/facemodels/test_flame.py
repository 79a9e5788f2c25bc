"""FLAME on a small head of its layout: reading hostile and honest files, skinning against plain numpy, landmarks."""

from __future__ import annotations

import dataclasses
import functools
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
from scipy.spatial.transform import Rotation

from pie_facemodels import flame
from pie_facemodels.conventions import FFHQ_CAMERA, Placement, neutral_landmarks
from pie_facemodels.flame import FlameModel, axis_angle_to_matrix, blend_skin
from pie_facemodels.flame_files import FlameArrays, read_embedding, read_flame
from pie_facemodels.parts import eyeballs, pieces
from pie_facemodels.procedural.template import landmark_vertices, template
from pie_facemodels.settings import FlameSettings
from pie_facemodels.warp import mirrored_landmarks
from pie_framework.errors import AssetError, ConfigError
from pie_framework.rendering import ambient_light
from pie_framework.testing.suites.face_models import FaceModelTests

SHAPES, EXPRESSIONS = 8, 5
SETTINGS = FlameSettings(
    "m", "e", shapes=SHAPES, identity=SHAPES, expression=EXPRESSIONS, albedo=12, neck=True
)
ROOT, JAW_JOINT = 0, 2


@functools.cache
def content() -> dict[str, np.ndarray]:
    """The procedural head, in metres, in FLAME's layout."""
    t = template()
    vertices = t.vertices * 0.075 + np.array([0.0, -0.01, 0.0])
    count = len(vertices)
    rng = np.random.default_rng(0)
    joints = np.array(
        [[0, -1.6, -0.3], [0, -1.0, -0.3], [0, -0.35, 0.1], [0.35, 0.02, 0.45], [-0.35, 0.02, 0.45]]
    )
    regressor = np.zeros((5, count))
    for row, joint in enumerate(joints):
        for side in (-0.8, 0.8) if row == JAW_JOINT else (0.0,):
            near = np.argsort(np.linalg.norm(t.vertices - joint - np.array([side, 0, 0]), axis=1))[:12]
            regressor[row, near] = rng.uniform(0.5, 1.5, size=12)
    regressor /= regressor.sum(1, keepdims=True)
    weights = np.zeros((count, 5))
    jaw = 1 / (1 + np.exp(20 * (t.y + 0.8))) * (t.z > 0.1)
    weights[:, 2] = jaw
    weights[:, 1] = (1 - jaw) * (t.y > -1.4)
    for row, name in ((3, "eye_left"), (4, "eye_right")):
        weights[t.slices[name]] = 0.0
        weights[t.slices[name], row] = 1.0
    weights[:, 0] = 1.0 - weights[:, 1:].sum(1)
    x, y, z = t.vertices.T
    fields = []
    for _ in range(SHAPES + EXPRESSIONS):
        a = rng.normal(size=(4, 3))
        fields.append(0.002 * (a[0] * np.sin(2 * y)[:, None] + a[1] * np.cos(x)[:, None] + a[2] * z[:, None]))
    poses = 1e-4 * rng.normal(size=(36, 1, 3)) * np.cos(2 * y)[:, None]
    tree = np.array([[2**32 - 1, 0, 1, 1, 1], range(5)], dtype=np.uint32)
    return {
        "v_template": vertices,
        "shapedirs": np.stack(fields, axis=-1),
        "posedirs": np.moveaxis(poses, 0, 2),
        "J_regressor": regressor,
        "weights": weights,
        "f": t.faces.astype(np.uint32),
        "kintree_table": tree,
    }


@functools.cache
def embedding_content() -> dict[str, np.ndarray]:
    """Landmarks on triangles at the procedural landmarks; the contour slides inwards with the yaw."""
    faces = template().faces
    own = landmark_vertices()
    listed = np.array([*own[:60], own[48], *own[60:63], own[54], *own[63:]])
    at = np.array([np.flatnonzero((faces == vertex).any(1))[0] for vertex in listed])
    weights = (faces[at] == listed[:, None]).astype(float)
    contour = np.tile(at[:17], (79, 1))
    for degrees in range(1, 40):
        contour[degrees, 9:] = at[8]
        contour[39 + degrees, :8] = at[8]
    bary = np.full((79, 17, 3), 1 / 3)
    bary[0] = weights[:17]
    return {
        "static_lmk_faces_idx": at[17:],
        "static_lmk_bary_coords": weights[17:],
        "dynamic_lmk_faces_idx": contour,
        "dynamic_lmk_bary_coords": bary,
    }


@functools.cache
def model(dtype: torch.dtype = torch.float64, settings: FlameSettings = SETTINGS) -> FlameModel:
    return FlameModel(arrays(), embedding(), settings, dtype)


@functools.cache
def _files() -> tuple[FlameArrays, Any]:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        np.savez(Path(folder) / "m.npz", **content())
        np.savez(Path(folder) / "e.npz", **embedding_content())
        read = read_flame(Path(folder) / "m.npz")
        return read, read_embedding(Path(folder) / "e.npz", len(read.faces))


def arrays() -> FlameArrays:
    return _files()[0]


def embedding() -> Any:
    return _files()[1]


class TestConformance(FaceModelTests):
    def build(self) -> FlameModel:
        return model(torch.float32)


class TestConformanceInDouble(FaceModelTests):
    dtype = torch.float64

    def build(self) -> FlameModel:
        return model()


# ---- the surface -------------------------------------------------------------------------------------------------


def zeros(batch: int = 1) -> torch.Tensor:
    return torch.zeros(batch, model().layout.size, dtype=torch.float64)


def reference(shape: np.ndarray, expression: np.ndarray, turns: dict[int, np.ndarray]) -> np.ndarray:
    """Skinning as the paper writes it, vertex by vertex with 4 x 4 matrices, in metres."""
    c = content()
    shaped = c["v_template"] + c["shapedirs"] @ np.concatenate([shape, expression])
    joints = c["J_regressor"] @ shaped
    local = [Rotation.from_rotvec(turns.get(joint, np.zeros(3))).as_matrix() for joint in range(5)]
    feature = np.concatenate([(rotation - np.eye(3)).reshape(-1) for rotation in local[1:]])
    posed = shaped + c["posedirs"] @ feature
    world: list[np.ndarray] = []
    for joint in range(5):
        step = np.eye(4)
        step[:3, :3] = local[joint]
        parent = None if joint == 0 else int(c["kintree_table"][0, joint])
        step[:3, 3] = joints[joint] - (0 if parent is None else joints[parent])
        world.append(step if parent is None else world[parent] @ step)
    out = np.zeros_like(posed)
    for joint in range(5):
        back = np.eye(4)
        back[:3, 3] = -joints[joint]
        matrix = world[joint] @ back
        out += c["weights"][:, joint : joint + 1] * (posed @ matrix[:3, :3].T + matrix[:3, 3])
    return out


def test_skinning_is_the_paper_s() -> None:
    rng = np.random.default_rng(1)
    shape, expression = rng.normal(size=SHAPES), rng.normal(size=EXPRESSIONS)
    jaw, left, right = np.array([0.7, -0.3, 0.5]), np.array([0.4, -0.8]), np.array([-0.5, 0.6])
    neck = np.array([0.2, 0.9, -0.4])
    theta = zeros()
    theta[0, model().layout.slice("identity")] = torch.from_numpy(shape)
    theta[0, model().layout.slice("expression")] = torch.from_numpy(
        np.concatenate([expression, jaw, left, right, neck])
    )
    turns = {
        1: neck * flame.NECK,
        2: jaw * flame.JAW,
        3: np.array([*(left * flame.EYE), 0.0]),
        4: np.array([*(right * flame.EYE), 0.0]),
    }
    expected = reference(shape, expression, turns)
    found = model().mesh(theta).vertices[0].numpy()
    # The mesh is placed by one scale and one offset.
    rest = model().mesh(zeros()).vertices[0].numpy()
    scale = np.ptp(rest, 0)[0] / np.ptp(content()["v_template"], 0)[0]
    offset = rest[0] - scale * content()["v_template"][0]
    np.testing.assert_allclose(found, scale * expected + offset, atol=5e-6)


def test_zero_pose_is_the_template() -> None:
    rest = model().mesh(zeros()).vertices[0].numpy()
    fit = np.polyfit(content()["v_template"].reshape(-1)[0::3], rest[:, 0], 1)
    np.testing.assert_allclose(np.polyval(fit, content()["v_template"][:, 0]), rest[:, 0], atol=2e-6)


def test_the_jaw_moves_only_what_follows_it() -> None:
    still = dataclasses.replace(arrays(), poses=np.zeros_like(arrays().poses))
    own = FlameModel(still, embedding(), SETTINGS, torch.float64)
    theta = zeros(2)
    theta[1, own.layout.index("expression", "jaw_open")] = 1.0
    rest, moved = own.mesh(theta).vertices
    away = (moved - rest).norm(dim=1).numpy()
    follows = content()["weights"][:, JAW_JOINT] > 1e-4
    assert away[~follows].max() < 1e-4 < 0.05 < away[follows].max()
    points = own.landmarks(theta, 100)
    assert points[1, 8, 1] > points[0, 8, 1] + 3, "the chin goes down"
    torch.testing.assert_close(points[1, 36:48], points[0, 36:48])


def test_eyes_turn_about_their_joints() -> None:
    theta = zeros(2)
    theta[1, model().layout.index("expression", "eye_left_yaw")] = 1.0
    rest, moved = model().mesh(theta).vertices
    where = template().slices["eye_left"]
    front = where.start + int(rest[where, 2].argmax())
    assert moved[front, 0] > rest[front, 0] + 0.05, "the person's left eye looks to the image's right"
    assert (moved - rest)[template().slices["eye_right"]].abs().max() < 0.02


def test_skinning_of_one_bone_is_a_rotation() -> None:
    points = torch.tensor([[[1.0, 0.0, 0.0], [2.0, 0.0, 0.0]]], dtype=torch.float64)
    joints = torch.tensor([[[0.0, 0.0, 0.0], [1.0, 0.0, 0.0]]], dtype=torch.float64)
    turn = axis_angle_to_matrix(torch.tensor([[[0.0, 0.0, np.pi / 2]]], dtype=torch.float64))
    weights = torch.tensor([[1.0, 0.0], [0.0, 1.0]], dtype=torch.float64)
    out = blend_skin(points, joints, turn, (0,), weights)
    torch.testing.assert_close(out, torch.tensor([[[1.0, 0.0, 0.0], [1.0, 1.0, 0.0]]], dtype=torch.float64))


def test_axis_angle() -> None:
    turns = np.random.default_rng(0).normal(size=(20, 3))
    found = axis_angle_to_matrix(torch.from_numpy(turns)).numpy()
    np.testing.assert_allclose(found, Rotation.from_rotvec(turns).as_matrix(), atol=1e-12)
    still = torch.zeros(1, 3, dtype=torch.float64, requires_grad=True)
    jacobian = torch.autograd.functional.jacobian(axis_angle_to_matrix, still)
    assert jacobian[0, 2, 1, 0, 0] == pytest.approx(1.0) and torch.isfinite(jacobian).all()


# ---- layout, landmarks, mirror -----------------------------------------------------------------------------------


def test_the_expression_block_ends_with_the_joints() -> None:
    names = model().layout.names("expression")
    assert names[:2] == ("expression_0", "expression_1")
    assert names[EXPRESSIONS:] == (*flame.JAW_NAMES, *flame.EYE_NAMES, *flame.NECK_NAMES)
    small = model(
        torch.float32, dataclasses.replace(SETTINGS, eyes=False, neck=False, expression=2, identity=1)
    )
    assert small.layout.names("expression") == ("expression_0", "expression_1", *flame.JAW_NAMES)
    assert small.layout.block("identity").size == 1
    assert "gaze_vertical" not in small.expression_aliases
    assert "gaze_vertical" in model().expression_aliases


def test_the_neutral_face_is_where_aligned_portraits_have_it() -> None:
    expected, _ = FFHQ_CAMERA.project(torch.from_numpy(neutral_landmarks())[None], 100)
    found = model().landmarks(zeros(), 100)
    # All but the mouth: the procedural model's rest has a trace of a smile.
    torch.testing.assert_close(found[:, 17:48], expected[:, 17:48], atol=0.5, rtol=0)


def test_the_contour_follows_the_yaw() -> None:
    theta = zeros(4)
    yaw = model().layout.index("rotation", "yaw")
    theta[1, yaw], theta[2, yaw] = 0.3, -0.3
    theta[3, model().layout.index("expression", "neck_yaw")] = 1.0  # 0.3 radians
    local = model().surface(theta, "landmarks")
    assert torch.allclose(local[0, 9], local[1, 9]) is False
    chin = local[1, 8]
    torch.testing.assert_close(local[1, 9:17], chin.expand(8, 3))
    assert (local[2, 9:17] - chin).norm(dim=1).max() > 0.1
    torch.testing.assert_close(local[2, 0:8], local[2, 8].expand(8, 3))
    torch.testing.assert_close(local[3, 9:17], local[3, 8].expand(8, 3))
    for degrees, row in ((0.4, 0), (0.6, 1), (38.9, 39), (80.0, 39), (-0.6, 40), (-39.2, 78), (-80.0, 78)):
        theta = zeros()
        theta[0, yaw] = np.deg2rad(degrees)
        index = embedding().contour_faces[row]
        corners = model().surface(theta, "whole")[0][model().get_buffer("position")[arrays().faces[index]]]
        weights = torch.from_numpy(embedding().contour_weights[row])
        expected = (corners * weights.unsqueeze(-1)).sum(1)
        torch.testing.assert_close(model().surface(theta, "landmarks")[0, :17], expected, atol=1e-6, rtol=0)


def test_the_mirror_image() -> None:
    """A head whose modes are symmetric can be mirrored, joints included."""
    t = template()
    own = arrays()
    # The procedural head is symmetric; its partner vertices are found by position.
    odd = np.stack([0.01 * t.x * np.cos(t.y), np.zeros_like(t.x), 0.0 * t.x], axis=1)
    shapes = np.stack([odd, odd[:, ::-1]], axis=-1)
    weights = own.weights
    settings = dataclasses.replace(SETTINGS, shapes=1, identity=1, expression=1, neck=False)
    symmetric = dataclasses.replace(own, shapes=shapes, weights=weights, poses=np.zeros_like(own.poses))
    made = FlameModel(symmetric, embedding(), settings, torch.float64)
    assert made.mirror_theta is not None
    theta = torch.zeros(1, made.layout.size, dtype=torch.float64)
    for block, name, value in (
        ("rotation", "yaw", 0.2),
        ("expression", "jaw_left", 0.5),
        ("expression", "eye_left_yaw", 0.7),
        ("expression", "eye_right_pitch", 0.4),
    ):
        theta[0, made.layout.index(block, name)] = value
    theta[:, made.layout.slice("illumination")] = ambient_light(torch.ones(1, dtype=torch.float64))
    flipped = made.mirror_theta(theta)
    index = made.layout.index
    assert flipped[0, index("expression", "eye_right_yaw")] == pytest.approx(-0.7)
    assert flipped[0, index("expression", "eye_left_pitch")] == pytest.approx(0.4)
    assert flipped[0, index("expression", "jaw_left")] == pytest.approx(-0.5)
    points, mirrored = made.landmarks(theta, 128), made.landmarks(flipped, 128)
    order = torch.from_numpy(mirrored_landmarks())
    expected = points[:, order] * torch.tensor([-1.0, 1.0]) + torch.tensor([128.0, 0.0])
    # Joints come from a few vertices near them, not exactly in the middle.
    assert (mirrored - expected)[:, 17:60].norm(dim=-1).max() < 1.0


def test_eyeballs_are_found() -> None:
    t = template()
    found = eyeballs(t.vertices, t.faces, neutral_landmarks())
    assert set(found) == {"eye_left", "eye_right"}
    for name, index in found.items():
        assert t.slices[name].start <= index.min() and index.max() < t.slices[name].stop
    assert eyeballs(t.vertices[:, [1, 0, 2]], t.faces, neutral_landmarks()) == {}
    faces = np.array([[0, 1, 2], [2, 3, 4], [5, 6, 7]])
    assert pieces(faces, 9).tolist() == [0, 0, 0, 0, 0, 5, 5, 5, 8]


def test_it_looks_like_something() -> None:
    theta = zeros().float()
    theta[:, model().layout.slice("illumination")] = ambient_light(torch.ones(1))
    rendering = model(torch.float32).render(theta, 64)
    assert 0.1 < rendering.mask.mean() < 0.5
    assert (rendering.image * rendering.mask).std() > 0.05


# ---- reading -----------------------------------------------------------------------------------------------------


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
        FlameSettings(shapes=-1)


def test_placement_is_a_similarity() -> None:
    rest = model().mesh(zeros()).vertices[0].numpy()
    own = content()["v_template"]
    marks = own[arrays().faces[embedding().static_faces[0]]]
    assert isinstance(Placement.aligned(neutral_landmarks()), Placement) and marks.shape == (3, 3)
    ratio = np.ptp(rest, 0) / np.ptp(own, 0)
    np.testing.assert_allclose(ratio, ratio[0], rtol=1e-5)
