"""Toy scenes: portraits of the toy world, whose θ is exactly what the toy encoder reads of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from pie_framework.api import Layout
from pie_framework.testing.toys import ToyFaceModel

if TYPE_CHECKING:
    from jaxtyping import Float, UInt8

#: Standard deviations of the coefficients that are drawn; small, so that images stay within [-1, 1].
SPREAD = {"rotation": 0.2, "translation": 0.1}
OTHER_SPREAD = 0.5


@dataclass(frozen=True)
class ToyKnownPortraits:
    """`KnownPortraits` of the toy world: linear in θ, with the face model's disc for a face; `regions` is 1
    on the disc."""

    face_model: ToyFaceModel
    images: Float[Tensor, "B 3 R R"]
    theta: Float[Tensor, "B P"]
    landmarks: Float[Tensor, "B K 2"]
    regions: UInt8[Tensor, "B R R"]

    @property
    def face(self) -> Float[Tensor, "B 1 R R"]:
        """1 on the disc, else 0."""
        return (self.regions == 1)[:, None].to(self.images.dtype)

    @property
    def background(self) -> Float[Tensor, "B 1 R R"]:
        """1 around the disc, else 0."""
        return (self.regions == 0)[:, None].to(self.images.dtype)

    def edited(self, theta: Float[Tensor, "B P"]) -> ToyKnownPortraits:
        """The portraits with the coefficients θ instead."""
        return show(self.face_model, theta)

    def take(self, rows: Sequence[int]) -> ToyKnownPortraits:
        """The portraits of these rows, in this order."""
        where = torch.tensor([int(row) for row in rows], dtype=torch.int64, device=self.images.device)
        return ToyKnownPortraits(
            self.face_model,
            self.images[where],
            self.theta[where],
            self.landmarks[where],
            self.regions[where],
        )


def show(face_model: ToyFaceModel, theta: Float[Tensor, "B P"]) -> ToyKnownPortraits:
    """The toy portraits with the coefficients θ, each rendered alone so that none depends on the others."""
    with torch.no_grad():
        shown = [face_model.render(row[None], face_model.size) for row in theta.detach()]
    return ToyKnownPortraits(
        face_model,
        torch.cat([r.image for r in shown]),
        theta.detach().clone(),
        torch.cat([r.landmarks for r in shown]),
        torch.cat([r.mask for r in shown])[:, 0].to(torch.uint8),
    )


class ToyScenes:
    """Draws portraits of the toy world, with its face model's size, device and dtype."""

    def __init__(self, face_model: ToyFaceModel) -> None:
        self.face_model = face_model
        self.size = face_model.size

    @property
    def layout(self) -> Layout:
        """Of the portraits' θ."""
        return self.face_model.layout

    def draw(self, count: int, rng: np.random.Generator, shots: int = 1) -> ToyKnownPortraits:
        """`count` persons, `shots` portraits of each; a person is identity and albedo."""
        spread = np.concatenate(
            [np.full(block.size, SPREAD.get(block.name, OTHER_SPREAD)) for block in self.layout.blocks]
        )
        theta = torch.from_numpy(rng.normal(size=(count * shots, self.layout.size)) * spread)
        person = theta.reshape(count, shots, -1)[:, :1].expand(-1, shots, -1).reshape(theta.shape)
        theta = self.layout.replace(theta, person, ("identity", "albedo"))
        return show(self.face_model, theta.to(self.face_model.pixels))
