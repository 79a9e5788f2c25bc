"""Surface normals of triangle meshes."""

from __future__ import annotations

import torch
from torch import Tensor

from pie_framework.rendering._rows import batched_index, take_rows


def face_normals(vertices: Tensor, faces: Tensor) -> Tensor:
    """Face normals (B, F, 3) of vertices (B, V, 3) and faces (F, 3); length: twice the triangle's area."""
    batch, count, _ = vertices.shape
    table = vertices.reshape(-1, 3)
    a, b, c = (take_rows(table, batched_index(faces[:, k], batch, count)) for k in range(3))
    return torch.linalg.cross(b - a, c - a, dim=-1)


def vertex_normals(vertices: Tensor, faces: Tensor, groups: Tensor | None = None) -> Tensor:
    """Unit vertex normals (B, V, 3), area-weighted over the adjoining faces; differentiable.

    ``vertices`` (B, V, 3); ``faces`` (F, 3) int64, counter-clockwise seen from outside; ``groups`` (V,) int64 in
    [0, V) gives coincident vertices (the two sides of a seam) one number, and they share one normal. Vertices of
    no face have a zero normal. Deterministic on a CPU, and on CUDA under ``torch.use_deterministic_algorithms``.
    """
    batch, count, _ = vertices.shape
    normals = face_normals(vertices, faces)
    target = faces if groups is None else groups[faces]
    # Accumulated on flattened scalars: on a CPU a one-dimensional index_add is far faster than one of rows.
    corner = batched_index(target, batch, count).unsqueeze(-1) * 3 + torch.arange(3, device=faces.device)
    summed = vertices.new_zeros(batch * count * 3).index_add(
        0, corner.reshape(-1), normals.unsqueeze(2).expand(-1, -1, 3, -1).reshape(-1)
    )
    unit = torch.nn.functional.normalize(summed.view(batch * count, 3), dim=-1, eps=1e-20)
    if groups is None:
        return unit.view(batch, count, 3)
    return take_rows(unit, batched_index(groups, batch, count))
