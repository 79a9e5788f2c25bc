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


def batched_index(index: Tensor, batch: int, stride: int) -> Tensor:
    """One index (K, N) into tables of ``stride`` columns, repeated for a batch of them laid side by side.

    Gives (K, B * N).
    """
    if batch == 1:
        return index
    offsets = torch.arange(batch, device=index.device) * stride
    return (index.unsqueeze(1) + offsets.view(1, -1, 1)).reshape(index.shape[0], -1)


def cross(ax: Tensor, ay: Tensor, bx: Tensor, by: Tensor) -> Tensor:
    """z component of the cross product of two plane vectors, elementwise."""
    return ax * by - ay * bx
