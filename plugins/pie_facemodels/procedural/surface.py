"""The head's skin as a surface that hair, clothes and glasses can be sampled from."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from pie_facemodels.procedural.loft import COLUMNS, ROWS

if TYPE_CHECKING:
    from jaxtyping import Float


class HeadSurface:
    """Neutral skin of a person as a grid (ROWS, COLUMNS), linear in the identity coefficients.

    Model coordinates (before rotation and translation: x image right, y up, z to the viewer; chin y = -1.3, pupils
    y = 0, crown y = 1.3). Rows run from the crown (row 0, one point) down the forehead to the bottom of the neck;
    columns start on the mid-line of the face and run over positive x to the back of the head (COLUMNS // 2) and
    back over negative x; the grid is closed: column COLUMNS is column 0. Ears, eyes and teeth are other parts.

    Continuous coordinates: ``u`` in [-1, 1] is the direction around the head, 0 the face's mid-line, +0.5 the side
    at positive x, +-1 the back (u = angle / 180 degrees); ``v`` in [0, 1] is the canonical row: 0 crown, 1 bottom
    of the neck, linear in the loft's key rows. ``v_of_height`` gives v for a height on the mid-line of the face
    (a hairline is at about 0.8, the brows at 0.26); at the back the same row lies lower, see ``loft.KEYS``.

    Args:
        mean: neutral mean skin, V = ROWS * COLUMNS.
        identity: displacement per identity coefficient.
        angles: column angles in radians, in (-pi, pi].
        parameters: key-row parameters of the rows, increasing.
        front_heights: heights of column 0.
    """

    def __init__(
        self,
        mean: Float[Tensor, "V 3"],
        identity: Float[Tensor, "n V 3"],
        angles: Float[Tensor, "COLUMNS"],
        parameters: Float[Tensor, "ROWS"],
        front_heights: Float[Tensor, "ROWS"],
    ) -> None:
        self.mean = mean
        self.identity = identity
        self.rows = ROWS
        self.columns = COLUMNS
        self._angles = angles.to(mean)
        self._parameters = parameters.to(mean)
        self._front_heights = front_heights.to(mean)

    def positions(self, alpha: Float[Tensor, "B n"]) -> Float[Tensor, "B ROWS COLUMNS 3"]:
        """Grid of the person ``alpha``, neutral expression; linear in ``alpha``."""
        moved = torch.einsum("bk,kvc->bvc", alpha, self.identity) + self.mean
        return moved.reshape(-1, self.rows, self.columns, 3)

    def normals(self, positions: Float[Tensor, "B ROWS COLUMNS 3"]) -> Float[Tensor, "B ROWS COLUMNS 3"]:
        """Outward unit normals of a grid from :meth:`positions`, by central differences."""
        around = torch.roll(positions, -1, 2) - torch.roll(positions, 1, 2)
        above = torch.cat([positions[:, :1], positions[:, :-1]], 1)
        below = torch.cat([positions[:, 1:], positions[:, -1:]], 1)
        normal = torch.linalg.cross(below - above, around)
        unit = normal / normal.norm(dim=-1, keepdim=True).clamp_min(1e-9)
        crown = torch.zeros_like(unit[:, :1])
        crown[..., 1] = 1.0
        return torch.cat([crown, unit[:, 1:]], 1)

    def v_of_height(self, height: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        """``v`` of the row that crosses the face's mid-line at canonical ``height`` (-1.25 to 1.3), any shape."""
        order = torch.arange(self.rows - 1, -1, -1, device=self.mean.device)
        face = order[self._front_heights[order] > -1.25]
        heights = self._front_heights[face].contiguous()
        index = torch.searchsorted(heights, height.to(heights).contiguous()).clamp(1, len(heights) - 1)
        low, high = heights[index - 1], heights[index]
        fraction = ((height - low) / (high - low).clamp_min(1e-9)).clamp(0.0, 1.0)
        span = self._parameters[-1]
        return (
            self._parameters[face[index - 1]] * (1 - fraction) + self._parameters[face[index]] * fraction
        ) / span

    def points(
        self, alpha: Float[Tensor, "B n"], u: Float[Tensor, "N"], v: Float[Tensor, "N"]
    ) -> tuple[Float[Tensor, "B N 3"], Float[Tensor, "B N 3"]]:
        """Positions and outward unit normals at continuous coordinates.

        Args:
            alpha: identity coefficients.
            u: in [-1, 1], around the head.
            v: in [0, 1], crown to neck.

        Returns:
            Both bilinear between the grid's vertices.
        """
        positions = self.positions(alpha)
        normals = self.normals(positions)
        half = self.columns // 2
        angle = u.abs().to(self.mean) * torch.pi
        column = torch.searchsorted(self._angles[: half + 1].contiguous(), angle).clamp(1, half)
        a0, a1 = self._angles[column - 1], self._angles[column]
        fu = ((angle - a0) / (a1 - a0)).clamp(0.0, 1.0)
        left = u < 0
        c0 = torch.where(left, -(column - 1), column - 1) % self.columns
        c1 = torch.where(left, -column, column) % self.columns
        parameter = (v.to(self.mean) * self._parameters[-1]).contiguous()
        row = torch.searchsorted(self._parameters, parameter).clamp(1, self.rows - 1)
        r0, r1 = self._parameters[row - 1], self._parameters[row]
        fv = ((parameter - r0) / (r1 - r0).clamp_min(1e-9)).clamp(0.0, 1.0)

        def sample(grid: Float[Tensor, "B ROWS COLUMNS 3"]) -> Float[Tensor, "B N 3"]:
            fu_, fv_ = fu[None, :, None], fv[None, :, None]
            top = grid[:, row - 1, c0] * (1 - fu_) + grid[:, row - 1, c1] * fu_
            bottom = grid[:, row, c0] * (1 - fu_) + grid[:, row, c1] * fu_
            return top * (1 - fv_) + bottom * fv_

        normal = sample(normals)
        return sample(positions), normal / normal.norm(dim=-1, keepdim=True).clamp_min(1e-9)
