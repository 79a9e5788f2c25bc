"""A linear morphable face model of any size, and its differentiable renderer.

What a file holds becomes a `MorphableData` in world units (see `pie_facemodels.conventions`); `MorphableModel` makes a
face model of it. Models whose surface is more than linear override `MorphableModel.surface`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from pie_facemodels.conventions import FFHQ_CAMERA, PIVOT
from pie_facemodels.directions import fitted_directions
from pie_facemodels.mirroring import mirror_matrix
from pie_framework.api import Block, Layout, Mesh, Rendering
from pie_framework.errors import AssetError
from pie_framework.rendering import (
    PerspectiveCamera,
    downsample,
    euler_to_matrix,
    interpolate,
    mirror_illumination,
    mirror_rotation,
    rasterise,
    shade,
    soft_shoulder,
    vertex_normals,
)

if TYPE_CHECKING:
    from jaxtyping import Float, Int

Floats = npt.NDArray[np.float32]
Index = npt.NDArray[np.int64]

#: A surface: all vertices, those of the rendered region only, or the landmarks only.
WHOLE, REGION, LANDMARKS = "whole", "region", "landmarks"
#: Share of the vertices that must have a partner for a model to be mirrored.
SYMMETRIC = 0.8


@dataclass(frozen=True)
class MorphableData:
    """A linear face model in world units, V vertices, F faces, K landmarks.

    Attributes:
        mean: (V, 3) the face at zero coefficients, in world coordinates.
        identity, expression: (n, V, 3), (m, V, 3) world offsets per unit of each coefficient; n, m >= 0.
        albedo_mean: (V, 3) display values in [0, 1].
        albedo: (k, V, 3) change of colour per unit of each coefficient; k >= 0.
        faces: (F, 3), counter-clockwise seen from outside.
        landmark_vertices: (K,) vertices, or (K, 3) corners of triangles.
        landmark_weights: (K, 3) barycentric weights of the corners; None where landmarks are vertices.
        region: (F', 3) faces that are rendered; all when None.
        mirror: (V,) the vertex on the other side of each, -1 for none; None where the topology is not symmetric.
        seam: (V,) vertices of one number share a normal; None when each has its own.
        identity_names, expression_names, albedo_names: of the first coefficients, for controls.
        expression_unit: "activation" or "standard deviations".
        ranges: control name ("expression.NAME", "rotation.yaw" in degrees) -> sensible (low, high).
        expression_aliases: name of a control -> {coefficient name: amount per unit of the control}.
    """

    mean: Floats
    identity: Floats
    expression: Floats
    albedo_mean: Floats
    albedo: Floats
    faces: Index
    landmark_vertices: Index
    landmark_weights: Floats | None = None
    region: Index | None = None
    mirror: Index | None = None
    seam: Index | None = None
    identity_names: tuple[str, ...] = ()
    expression_names: tuple[str, ...] = ()
    albedo_names: tuple[str, ...] = ()
    expression_unit: str = "activation"
    ranges: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    expression_aliases: Mapping[str, Mapping[str, float]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        count = len(self.mean)
        for name in ("mean", "albedo_mean", "identity", "expression", "albedo"):
            array = getattr(self, name)
            wanted = (count, 3) if name.endswith("mean") else (len(array), count, 3)
            if array.shape != wanted:
                raise AssetError(
                    f"the face model's {name} has shape {array.shape}; with {count} vertices {wanted} is expected"
                )
            # A sum is finite only where every value is (float64, so that large values do not overflow).
            if not np.isfinite(array.sum(dtype=np.float64)):
                raise AssetError(f"the face model's {name} holds values that are not finite")
        for name in ("faces", "region", "landmark_vertices", "mirror", "seam"):
            index = getattr(self, name)
            least = -1 if name == "mirror" else 0
            if index is not None and index.size and not (least <= index.min() and index.max() < count):
                raise AssetError(f"the face model's {name} name vertices beyond its {count}")
        if not len(self.faces) or not len(self.landmark_vertices):
            raise AssetError("the face model has no faces or no landmarks")


class MorphableModel(nn.Module):
    """Face model of `MorphableData`: θ = rotation, translation, identity, albedo, expression, illumination.

    Args:
        data: the model in world units.
        dtype: floating-point type of buffers and results.
        device: where the buffers live.
        camera: that projects it.
        pivot: world point that the head turns about.
        knee: of the soft shoulder that compresses highlights; None shows shaded colours as they are.

    Bases are held once, as (n, V * 3), with the vertices of the rendered region first: rendering multiplies only that
    part of them, and landmarks have small bases of their own.
    """

    faces: Int[Tensor, "F 3"]
    region_faces: Int[Tensor, "F_region 3"]

    def __init__(
        self,
        data: MorphableData,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
        camera: PerspectiveCamera = FFHQ_CAMERA,
        pivot: tuple[float, ...] = PIVOT,
        knee: float | None = 0.7,
    ) -> None:
        super().__init__()
        self.camera, self.knee = camera, knee
        self.num_landmarks = len(data.landmark_vertices)
        self.ranges = dict(data.ranges)
        self.expression_aliases = {name: dict(parts) for name, parts in data.expression_aliases.items()}
        self.layout = self.make_layout(data)
        region = data.faces if data.region is None else data.region
        order, position = _region_first(region, len(data.mean))
        self._region = 3 * len(np.unique(region))
        corners, weights = _landmark_corners(data)

        def put(name: str, values: object, kind: torch.dtype | None = None) -> None:
            self.register_buffer(name, torch.as_tensor(values).to(device, kind), persistent=False)

        for name in ("mean", "albedo_mean", "identity", "expression", "albedo"):
            array: Floats = getattr(data, name)
            lead = array.shape[:-2]
            if name in ("mean", "identity", "expression"):
                points = np.einsum("...kcx,kc->...kx", array[..., corners, :], weights)
                put(f"landmark_{name}", points.reshape(*lead, 3 * len(corners)), dtype)
            moved = array if order is position else np.take(array, order, axis=-2)
            put(name, moved.reshape(*lead, 3 * len(order)), dtype)
        put("faces", data.faces)
        put("position", position)
        put("region_faces", position[region])
        seam = None
        if data.seam is not None:
            # A seam's partner that is not rendered cannot lend its normal: the first rendered one of the group does.
            shown, groups = order[: self._region // 3], data.seam
            first = np.full(len(position), -1)
            first[groups[shown[::-1]]] = np.arange(len(shown))[::-1]
            seam = first[groups[shown]]
        put("region_seam", np.arange(self._region // 3) if seam is None else seam)
        self._seams = seam is not None
        put("pivot", np.asarray(pivot), dtype)
        matrices = self.mirror_matrices(data)
        self._mirrors = matrices is not None
        for name, matrix in (matrices or {}).items():
            put(f"mirror_{name}", matrix, dtype)

    def make_layout(self, data: MorphableData) -> Layout:
        """The blocks of θ."""
        return Layout(
            (
                Block("rotation", 3, "radians", ("pitch", "yaw", "roll")),
                Block("translation", 3, "model units", ("x", "y", "z")),
                Block("identity", len(data.identity), "standard deviations", data.identity_names),
                Block("albedo", len(data.albedo), "standard deviations", data.albedo_names),
                Block("expression", len(data.expression), data.expression_unit, data.expression_names),
                Block("illumination", 27, "spherical harmonics"),
            )
        )

    def mirror_matrices(self, data: MorphableData) -> dict[str, npt.NDArray[np.float64]] | None:
        """By block, the matrix M of mirrored coefficients c @ M; None where the model cannot be mirrored."""
        if data.mirror is None or np.mean(data.mirror >= 0) < SYMMETRIC:
            return None
        found = {}
        for name in ("identity", "albedo", "expression"):
            matrix = mirror_matrix(getattr(data, name), data.mirror, colours=name == "albedo")
            if matrix is None:
                return None
            found[name] = matrix
        return found

    def surface(self, theta: Float[Tensor, "B P"], part: str) -> Float[Tensor, "B N 3"]:
        """Points before head rotation and translation: of the WHOLE, the REGION or LANDMARKS.

        The whole's vertices come in the order of the bases: those of the region first.
        """
        parts = self.layout.split(theta)
        shape = self._mix("mean", "identity", parts["identity"], part)
        return torch.addmm(shape, parts["expression"], self._basis("expression", part)).view(
            theta.shape[0], -1, 3
        )

    def _basis(self, name: str, part: str) -> Float[Tensor, "*n N3"]:
        if part == LANDMARKS:
            return self.get_buffer("landmark_" + name)
        basis = self.get_buffer(name)
        return basis[..., : self._region] if part == REGION else basis

    def _mix(
        self, mean: str, basis: str, coefficients: Float[Tensor, "B n"], part: str
    ) -> Float[Tensor, "B N3"]:
        return torch.addmm(self._basis(mean, part), coefficients, self._basis(basis, part))

    def place(self, points: Float[Tensor, "#B N 3"], theta: Float[Tensor, "B P"]) -> Float[Tensor, "B N 3"]:
        """World positions of points: rotated about the pivot, then moved."""
        rotation = euler_to_matrix(self.layout.get(theta, "rotation"))
        pivot = self.get_buffer("pivot")
        shift = pivot + self.layout.get(theta, "translation")
        return (points - pivot) @ rotation.transpose(1, 2) + shift[:, None]

    def _colours(self, theta: Float[Tensor, "B P"], part: str) -> Float[Tensor, "B N 3"]:
        mixed = self._mix("albedo_mean", "albedo", self.layout.get(theta, "albedo"), part)
        return mixed.view(theta.shape[0], -1, 3)

    def mesh(self, theta: Float[Tensor, "B P"]) -> Mesh:
        """The whole head, posed, its vertices and faces in the file's order."""
        position = self.get_buffer("position")
        vertices = self.place(self.surface(theta, WHOLE), theta)[:, position]
        return Mesh(vertices, self.faces, self._colours(theta, WHOLE)[:, position].clamp(0.0, 1.0))

    def normals(self, vertices: Float[Tensor, "B N 3"]) -> Float[Tensor, "B N 3"]:
        """Unit normals at the placed vertices of the region, weighted by the faces' areas."""
        return vertex_normals(
            vertices, self.region_faces, self.get_buffer("region_seam") if self._seams else None
        )

    def landmarks(self, theta: Float[Tensor, "B P"], size: int) -> Float[Tensor, "B K 2"]:
        """Pixels in an image of ``size`` x ``size``; differentiable."""
        return self.camera.project(self.place(self.surface(theta, LANDMARKS), theta), size)[0]

    def render(self, theta: Float[Tensor, "B P"], size: int, supersample: int = 1) -> Rendering:
        """The face region at ``size``; differentiable in θ."""
        vertices = self.place(self.surface(theta, REGION), theta)
        faces = self.region_faces
        normals = self.normals(vertices)
        gamma = self.layout.get(theta, "illumination")
        lit = shade(self._colours(theta, REGION), normals, gamma)
        pixels, depth = self.camera.project(vertices, size * supersample)
        fragments = rasterise(pixels, depth, faces, size * supersample)
        shown = interpolate(fragments, faces, lit, pixels, depth).permute(0, 3, 1, 2)
        if self.knee is not None:
            shown = soft_shoulder(shown, self.knee)
        image = downsample(2.0 * shown - 1.0, supersample)
        mask = (downsample(fragments.mask, supersample) >= 0.5).to(image.dtype)
        return Rendering(image, mask.detach(), self.landmarks(theta, size))

    @functools.cached_property
    def expression_directions(self) -> dict[str, tuple[float, ...]]:
        """Expressions by the procedural model's names, fitted where no alias or coefficient is called like one."""
        named = {*self.expression_aliases, *self.layout.block("expression").names}
        if "smile" in named:
            return {}
        pivot = self.get_buffer("pivot")
        found = fitted_directions(self.layout, lambda theta: self.surface(theta.to(pivot), LANDMARKS))
        return {name: amounts for name, amounts in found.items() if name not in named}

    @property
    def mirror_theta(self) -> Callable[[Float[Tensor, "B P"]], Float[Tensor, "B P"]] | None:
        """θ -> θ of the left-right flipped image; None where the model has no symmetric topology."""
        return self._mirror_theta if self._mirrors else None

    def _mirror_theta(self, theta: Float[Tensor, "B P"]) -> Float[Tensor, "B P"]:
        parts = self.layout.split(theta)
        translation = parts["translation"]
        mirrored = {
            "rotation": mirror_rotation(parts["rotation"]),
            "translation": translation * translation.new_tensor((-1.0, 1.0, 1.0)),
            "illumination": mirror_illumination(parts["illumination"]),
        }
        for name in ("identity", "albedo", "expression"):
            mirrored[name] = parts[name] @ self.get_buffer(f"mirror_{name}")
        return self.layout.join(mirrored)


def _region_first(region: Index, count: int) -> tuple[Index, Index]:
    """Vertices in an order that starts with the region's, and each vertex's place in it; the same object if unmoved."""
    used = np.zeros(count, dtype=bool)
    used[region] = True
    order = np.concatenate([np.flatnonzero(used), np.flatnonzero(~used)])
    position = np.empty_like(order)
    position[order] = np.arange(count)
    return (order, order) if np.array_equal(order, position) else (order, position)


def _landmark_corners(data: MorphableData) -> tuple[Index, Floats]:
    """Corners (K, c) and weights (K, c) of the landmarks: one corner of weight 1 where they are vertices."""
    if data.landmark_vertices.ndim == 1:
        return data.landmark_vertices[:, None], np.ones((len(data.landmark_vertices), 1), dtype=np.float32)
    if data.landmark_weights is None or data.landmark_weights.shape != data.landmark_vertices.shape:
        raise AssetError("landmarks on triangles need as many barycentric weights as corners")
    return data.landmark_vertices, data.landmark_weights
