"""The network's own picture: a square window of the portrait, as Deep3DFaceRecon's preprocessing cuts it.

A window is (x, y, side): its centre and its side in fractions of the portrait's side, origin at the portrait's top-left
corner, y down. It is upright, as theirs is: nothing is rotated.
"""

from __future__ import annotations

import functools
import math

import torch
from torch import Tensor

from pie_framework.errors import InputError
from pie_mofa.deep3d.network import INPUT_SIZE

#: Five points of their standard face: eye, eye, tip of the nose, corners of the mouth, image-left first; x right, y up,
#: z to the viewer, in decimetres from the middle of the face model's mean face.
STANDARD_POINTS = (
    (-0.31148657, 0.29036078, 0.13377953),
    (0.30979887, 0.28972036, 0.13179526),
    (0.0032535, -0.04617932, 0.55244243),
    (-0.25216928, -0.38133916, 0.22405732),
    (0.2484662, -0.38128236, 0.22235769),
)
#: Pixels of the picture per unit of the standard points.
RESCALE = 102.0


def five_points(landmarks: Tensor) -> Tensor:
    """Eyes, tip of the nose and corners of the mouth, (B, 5, 2), of 66 or 68 landmarks (B, K, 2).

    An eye is the middle between its corners. The first 60 landmarks of both schemes are the same.
    """
    if landmarks.dim() != 3 or landmarks.shape[1] not in (66, 68) or landmarks.shape[2] != 2:
        raise InputError(f"the crop needs landmarks (B, 66, 2) or (B, 68, 2), not {tuple(landmarks.shape)}")
    eyes = 0.5 * (landmarks[:, (36, 42)] + landmarks[:, (39, 45)])
    return torch.cat((eyes, landmarks[:, (30, 48, 54)]), dim=1)


@functools.cache
def _solver() -> Tensor:
    """(4, 5) pseudoinverse of the standard points with a column of ones, float64."""
    points = torch.tensor(STANDARD_POINTS, dtype=torch.float64)
    inverse: Tensor = torch.linalg.pinv(torch.cat((points, torch.ones_like(points[:, :1])), dim=1))
    return inverse


def windows(points: Tensor, size: int) -> Tensor:
    """The window (B, 3) around each face.

    The five points are fitted, by least squares, by an affine image of the standard points; the length of its rows
    is the face's scale, and the standard face's origin comes to the middle of the window.

    Args:
        points: (B, 5, 2) pixels of a portrait of `size`.
        size: side of the portrait, pixels.

    Raises:
        InputError: five points lie in one spot, or are not finite.
    """
    fit = torch.einsum("kn,bnc->bkc", _solver().to(points.device), points.double())
    scale = fit[:, :3].norm(dim=1).mean(dim=1)
    if not bool((torch.isfinite(fit).all(dim=(1, 2)) & (scale > 1e-6 * size)).all()):
        raise InputError("no window can be laid around a face: its landmarks coincide or are not finite")
    side = INPUT_SIZE / RESCALE * scale
    return torch.cat((fit[:, 3] / size, (side / size).unsqueeze(1)), dim=1).to(points.dtype)


def resample(image: Tensor, window: Tensor | tuple[float, float, float], size: int = INPUT_SIZE) -> Tensor:
    """The windows of images at ``size`` x ``size``; differentiable in the image.

    Separable cubic convolution (Keys 1981, a = -0.5) whose kernel widens with the step between samples, as Pillow's
    bicubic resizing does, so nothing aliases at any resolution. Beyond the border the border's pixels go on.

    Args:
        image: (B, C, H, H).
        window: (B or 1, 3), or one for all images, whose weights are then kept for the next call.
    """
    height, width = image.shape[-2:]
    if isinstance(window, Tensor):
        across = _weights(window[:, 0], window[:, 2], width, size).to(image)
        down = _weights(window[:, 1], window[:, 2], height, size).to(image)
    else:
        x, y, side = window
        across = _kept_weights(x, side, width, size, image.dtype, image.device)
        down = _kept_weights(y, side, height, size, image.dtype, image.device)
    with torch.autocast(image.device.type, enabled=False):
        return down.unsqueeze(1) @ (image @ across.unsqueeze(1).transpose(2, 3))


@functools.lru_cache(maxsize=16)
def _kept_weights(
    centre: float, side: float, length: int, size: int, dtype: torch.dtype, device: torch.device
) -> Tensor:
    """As `_weights`, (1, size, length): nothing is read back from the device in an iteration."""
    with torch.inference_mode(False):
        where = torch.tensor([[centre], [side]], dtype=torch.float64, device="cpu")
        return _weights(where[0], where[1], length, size).to(device, dtype)


def _weights(centre: Tensor, side: Tensor, length: int, size: int) -> Tensor:
    """(B, size, length) weight of each pixel in each sample along one axis; rows sum to one."""
    centre, side = centre.detach().double(), side.detach().double()
    step = side * length / size
    stretch = step.clamp_min(1.0)
    taps = 2 * math.ceil(2.0 * float(stretch.max())) + 1
    grid = torch.arange(size, dtype=torch.float64, device=centre.device) + 0.5 - 0.5 * size
    at = (centre * length).unsqueeze(1) + step.unsqueeze(1) * grid
    pixel = at.floor().unsqueeze(-1) + torch.arange(taps, device=centre.device) - taps // 2
    weight = _keys((pixel + 0.5 - at.unsqueeze(-1)) / stretch.view(-1, 1, 1))
    weight = weight / weight.sum(dim=-1, keepdim=True)
    dense = weight.new_zeros(len(centre), size, length)
    return dense.scatter_add_(2, pixel.long().clamp(0, length - 1), weight)


def _keys(x: Tensor) -> Tensor:
    """Keys' cubic kernel with a = -0.5."""
    x = x.abs()
    near = (1.5 * x - 2.5) * x * x + 1.0
    far = ((-0.5 * x + 2.5) * x - 4.0) * x + 2.0
    return torch.where(x < 1.0, near, torch.where(x < 2.0, far, torch.zeros_like(x)))
