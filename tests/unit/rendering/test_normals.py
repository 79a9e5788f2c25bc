from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from pie_framework.rendering import euler_to_matrix, face_normals, vertex_normals

Grid = Callable[[int, int], Tensor]
Sphere = Callable[[int, int], tuple[Tensor, Tensor, Tensor]]


def test_plane(grid: Grid) -> None:
    y, x = torch.meshgrid(torch.linspace(1, -1, 5), torch.linspace(-1, 1, 6), indexing="ij")
    vertices = torch.stack((x, y, torch.zeros_like(x)), dim=-1).reshape(1, -1, 3)
    faces = grid(5, 6)
    assert torch.allclose(vertex_normals(vertices, faces), torch.tensor([0.0, 0.0, 1.0]).expand(1, 30, 3))
    rotation = euler_to_matrix(torch.tensor([[0.3, -0.5, 0.9], [0.0, 0.1, 0.0]]))
    turned = vertex_normals(vertices @ rotation.transpose(1, 2), faces)
    assert torch.allclose(turned, rotation[:, :, 2].unsqueeze(1).expand(2, 30, 3), atol=1e-6)
    assert torch.allclose(0.5 * face_normals(vertices, faces).norm(dim=-1).sum(), torch.tensor(4.0))


def test_sphere_with_a_joined_seam(sphere: Sphere) -> None:
    vertices, faces, groups = sphere(41, 61)
    joined = vertex_normals(vertices.unsqueeze(0), faces, groups)[0]
    assert (joined - vertices).norm(dim=-1).max() < 0.02
    assert torch.equal(joined, joined[groups])
    open_seam = vertex_normals(vertices.unsqueeze(0), faces)[0]
    assert (open_seam - vertices).norm(dim=-1).max() > 0.02


def test_faces_count_by_their_area() -> None:
    # At the origin a face of area 2 looks along z and a face of area 0.5 along x.
    vertices = torch.tensor([[[0.0, 0, 0], [2.0, 0, 0], [0.0, 2, 0], [0.0, 1, 0], [0.0, 0, 1]]])
    normals = vertex_normals(vertices, torch.tensor([[0, 1, 2], [0, 3, 4]]))
    assert torch.allclose(normals[0, 0], torch.tensor([1.0, 0.0, 4.0]) / 17**0.5)


def test_vertex_of_no_face_has_a_zero_normal() -> None:
    vertices = torch.tensor([[[0.0, 0, 0], [1.0, 0, 0], [0.0, 1, 0], [5.0, 5, 5]]]).requires_grad_()
    normals = vertex_normals(vertices, torch.tensor([[0, 1, 2]]))
    assert normals[0, 3].abs().max() == 0
    (gradient,) = torch.autograd.grad(normals.sum(), vertices)
    assert gradient.isfinite().all()


def test_repeats_exactly(sphere: Sphere) -> None:
    vertices, faces, groups = sphere(30, 30)
    batch = vertices.float().unsqueeze(0)
    assert torch.equal(vertex_normals(batch, faces, groups), vertex_normals(batch, faces, groups))


def test_gradcheck(sphere: Sphere) -> None:
    vertices, faces, groups = sphere(5, 6)
    batch = torch.stack((vertices, 0.5 * vertices)).requires_grad_()
    assert torch.autograd.gradcheck(lambda v: vertex_normals(v, faces, groups), (batch,))
