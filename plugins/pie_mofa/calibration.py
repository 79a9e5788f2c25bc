"""Where an encoder without labels starts: the mean face where samples show faces, under light of their brightness."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from pie_framework.api import FaceModel, Layout
from pie_framework.rendering import ambient_light

#: Standard deviations of blocks by their unit.
UNITS = {
    "standard deviations": 1.0,
    "activation": 0.3,
    "radians": 0.2,
    "spherical harmonics": 0.3,
}
#: What a standard deviation of a translation moves the landmarks by, as a fraction of the image side.
SHIFT = 0.02
#: Shading of the light that calibration starts from.
AMBIENT = 0.8


def mean_light(layout: Layout, like: Tensor) -> Tensor:
    """θ (P,) with white light from everywhere, where the model's illumination is three colours of nine bands."""
    theta = like.new_zeros(layout.size)
    if "illumination" in layout.block_names and layout.block("illumination").size == 27:
        theta[layout.slice("illumination")] = ambient_light(like.new_tensor([AMBIENT]))[0]
    return theta


def coefficient_scale(face_model: FaceModel, theta: Tensor, given: dict[str, float]) -> Tensor:
    """Standard deviations (P,) of the prior: by the blocks' units, translations by what they move.

    Args:
        face_model: its landmarks are probed.
        theta: where, (P,).
        given: of blocks by name, instead.
    """
    layout = face_model.layout
    scale = torch.ones_like(theta)
    for block in layout.blocks:
        rows = layout.slice(block.name)
        scale[rows] = given.get(block.name, UNITS.get(block.unit, 1.0))
        if block.name == "translation" and block.name not in given:
            scale[rows] = _moving(face_model, theta, range(layout.size)[rows])
    return scale


@torch.no_grad()
def _moving(face_model: FaceModel, theta: Tensor, columns: range, step: float = 1e-2) -> Tensor:
    """How much of each coefficient moves the landmarks by `SHIFT`, root mean square."""
    probes = theta.repeat(len(columns) + 1, 1)
    for row, column in enumerate(columns):
        probes[row + 1, column] += step
    points = face_model.landmarks(probes, 1)
    moved = (points[1:] - points[:1]).square().sum(-1).mean(-1).sqrt() / step
    return (SHIFT / moved.clamp_min(1e-6)).clamp(1e-3, 1e3)


def mean_pose(face_model: FaceModel, theta: Tensor, scale: Tensor, points: Tensor, steps: int = 60) -> Tensor:
    """θ (P,) with the rotation and translation that bring the landmarks nearest to the samples' mean ones.

    Args:
        face_model: projects.
        theta: to start from, (P,).
        scale: (P,) standard deviations, the unit of the search.
        points: landmarks of samples, (N, K, 2), as fractions of the side.
        steps: of L-BFGS.
    """
    layout = face_model.layout
    chosen = torch.zeros_like(theta)
    for name in ("rotation", "translation"):
        if name in layout.block_names:
            chosen[layout.slice(name)] = 1
    target = points.mean(dim=0)
    move = torch.zeros_like(theta, requires_grad=True)
    search = torch.optim.LBFGS([move], max_iter=steps, line_search_fn="strong_wolfe")

    def error() -> Tensor:
        search.zero_grad()
        found = face_model.landmarks((theta + chosen * scale * move)[None], 1)[0]
        loss = 1e3 * (found - target).square().sum(dim=-1).mean()
        loss = loss + 1e-3 * (chosen * move).square().sum()
        torch.autograd.backward(loss)
        return loss

    with torch.enable_grad():
        search.step(error)  # type: ignore[no-untyped-call]
    best = (theta + chosen * scale * move).detach()
    return best if torch.isfinite(best).all() else theta


@torch.no_grad()
def brightened(face_model: FaceModel, theta: Tensor, images: Tensor, size: int) -> Tensor:
    """θ (P,) with its white light made as bright, and of the colour, that the mean sample's face has.

    Args:
        face_model: renders.
        theta: with ambient light, (P,).
        images: samples (N, 3, s, s) in [-1, 1].
        size: side in pixels at which they are compared.
    """
    layout = face_model.layout
    if "illumination" not in layout.block_names or layout.block("illumination").size != 27:
        return theta
    rows = layout.slice("illumination")
    wanted = functional.interpolate(images.mean(dim=0, keepdim=True), (size, size), mode="area")
    for _ in range(3):
        seen = face_model.render(theta[None], size)
        area = seen.mask.sum().clamp_min(1.0)
        ratio = [((x + 1) / 2 * seen.mask).sum(dim=(0, 2, 3)) / area for x in (wanted, seen.image)]
        gain = (ratio[0] / ratio[1].clamp_min(1e-3)).clamp(0.5, 2.0)
        theta = theta.clone()
        theta[rows] = (theta[rows].reshape(3, 9) * gain[:, None].to(theta)).flatten()
    return theta


def calibrate(
    face_model: FaceModel, images: Tensor, points: Tensor, given: dict[str, float], size: int
) -> tuple[Tensor, Tensor]:
    """Mean and standard deviations (P,) of θ that an encoder without labels starts from.

    Args:
        face_model: of the portraits.
        images: samples (N, 3, s, s) in [-1, 1].
        points: their landmarks (N, K, 2), as fractions of the side.
        given: standard deviations of blocks by name, instead of those of their units.
        size: side in pixels at which colours are compared.
    """
    theta = mean_light(face_model.layout, points)
    scale = coefficient_scale(face_model, theta, given)
    theta = mean_pose(face_model, theta, scale, points)
    return brightened(face_model, theta, images, size), scale
