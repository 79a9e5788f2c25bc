"""Surface normals of triangle meshes."""

from __future__ import annotations

import torch
from torch import Tensor

from pie_framework.rendering._planar import batched_corners, cross, planar, take


def face_normals(vertices: Tensor, faces: Tensor) -> Tensor:
    """Face normals (B, F, 3) of vertices (B, V, 3) and faces (F, 3); length: twice the triangle's area."""
    batch, count, _ = vertices.shape
    corners = batched_corners(faces, batch, count)
    return _face_normals(planar(vertices), corners).view(3, batch, -1).permute(1, 2, 0)


def vertex_normals(vertices: Tensor, faces: Tensor, groups: Tensor | None = None) -> Tensor:
    """Unit vertex normals (B, V, 3), area-weighted over the adjoining faces; differentiable.

    ``vertices`` (B, V, 3); ``faces`` (F, 3) int64, counter-clockwise seen from outside; ``groups`` (V,)
    int64 in [0, V) gives coincident vertices (the two sides of a seam) one number, and they share one
    normal. Vertices of no face have a zero normal. Deterministic on a CPU, and on CUDA under
    ``torch.use_deterministic_algorithms``.
    """
    batch, count, _ = vertices.shape
    normals = _face_normals(planar(vertices), batched_corners(faces, batch, count))
    target = batched_corners(faces if groups is None else groups[faces], batch, count)
    summed = vertices.new_zeros(3, batch * count)
    for corner in target:
        summed = summed.index_add(1, corner, normals)
    unit = summed * summed.square().sum(0).clamp_min(1e-30).rsqrt()
    unit = unit.view(3, batch, count)
    return (unit if groups is None else unit.index_select(2, groups)).permute(1, 2, 0)


def _face_normals(table: Tensor, corners: Tensor) -> Tensor:
    """Face normals (3, B * F) of vertices (3, B * V) and corners (3, B * F)."""
    a, b, c = take(table, corners).unbind(1)
    ux, uy, uz = (b - a).unbind(0)
    vx, vy, vz = (c - a).unbind(0)
    return torch.stack((cross(uy, uz, vy, vz), cross(uz, ux, vz, vx), cross(ux, uy, vx, vy)))
