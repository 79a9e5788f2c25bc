"""FLAME on a small head of its layout: skinning against plain numpy, landmarks, mirroring."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from pie_facemodels import flame
from pie_facemodels.conventions import FFHQ_CAMERA, Placement, neutral_landmarks
from pie_facemodels.flame import FlameModel, axis_angle_to_matrix, blend_skin
from pie_facemodels.parts import eyeballs, pieces
from pie_facemodels.procedural.template import template
from pie_facemodels.warp import mirrored_landmarks
from pie_framework.rendering import ambient_light
from pie_framework.testing.suites.face_models import FaceModelTests
from tests.unit.pie_facemodels.small_flame import (
    EXPRESSIONS,
    JAW_JOINT,
    SETTINGS,
    SHAPES,
    arrays,
    content,
    embedding,
    model,
)


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


def test_the_contour_s_halves_may_be_exchanged() -> None:
    """Which of them is for which side is seen in the geometry, not counted on."""
    halves = [0, *range(40, 79), *range(1, 40)]
    own = embedding()
    other = dataclasses.replace(
        own, contour_faces=own.contour_faces[halves], contour_weights=own.contour_weights[halves]
    )
    exchanged = FlameModel(arrays(), other, SETTINGS, torch.float64)
    theta = zeros(3)
    theta[1:, model().layout.index("rotation", "yaw")] = torch.tensor([0.3, -0.3], dtype=torch.float64)
    torch.testing.assert_close(exchanged.landmarks(theta, 64), model().landmarks(theta, 64))


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


def test_placement_is_a_similarity() -> None:
    rest = model().mesh(zeros()).vertices[0].numpy()
    own = content()["v_template"]
    marks = own[arrays().faces[embedding().static_faces[0]]]
    assert isinstance(Placement.aligned(neutral_landmarks()), Placement) and marks.shape == (3, 3)
    ratio = np.ptp(rest, 0) / np.ptp(own, 0)
    np.testing.assert_allclose(ratio, ratio[0], rtol=1e-5)
