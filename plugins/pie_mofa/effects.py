"""How much an error of θ matters: every block is measured by what it changes, not by its coefficients.

Identity and expression move vertices, albedo changes colours, illumination changes shading; all are linear in
their coefficients, so the mean squared change is a quadratic form that is computed once.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from pie_framework.api import FaceModel, Layout
from pie_framework.rendering import sh_basis

#: Blocks whose effect is a change of the neutral mesh, and the part of the mesh that they change.
MESH_BLOCKS = {"identity": "vertices", "expression": "vertices", "albedo": "colours"}


def front_normals(n: int = 200) -> Tensor:
    """Unit normals (n, 3) spread evenly over the hemisphere that faces the viewer (a Fibonacci lattice)."""
    index = torch.arange(n, dtype=torch.float64)
    z = (index + 0.5) / n
    angle = index * math.pi * (3 - math.sqrt(5))
    ring = (1 - z.square()).sqrt()
    return torch.stack((ring * angle.cos(), ring * angle.sin(), z), dim=1)


def shading_matrix(channels: int = 3, n: int = 200) -> Tensor:
    """Illumination, channel-major, to shading of `front_normals`: (n * channels, 9 * channels)."""
    basis = sh_basis(front_normals(n)) / math.pi
    return torch.kron(torch.eye(channels, dtype=basis.dtype), basis)


def _factor(gram: Tensor) -> Tensor:
    """A symmetric root of a Gram matrix, (n, n)."""
    values, vectors = torch.linalg.eigh(gram)
    root: Tensor = (vectors * values.clamp_min(0).sqrt()) @ vectors.T
    return root


@torch.no_grad()
def _mesh_gram(face_model: FaceModel, neutral: Tensor, block: str, part: str, step: float = 1e-2) -> Tensor:
    """Gram matrix, (n, n), of the change of the mesh per unit of each coefficient; mean over the vertices."""
    columns = range(neutral.numel())[face_model.layout.slice(block)]
    rest = getattr(face_model.mesh(neutral[None]), part)
    changes = []
    for column in columns:
        moved = neutral.clone()
        moved[column] += step
        changes.append((getattr(face_model.mesh(moved[None]), part) - rest).flatten() / step)
    matrix = torch.stack(changes).double()
    gram: Tensor = matrix @ matrix.T / rest.shape[1]
    return gram


class Effects:
    """Root-mean-square effect of coefficient errors, relative to the deviation over the portraits.

    Args:
        face_model: its mesh is probed coefficient by coefficient.
        mean: (P,) mean of θ over the portraits.
        scale: (P,) standard deviation of θ.

    Blocks whose effect is not known here (rotation, translation: the landmarks measure them) are left out.
    """

    def __init__(self, face_model: FaceModel, mean: Tensor, scale: Tensor) -> None:
        self.layout: Layout = face_model.layout
        neutral = mean.clone()
        for block in (*MESH_BLOCKS, "rotation", "translation"):
            if block in self.layout.block_names:
                neutral[self.layout.slice(block)] = 0
        self.roots: dict[str, Tensor] = {}
        for block in self.layout.block_names:
            if block in MESH_BLOCKS:
                gram = _mesh_gram(face_model, neutral, block, MESH_BLOCKS[block])
            elif block == "illumination" and self.layout.block(block).size % 9 == 0:
                matrix = shading_matrix(self.layout.block(block).size // 9)
                gram = matrix.T @ matrix / len(matrix)
            else:
                continue
            deviation = scale[self.layout.slice(block)].double().cpu()
            variance = float((gram.cpu().diagonal() * deviation.square()).sum())
            if variance > 1e-12:
                self.roots[block] = _factor(gram.cpu() / variance).to(scale)

    def errors(self, difference: Tensor) -> dict[str, Tensor]:
        """Squared effect of a difference of θ by block: (B, P) -> {block: (B,)}; 1 is the variance."""
        return {
            block: (self.layout.get(difference, block) @ root).square().sum(dim=1)
            for block, root in self.roots.items()
        }
