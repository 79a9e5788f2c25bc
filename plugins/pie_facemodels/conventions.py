"""The one place where units, axes, cameras and lights of other face models are turned into ours.

Ours: x to the image's right, y up, z towards the viewer; the head at θ = 0 faces along +z and stands where aligned
portraits (FFHQ) show faces when it is seen by `FFHQ_CAMERA`; rotation is ``Rz(roll) @ Ry(yaw) @ Rx(pitch)`` about
`PIVOT`; illumination is that of `pie_framework.rendering.illumination`.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from pie_facemodels.procedural import expression
from pie_facemodels.procedural.model import CAMERA, OFFSET
from pie_facemodels.procedural.model import PIVOT as PROCEDURAL_PIVOT
from pie_facemodels.procedural.template import landmark_vertices, template
from pie_framework.api import Layout
from pie_framework.errors import InputError
from pie_framework.rendering import PerspectiveCamera, euler_to_matrix, matrix_to_euler, sh_basis

if TYPE_CHECKING:
    from jaxtyping import Float

Array = npt.NDArray[np.float64]
Floats = npt.NDArray[np.floating]

#: The camera that sees a head at θ = 0 as FFHQ alignment shows faces.
FFHQ_CAMERA = CAMERA
#: What a head turns about, in world units: a point in the middle of the neck's top.
PIVOT = tuple(p + o for p, o in zip(PROCEDURAL_PIVOT, OFFSET, strict=True))
IDENTITY_AXES = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))

#: Where the inner mouth corners lie among the 68 Multi-PIE (iBUG) landmarks; ours are the other 66.
INNER_MOUTH_CORNERS = (60, 64)
#: Landmarks that a fit of placement trusts: all but the jaw, which every model marks elsewhere.
TRUSTED = tuple(range(17, 66))


@dataclass(frozen=True)
class Placement:
    """From a file's coordinates to the world: ``x' = scale * axes @ x + offset``.

    Attributes:
        scale: world units per unit of the file.
        axes: rows are our x, y and z axes in the file's coordinates.
        offset: world position of the file's origin.
    """

    scale: float = 1.0
    axes: tuple[tuple[float, float, float], ...] = IDENTITY_AXES
    offset: tuple[float, float, float] = (0.0, 0.0, 0.0)

    @property
    def matrix(self) -> Array:
        """(3, 3) scale * axes."""
        return self.scale * np.array(self.axes)

    def points(self, points: Floats) -> npt.NDArray[np.float32]:
        """World positions (..., 3) of points (..., 3)."""
        return np.asarray(points @ self.matrix.T + np.array(self.offset), dtype=np.float32)

    def differences(self, offsets: Floats) -> npt.NDArray[np.float32]:
        """World differences (..., 3) of offsets (..., 3), mode by mode so that nothing large is held twice."""
        moved = np.empty(offsets.shape, dtype=np.float32)
        matrix = self.matrix.T.astype(np.float32)
        for index in range(len(offsets)):
            moved[index] = offsets[index].astype(np.float32) @ matrix
        return moved

    @classmethod
    def aligned(
        cls,
        landmarks: Floats,
        axes: tuple[tuple[float, float, float], ...] = IDENTITY_AXES,
        camera: PerspectiveCamera = FFHQ_CAMERA,
    ) -> Placement:
        """The placement that puts neutral landmarks (66, 3) on those of an aligned portrait, by least squares.

        Scale and offset only: what the file calls upright and facing stays so. x and y are fitted where the camera sees
        them (over `TRUSTED`); the depth of the offset puts the landmarks' mean depth at the procedural model's.

        Raises:
            InputError: the landmarks are not 66 finite points with some extent.
        """
        points = np.asarray(landmarks, dtype=np.float64)
        if points.shape != (66, 3) or not np.isfinite(points).all():
            raise InputError(f"66 finite landmarks are needed to place a face, not an array {points.shape}")
        own = points[list(TRUSTED)] @ np.array(axes).T
        goal = neutral_landmarks()[list(TRUSTED)]
        seen = goal[:, :2] / (camera.distance - goal[:, 2:])
        if np.ptp(own[:, 0]) < 1e-9 or np.ptp(own[:, 1]) < 1e-9:
            raise InputError("the landmarks of the face model lie in one point or line: it cannot be placed")
        scale, mean = float(np.ptp(goal[:, 0]) / np.ptp(own[:, 0])), own.mean(0)
        depth = float(goal[:, 2].mean())
        shift = np.zeros(2)
        for _ in range(20):
            # With the depths of the last round, the picture is linear in scale and offset.
            away = camera.distance - (depth + scale * (own[:, 2] - mean[2]))
            columns = np.zeros((2 * len(own), 3))
            columns[0::2, 0], columns[1::2, 0] = (own[:, 0] - mean[0]) / away, (own[:, 1] - mean[1]) / away
            columns[0::2, 1] = columns[1::2, 2] = 1.0 / away
            scale, *shift = np.linalg.lstsq(columns, seen.reshape(-1), rcond=None)[0].tolist()
        offset = np.array([*shift, depth]) - scale * mean
        return cls(float(scale), axes, (float(offset[0]), float(offset[1]), float(offset[2])))


@functools.cache
def neutral_landmarks() -> Array:
    """(66, 3) world positions of the procedural model's neutral landmarks: where aligned portraits have them."""
    t = template()
    rest = t.vertices + expression.named_fields(t)["rest"]
    return np.asarray(rest[landmark_vertices()] + np.array(OFFSET))


def multi_pie_66(values: Array | npt.NDArray[np.int64]) -> npt.NDArray[np.generic]:
    """The 66 of 68 Multi-PIE rows (68, ...): without the inner mouth corners."""
    if len(values) != 68:
        raise InputError(f"{len(values)} landmarks were given where the 68 of Multi-PIE are needed")
    return np.delete(np.asarray(values), INNER_MOUTH_CORNERS, axis=0)


def pinhole_camera(
    distance: float, focal_pixels: float, size: int, centre: tuple[float, float] | None = None
) -> PerspectiveCamera:
    """The camera of a pinhole given in pixels.

    Args:
        distance: of the camera from the origin, world units.
        focal_pixels: focal length, pixels of an image of `size`.
        size: height of the image, pixels.
        centre: principal point (x, y) in pixels, origin at the image's top-left corner, y down; the middle if None.
    """
    x, y = (size / 2, size / 2) if centre is None else centre
    half = size / 2
    return PerspectiveCamera(distance, focal_pixels / half, ((x - half) / half, (half - y) / half))


@functools.cache
def _deep3d_bands(dtype: torch.dtype, device: torch.device) -> Float[Tensor, "9"]:
    """γ of ours over γ of theirs, band by band: both are constants times the same polynomials."""
    a = (math.pi, 2 * math.pi / math.sqrt(3), 2 * math.pi / math.sqrt(8))
    c = (1 / math.sqrt(4 * math.pi), math.sqrt(3 / (4 * math.pi)), 3 * math.sqrt(5 / (12 * math.pi)))
    first, second, third = (x * y for x, y in zip(a, c, strict=True))
    zz, xx = third * 0.5 / math.sqrt(3), third * 0.5
    theirs = (first, -second, second, -second, third, -third, zz, -third, xx)
    # Our basis at a normal where no polynomial is zero: its constants.
    x, y, z = 0.6, 0.48, 0.64
    polynomials = (1.0, y, z, x, x * y, y * z, 3 * z * z - 1, x * z, x * x - y * y)
    with torch.inference_mode(False):
        double = functools.partial(torch.tensor, dtype=torch.float64, device="cpu")
        ours = sh_basis(double((x, y, z))) / double(polynomials) / math.pi
        return (double(theirs) / ours).to(device, dtype)


def illumination_from_deep3d(gamma: Float[Tensor, "B 27"], ambient: float = 0.8) -> Float[Tensor, "B 27"]:
    """Our γ that shades as Deep3DFaceRecon's does.

    Args:
        gamma: theirs, channel by channel of nine bands, before ``ambient`` is added to each first band.
        ambient: what their renderer adds.
    """
    bands = gamma.reshape(-1, 3, 9)
    first = torch.zeros(9, dtype=gamma.dtype, device=gamma.device)
    first[0] = ambient
    return ((bands + first) * _deep3d_bands(gamma.dtype, gamma.device)).flatten(1)


def illumination_to_deep3d(gamma: Float[Tensor, "B 27"], ambient: float = 0.8) -> Float[Tensor, "B 27"]:
    """The inverse of `illumination_from_deep3d`."""
    bands = gamma.reshape(-1, 3, 9) / _deep3d_bands(gamma.dtype, gamma.device)
    first = torch.zeros(9, dtype=gamma.dtype, device=gamma.device)
    first[0] = ambient
    return (bands - first).flatten(1)


#: Deep3DFaceRecon's camera: distance in its units (decimetres), focal length and side of its picture in pixels.
DEEP3D_DISTANCE, DEEP3D_FOCAL, DEEP3D_SIDE = 10.0, 1015.0, 224
#: Its coefficients' order.
DEEP3D_ORDER = ("identity", "expression", "albedo", "rotation", "illumination", "translation")
#: (x, y, side) of the window that Deep3DFaceRecon's preprocessing cuts out of a portrait that FFHQ alignment made of
#: its standard face, in fractions of the portrait's side. That face has its eyes at y = 0.29004, 0.62129 apart, its
#: mouth at y = -0.38131: FFHQ's square has the side 4 * 0.62129, its middle a tenth of the way from the eyes to the
#: mouth; the window has the face's origin (y = 0) in its middle and 224 / 102 units as its side.
DEEP3D_WINDOW = (0.5, 0.58970, 0.88368)


def deep3d_camera(window: tuple[float, float, float] = DEEP3D_WINDOW) -> PerspectiveCamera:
    """Deep3DFaceRecon's camera of a window (x, y, side) as a camera of the whole portrait: exactly the same."""
    x, y, side = window
    if not side > 0.0:
        raise InputError(f"the window {window} of the portrait has no size")
    scale = DEEP3D_SIDE / side  # the portrait's side in pixels of the network's picture
    focal = DEEP3D_FOCAL / (0.5 * scale)
    return PerspectiveCamera(DEEP3D_DISTANCE, focal, (2.0 * x - 1.0, 1.0 - 2.0 * y))


def theta_from_deep3d(coefficients: Float[Tensor, "B P"], layout: Layout) -> Float[Tensor, "B P"]:
    """θ of Deep3DFaceRecon's coefficients, in the camera of its own picture.

    Theirs are identity, expression, albedo, angles, illumination, translation. Their axes are ours, and so are the
    angles: they rotate by ``vertices @ (Rz Ry Rx)^T``, which is our R on column vectors. Illumination differs in
    constants, signs and an ambient part (`illumination_from_deep3d`).
    """
    sizes = [layout.block(name).size for name in DEEP3D_ORDER]
    parts = dict(zip(DEEP3D_ORDER, torch.split(layout.check(coefficients), sizes, dim=-1), strict=True))
    parts["illumination"] = illumination_from_deep3d(parts["illumination"])
    return layout.join(parts)


def theta_to_deep3d(theta: Float[Tensor, "B P"], layout: Layout) -> Float[Tensor, "B P"]:
    """The inverse of `theta_from_deep3d`."""
    parts = layout.split(theta)
    parts["illumination"] = illumination_to_deep3d(parts["illumination"])
    return torch.cat([parts[name] for name in DEEP3D_ORDER], dim=-1)


def change_window(
    theta: Float[Tensor, "B P"],
    layout: Layout,
    windows: Float[Tensor, "B 3"],
    window: tuple[float, float, float] = DEEP3D_WINDOW,
) -> Float[Tensor, "B P"]:
    """θ in the cameras of windows (x, y, side) -> θ in the camera of `window`, looking the same in the portrait.

    The head's origin keeps its pixel, and its depth changes with the focal length, so that it keeps its size. Head and
    light turn by the angle between the two lines of sight to that pixel: seen from straight ahead in the one camera, it
    is seen so in the other. What differs is the perspective within the head, which depends on its distance. θ is
    unchanged, but for rounding, where both windows are the same.
    """
    camera = deep3d_camera(window)
    parts = layout.split(theta)
    eye = theta.new_tensor((0.0, 0.0, camera.distance))
    sight = parts["translation"] - eye
    focal = camera.focal * windows[:, 2:] / window[2]
    principal = torch.stack((2.0 * windows[:, 0] - 1.0, 1.0 - 2.0 * windows[:, 1]), dim=1)
    depth = -sight[:, 2:]
    seen = principal + focal * sight[:, :2] / depth
    ahead = torch.cat(
        ((seen - seen.new_tensor(camera.principal)) / camera.focal, -torch.ones_like(depth)), dim=1
    )
    turn = _turn(sight, ahead)
    parts["rotation"] = matrix_to_euler(turn @ euler_to_matrix(parts["rotation"]))
    parts["translation"] = eye + ahead * depth * (camera.focal / focal)
    parts["illumination"] = turn_illumination(parts["illumination"], turn)
    return layout.join(parts)


def _turn(first: Float[Tensor, "B 3"], second: Float[Tensor, "B 3"]) -> Float[Tensor, "B 3 3"]:
    """The smallest rotations that take directions `first` to `second`, less than 180 degrees apart."""
    a, b = torch.nn.functional.normalize(first, dim=-1), torch.nn.functional.normalize(second, dim=-1)
    x, y, z = torch.linalg.cross(a, b, dim=-1).unbind(-1)
    zero = torch.zeros_like(x)
    skew = torch.stack((zero, -z, y, z, zero, -x, -y, x, zero), dim=-1).view(-1, 3, 3)
    cosine = (a * b).sum(-1).view(-1, 1, 1)
    return torch.eye(3, dtype=a.dtype, device=a.device) + skew + skew @ skew / (1.0 + cosine)


def turn_illumination(
    gamma: Float[Tensor, "B 27"], rotation: Float[Tensor, "B 3 3"]
) -> Float[Tensor, "B 27"]:
    """γ of light turned by rotations: the new light shades R n as the old one shades n."""
    normals, inverse = _probes(gamma.dtype, gamma.device)
    # What the new light does at n is what the old one did at R^T n, as rows: n^T R.
    shades = gamma.reshape(-1, 3, 9) @ sh_basis(normals @ rotation).transpose(1, 2)
    return (shades @ inverse).flatten(1)


@functools.cache
def _probes(dtype: torch.dtype, device: torch.device) -> tuple[Float[Tensor, "26 3"], Float[Tensor, "26 9"]]:
    """Normals that tell the nine bands apart, and the matrix from shades at them to γ."""
    steps = (-1.0, 0.0, 1.0)
    with torch.inference_mode(False):
        spread = torch.tensor(
            [(x, y, z) for x in steps for y in steps for z in steps if x or y or z]
        ).double()
        normals = torch.nn.functional.normalize(spread, dim=-1)
        inverse: Tensor = torch.linalg.pinv(sh_basis(normals)).T
        return normals.to(device, dtype), inverse.to(device, dtype)
