from __future__ import annotations

import math

import torch
from torch import Tensor

from pie_framework.rendering import PerspectiveCamera, euler_to_matrix, matrix_to_euler, mirror_rotation


def angles(count: int) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    limits = torch.tensor([math.pi, math.pi / 2 - 0.01, math.pi], dtype=torch.float64)
    return (2 * torch.rand(count, 3, generator=generator, dtype=torch.float64) - 1) * limits


def axis_rotation(axis: int, angle: Tensor) -> Tensor:
    generator = torch.zeros(3, 3, dtype=torch.float64)
    i, j = (axis + 1) % 3, (axis + 2) % 3
    generator[j, i], generator[i, j] = 1.0, -1.0
    return torch.matrix_exp(angle * generator)


def test_euler_to_matrix_is_roll_after_yaw_after_pitch() -> None:
    for rotation in angles(20):
        pitch, yaw, roll = rotation
        expected = axis_rotation(2, roll) @ axis_rotation(1, yaw) @ axis_rotation(0, pitch)
        assert torch.allclose(euler_to_matrix(rotation.unsqueeze(0))[0], expected, atol=1e-12)


def test_euler_round_trip() -> None:
    rotation = angles(200)
    assert torch.allclose(matrix_to_euler(euler_to_matrix(rotation)), rotation, atol=1e-10)


def test_directions_of_positive_angles() -> None:
    pitch, yaw, roll = euler_to_matrix(0.3 * torch.eye(3))
    nose, crown = torch.tensor([0.0, 0.0, 1.0]), torch.tensor([0.0, 1.0, 0.0])
    assert (yaw @ nose)[0] > 0  # to the image's right
    assert (pitch @ nose)[1] < 0  # bowed
    assert (roll @ crown)[0] < 0  # counter-clockwise


def test_mirror_negates_yaw_and_roll() -> None:
    rotation = angles(20)
    flip = torch.diag(torch.tensor([-1.0, 1.0, 1.0], dtype=torch.float64))
    assert torch.allclose(euler_to_matrix(mirror_rotation(rotation)), flip @ euler_to_matrix(rotation) @ flip)


def test_project_known_points() -> None:
    camera = PerspectiveCamera(distance=10.0, focal=4.0)
    points = torch.tensor([[[0.0, 0.0, 0.0], [2.5, 0.0, 0.0], [0.0, 2.5, 0.0], [0.0, 1.0, 2.0]]])
    pixels, depth = camera.project(points, (100, 60))
    assert torch.allclose(pixels[0], torch.tensor([[30.0, 50.0], [80.0, 50.0], [30.0, 0.0], [30.0, 25.0]]))
    assert torch.equal(depth, torch.tensor([[10.0, 10.0, 10.0, 8.0]]))
    square, _ = camera.project(points, 100)
    assert torch.allclose(square[0, 1], torch.tensor([100.0, 50.0]))


def test_project_mirror() -> None:
    camera = PerspectiveCamera(distance=10.0, focal=4.0)
    points = torch.randn(2, 5, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    pixels, depth = camera.project(points, 64)
    mirrored, same = camera.project(points * torch.tensor([-1.0, 1.0, 1.0]), 64)
    assert torch.allclose(mirrored[..., 0], 64 - pixels[..., 0])
    assert torch.equal(mirrored[..., 1], pixels[..., 1]) and torch.equal(same, depth)


def test_gradcheck() -> None:
    camera = PerspectiveCamera(distance=10.0, focal=4.0)
    points = torch.randn(2, 3, 3, generator=torch.Generator().manual_seed(1)).double().requires_grad_()
    assert torch.autograd.gradcheck(lambda p: camera.project(p, 64), (points,))
    assert torch.autograd.gradcheck(euler_to_matrix, (angles(3).requires_grad_(),))
    assert torch.autograd.gradcheck(
        lambda r: matrix_to_euler(euler_to_matrix(r)), (angles(3).requires_grad_(),)
    )


def test_principal_point_moves_the_whole_picture() -> None:
    points = torch.tensor([[[0.3, -0.2, 0.1], [0.0, 0.0, 0.0]]])
    centred, depth = PerspectiveCamera(10.0, 6.0).project(points, (80, 100))
    moved, same = PerspectiveCamera(10.0, 6.0, (0.1, 0.25)).project(points, (80, 100))
    torch.testing.assert_close(moved - centred, torch.tensor([4.0, -10.0]).expand(1, 2, 2))
    assert torch.equal(depth, same)
