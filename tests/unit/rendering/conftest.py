"""Small meshes with known geometry."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor


def _grid(rows: int, columns: int) -> Tensor:
    """Faces of a grid of vertices, counter-clockwise where rows go down and columns to the right."""
    row, column = torch.meshgrid(torch.arange(rows - 1), torch.arange(columns - 1), indexing="ij")
    a = (row * columns + column).reshape(-1)
    b, c, d = a + 1, a + columns, a + columns + 1
    return torch.cat((torch.stack((a, c, b), dim=-1), torch.stack((b, c, d), dim=-1)))


def _sphere(rows: int, columns: int) -> tuple[Tensor, Tensor, Tensor]:
    """Unit sphere with a doubled seam: vertices (V, 3), faces (F, 3), and groups (V,) that join the seam."""
    polar = torch.linspace(0, math.pi, rows, dtype=torch.float64)
    around = torch.linspace(0, 2 * math.pi, columns, dtype=torch.float64)
    t, p = torch.meshgrid(polar, around, indexing="ij")
    vertices = torch.stack((t.sin() * p.sin(), t.cos(), t.sin() * p.cos()), dim=-1).reshape(-1, 3)
    index = torch.arange(rows * columns).view(rows, columns)
    groups = index.clone()
    groups[:, -1] = groups[:, 0]
    groups[0] = 0
    groups[-1] = index[-1, 0]
    return vertices, _grid(rows, columns), groups.view(-1)


@pytest.fixture
def grid() -> Callable[[int, int], Tensor]:
    return _grid


@pytest.fixture
def sphere() -> Callable[[int, int], tuple[Tensor, Tensor, Tensor]]:
    return _sphere
