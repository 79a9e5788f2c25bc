"""A small head in FLAME's layout: the procedural one, in metres, with invented directions."""

from __future__ import annotations

import functools
import tempfile
from pathlib import Path

import numpy as np
import torch

from pie_facemodels.flame import FlameModel
from pie_facemodels.flame_files import Embedding, FlameArrays, read_embedding, read_flame
from pie_facemodels.procedural.template import landmark_vertices, template
from pie_facemodels.settings import FlameSettings

SHAPES, EXPRESSIONS = 8, 5
SETTINGS = FlameSettings(
    "m", "e", shapes=SHAPES, identity=SHAPES, expression=EXPRESSIONS, albedo=12, neck=True
)
JAW_JOINT = 2


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
def _files() -> tuple[FlameArrays, Embedding]:
    with tempfile.TemporaryDirectory() as folder:
        np.savez(Path(folder) / "m.npz", **content())
        np.savez(Path(folder) / "e.npz", **embedding_content())
        read = read_flame(Path(folder) / "m.npz")
        return read, read_embedding(Path(folder) / "e.npz", len(read.faces))


def arrays() -> FlameArrays:
    return _files()[0]


def embedding() -> Embedding:
    return _files()[1]
