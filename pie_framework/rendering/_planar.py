"""Indexing with components first: (C, N) tables, whose gathers and their gradients are fast on a CPU."""

from __future__ import annotations

import torch
from torch import Tensor


def planar(rows: Tensor) -> Tensor:
    """(B, N, C) as (C, B * N)."""
    return rows.permute(2, 0, 1).reshape(rows.shape[2], -1)


def take(table: Tensor, index: Tensor) -> Tensor:
    """Columns of ``table`` (C, N) at ``index`` (...), giving (C, ...)."""
    return table.index_select(1, index.reshape(-1)).view(table.shape[0], *index.shape)


def batched_corners(faces: Tensor, batch: int, stride: int) -> Tensor:
    """Corners (3, B * F) of faces (F, 3) for a batch of meshes side by side, ``stride`` vertices each."""
    corners = faces.t().contiguous()
    if batch == 1:
        return corners
    offsets = torch.arange(batch, device=faces.device).view(1, -1, 1) * stride
    return (corners.unsqueeze(1) + offsets).view(3, -1)


def cross(ax: Tensor, ay: Tensor, bx: Tensor, by: Tensor) -> Tensor:
    """z component of the cross product of two plane vectors, elementwise."""
    return ax * by - ay * bx
