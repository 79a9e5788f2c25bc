"""Perspective camera and head rotation.

Rotation is (pitch, yaw, roll) in radians, each right-handed about x, y and z: ``R = Rz(roll) @ Ry(yaw) @
Rx(pitch)``, applied to column vectors. So yaw > 0 turns the nose to the image's right, pitch > 0 bows the
head, and roll > 0 turns the head counter-clockwise as seen in the image.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from pie_framework.errors import InputError


def image_size(size: int | tuple[int, int]) -> tuple[int, int]:
    """(height, width) of an image given as its side or as (height, width); InputError unless positive."""
    height, width = (size, size) if isinstance(size, int) else (int(size[0]), int(size[1]))
    if height < 1 or width < 1:
        raise InputError(f"an image of {height}x{width} pixels is impossible: give positive sides")
    return height, width


@dataclass(frozen=True)
class PerspectiveCamera:
    """Camera at (0, 0, ``distance``) looking along -z.

    ``distance``: world units from the origin. ``focal``: focal length in units of half the image's height,
    so a point at depth ``d`` and height ``y`` lands ``focal * y / d`` half-heights above the principal
    point. ``principal``: (right, up) of the principal point, seen from the image's centre, in half-heights.
    """

    distance: float
    focal: float
    principal: tuple[float, float] = (0.0, 0.0)

    def project(self, points: Tensor, size: int | tuple[int, int]) -> tuple[Tensor, Tensor]:
        """Project world points (B, V, 3) into an image of ``size`` (side, or (height, width)).

        Returns pixels (B, V, 2) as (x, y), and depth (B, V): distance along the view axis, positive in
        front of the camera. Points at or behind the camera have depth <= 0 and no meaningful pixel.
        """
        height, width = image_size(size)
        depth = self.distance - points[..., 2]
        scale = (0.5 * height * self.focal) / depth
        right, up = self.principal
        x = 0.5 * (width + right * height) + scale * points[..., 0]
        y = 0.5 * (1.0 - up) * height - scale * points[..., 1]
        return torch.stack((x, y), dim=-1), depth


def euler_to_matrix(rotation: Tensor) -> Tensor:
    """Rotation matrices (B, 3, 3) of (pitch, yaw, roll) (B, 3) in radians."""
    cp, cy, cr = torch.cos(rotation).unbind(-1)
    sp, sy, sr = torch.sin(rotation).unbind(-1)
    entries = (
        cr * cy,
        cr * sy * sp - sr * cp,
        cr * sy * cp + sr * sp,
        sr * cy,
        sr * sy * sp + cr * cp,
        sr * sy * cp - cr * sp,
        -sy,
        cy * sp,
        cy * cp,
    )
    return torch.stack(entries, dim=-1).reshape(*rotation.shape[:-1], 3, 3)


def matrix_to_euler(matrix: Tensor) -> Tensor:
    """(pitch, yaw, roll) (B, 3) in radians of rotation matrices (B, 3, 3).

    yaw lies in [-pi/2, pi/2], pitch and roll in (-pi, pi]. At yaw = +-pi/2 pitch and roll are not unique.
    """
    pitch = torch.atan2(matrix[..., 2, 1], matrix[..., 2, 2])
    yaw = torch.atan2(-matrix[..., 2, 0], torch.hypot(matrix[..., 2, 1], matrix[..., 2, 2]))
    roll = torch.atan2(matrix[..., 1, 0], matrix[..., 0, 0])
    return torch.stack((pitch, yaw, roll), dim=-1)


def mirror_rotation(rotation: Tensor) -> Tensor:
    """Rotation (B, 3) of the head in the left-right flipped image: yaw and roll change sign."""
    return rotation * rotation.new_tensor((1.0, -1.0, -1.0))
