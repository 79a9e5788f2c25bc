"""The procedural morphable face model and its differentiable renderer."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from pie_facemodels.procedural import albedo, expression, identity
from pie_facemodels.procedural.loft import COLUMN_ANGLES, COLUMNS, ROW_PARAMETERS, ROWS, loft
from pie_facemodels.procedural.occlusion import occlusion
from pie_facemodels.procedural.ranges import control_ranges
from pie_facemodels.procedural.regions import face_region_faces, gloss
from pie_facemodels.procedural.surface import HeadSurface
from pie_facemodels.procedural.symmetry import mirror_index
from pie_facemodels.procedural.template import landmark_vertices, template
from pie_framework.api import Block, Layout, Mesh, Rendering
from pie_framework.rendering import (
    PerspectiveCamera,
    downsample,
    euler_to_matrix,
    interpolate,
    rasterise,
    shade,
    soft_shoulder,
    vertex_normals,
)

if TYPE_CHECKING:
    from jaxtyping import Float, Int

CAMERA = PerspectiveCamera(distance=10.0, focal=6.0)
PIVOT = (0.0, -0.45, -0.10)
OFFSET = (0.0, 0.12, 0.0)
SPECULAR_POWER = 22.0


@functools.cache
def _bases() -> tuple[Layout, dict[str, np.ndarray[tuple[int, ...], np.dtype[np.float64]]]]:
    t = template()
    identity_names, identity_basis = identity.fields(t)
    expression_names, expression_basis = expression.fields(t)
    albedo_names, albedo_basis = albedo.fields(t)
    layout = Layout(
        (
            Block("rotation", 3, "radians", ("pitch", "yaw", "roll")),
            Block("translation", 3, "model units", ("x", "y", "z")),
            Block("identity", identity.SIZE, "standard deviations", tuple(identity_names)),
            Block("albedo", albedo.SIZE, "standard deviations", tuple(albedo_names)),
            Block("expression", expression.SIZE, "activation", tuple(expression_names)),
            Block("illumination", 27, "spherical harmonics"),
        )
    )
    count = len(t.vertices)
    _, turn_basis = expression.turned(t, expression.named_fields(t))
    rest = t.vertices + expression.named_fields(t)["rest"]
    arrays = {
        "mean": rest.reshape(-1),
        "identity": identity_basis.reshape(-1, count * 3),
        "expression": expression_basis.reshape(-1, count * 3),
        "turn": turn_basis.reshape(-1, count * 3),
        "albedo_mean": albedo.mean_colours(t).reshape(-1),
        "albedo": albedo_basis.reshape(-1, count * 3),
    }
    return layout, arrays


def _specular(
    normals: Float[Tensor, "B V 3"], gamma: Float[Tensor, "B 27"], gloss_: Float[Tensor, "V"]
) -> Float[Tensor, "B V 1"]:
    """Blinn highlight of the illumination's first-order direction, seen from the front."""
    luminance = (gamma.reshape(-1, 3, 9) * gamma.new_tensor((0.2126, 0.7152, 0.0722))[:, None]).sum(1)
    light = luminance[:, (3, 1, 2)]
    strength = light.square().sum(-1, keepdim=True).add(1e-6).sqrt()
    half = light / strength + light.new_tensor((0.0, 0.0, 1.0))
    half = half / half.square().sum(-1, keepdim=True).add(1e-6).sqrt()
    cosine = torch.einsum("bvc,bc->bv", normals, half).clamp_min(0.0)
    return (cosine**SPECULAR_POWER * gloss_ * strength).unsqueeze(-1)


def shade_vertices(
    colours: Float[Tensor, "B V 3"],
    normals: Float[Tensor, "B V 3"],
    gamma: Float[Tensor, "B 27"],
    occluded: Float[Tensor, "V"],
    gloss_: Float[Tensor, "V"],
) -> Float[Tensor, "B V 3"]:
    """Shaded colours before the soft shoulder.

    ``colours`` is albedo; ``normals`` are in world axes; ``gamma`` is illumination; ``occluded`` a factor for ambient
    occlusion; ``gloss_`` specular strength.
    """
    lit = shade(colours, normals, gamma).clamp_min(0.0)
    return (lit + _specular(normals, gamma, gloss_)) * occluded[:, None]


class ProceduralFaceModel(nn.Module):
    """Face model of 257 coefficients: rotation, translation, identity, albedo, expression, illumination.

    Vertices are linear in identity, colours in albedo. Vertices are linear in each expression too, but for
    controls that would pass lips or lids through each other below zero: those turn, smoothly, into their opposite.
    Identity and albedo are in standard deviations, expressions in activations (1 is the full expression);
    ``ranges.coefficient_range`` gives the sensible range of each named coefficient. "left" is the person's own left,
    on the image's right. The irises' and the teeth's colours are no coefficients of θ but optional arguments.

    Args:
        dtype: floating-point type of buffers and results.
        device: where the buffers live.
    """

    mean: Float[Tensor, "3*V"]
    identity: Float[Tensor, "n 3*V"]
    expression: Float[Tensor, "m 3*V"]
    albedo_mean: Float[Tensor, "3*V"]
    albedo: Float[Tensor, "k 3*V"]
    faces: Int[Tensor, "F 3"]
    seam: Int[Tensor, "V"]
    occlusion: Float[Tensor, "V"]
    gloss: Float[Tensor, "V"]

    def __init__(self, dtype: torch.dtype = torch.float32, device: torch.device | str = "cpu") -> None:
        super().__init__()
        self.layout, arrays = _bases()
        self.num_landmarks = 66
        self.camera = CAMERA
        t = template()
        self.slices = dict(t.slices)

        def put(name: str, values: object, kind: torch.dtype | None = None) -> None:
            self.register_buffer(name, torch.as_tensor(values).to(device, kind), persistent=False)

        for name, array in arrays.items():
            put(name, array, dtype)
        put("faces", t.faces)
        put("seam", t.seam)
        put("occlusion", occlusion(), dtype)
        put("gloss", gloss(t), dtype)
        put("pivot", np.array(PIVOT), dtype)
        put("offset", np.array(OFFSET), dtype)
        weight, rest = albedo.iris_weights()
        put("iris_weight", weight, dtype)
        put("eye_rest", rest, dtype)
        region = face_region_faces(t)
        used, inverse = np.unique(region, return_inverse=True)
        position = np.full(len(t.vertices), -1)
        position[used] = np.arange(len(used))
        seam = np.where(position[t.seam[used]] >= 0, position[t.seam[used]], np.arange(len(used)))
        put("region_vertices", used)
        put("region_faces", inverse.reshape(-1, 3))
        put("region_seam", seam)
        flat = (used[:, None] * 3 + np.arange(3)).reshape(-1)
        for name, array in arrays.items():
            put(f"region_{name}", array[..., flat], dtype)
        landmarks = (landmark_vertices()[:, None] * 3 + np.arange(3)).reshape(-1)
        for name in ("mean", "identity", "expression", "turn"):
            put(f"landmark_{name}", arrays[name][..., landmarks], dtype)
        put("one_sided", expression.turned(t, expression.named_fields(t))[0])
        source, sign = mirror_index(self.layout)
        put("mirror_source", source)
        put("mirror_sign", sign, dtype)

    @property
    def ranges(self) -> dict[str, tuple[float, float]]:
        """Sensible range of each control of an edit, in its unit."""
        return control_ranges(self.layout.block("expression").names)

    def _shape(self, theta: Float[Tensor, "B P"], prefix: str = "") -> Float[Tensor, "B N 3"]:
        parts = self.layout.split(theta)
        shape = torch.addmm(
            self.get_buffer(prefix + "mean"), parts["identity"], self.get_buffer(prefix + "identity")
        )
        shape = torch.addmm(shape, parts["expression"], self.get_buffer(prefix + "expression"))
        negative = expression.below(parts["expression"][:, self.get_buffer("one_sided")])
        shape = torch.addmm(shape, negative, self.get_buffer(prefix + "turn"))
        return shape.view(theta.shape[0], -1, 3)

    def place(self, points: Float[Tensor, "#B N 3"], theta: Float[Tensor, "B P"]) -> Float[Tensor, "B N 3"]:
        """World positions of model points: rotated about PIVOT, moved by OFFSET and ρ."""
        rotation = euler_to_matrix(self.layout.get(theta, "rotation"))
        moved = (points - self.get_buffer("pivot")) @ rotation.transpose(1, 2)
        shift = self.get_buffer("pivot") + self.get_buffer("offset") + self.layout.get(theta, "translation")
        return moved + shift[:, None]

    def shape(self, theta: Float[Tensor, "B P"]) -> Float[Tensor, "B V 3"]:
        """Vertices in model coordinates, before rotation and translation."""
        return self._shape(theta)

    def colours(
        self,
        theta: Float[Tensor, "B P"],
        iris: Float[Tensor, "B 3"] | None = None,
        teeth: Float[Tensor, "B 3"] | None = None,
    ) -> Float[Tensor, "B V 3"]:
        """Albedo, not clamped; ``iris`` and ``teeth``, colours in [0, 1] override the defaults."""
        colours = torch.addmm(self.albedo_mean, self.layout.get(theta, "albedo"), self.albedo)
        colours = colours.view(theta.shape[0], -1, 3)
        if iris is None and teeth is None:
            return colours
        colours = colours.clone()
        if iris is not None:
            eye = self.get_buffer("iris_weight")[:, None] * iris[:, None] + self.get_buffer("eye_rest")
            for name in ("eye_left", "eye_right"):
                colours[:, self.slices[name]] = eye
        if teeth is not None:
            ratio = teeth / teeth.new_tensor(albedo.DEFAULT_TEETH.tolist())
            for name in ("teeth_upper", "teeth_lower"):
                colours[:, self.slices[name]] = colours[:, self.slices[name]] * ratio[:, None]
        return colours

    def mesh(
        self,
        theta: Float[Tensor, "B P"],
        iris: Float[Tensor, "B 3"] | None = None,
        teeth: Float[Tensor, "B 3"] | None = None,
    ) -> Mesh:
        """The whole head, posed: vertices in world space, faces, albedo. ``slices`` names its parts."""
        return Mesh(
            self.place(self._shape(theta), theta), self.faces, self.colours(theta, iris, teeth).clamp(0, 1)
        )

    def landmarks(self, theta: Float[Tensor, "B P"], size: int) -> Float[Tensor, "B 66 2"]:
        """Pixels in an image of ``size`` x ``size``; differentiable."""
        points = self._shape(theta, "landmark_")
        return self.camera.project(self.place(points, theta), size)[0]

    def render(self, theta: Float[Tensor, "B P"], size: int, supersample: int = 1) -> Rendering:
        """The face region (front skin, eyes, mouth; no ears, hair, neck) at ``size``; differentiable in θ."""
        vertices = self.place(self._shape(theta, "region_"), theta)
        faces = self.get_buffer("region_faces")
        normals = vertex_normals(vertices, faces, self.get_buffer("region_seam"))
        used = self.get_buffer("region_vertices")
        colours = torch.addmm(
            self.get_buffer("region_albedo_mean"),
            self.layout.get(theta, "albedo"),
            self.get_buffer("region_albedo"),
        ).view(theta.shape[0], -1, 3)
        lit = shade_vertices(
            colours, normals, self.layout.get(theta, "illumination"), self.occlusion[used], self.gloss[used]
        )
        pixels, depth = self.camera.project(vertices, size * supersample)
        fragments = rasterise(pixels, depth, faces, size * supersample)
        shown = interpolate(fragments, faces, lit, pixels, depth).permute(0, 3, 1, 2)
        image = downsample(2.0 * soft_shoulder(shown) - 1.0, supersample)
        mask = (downsample(fragments.mask, supersample) >= 0.5).to(image.dtype)
        return Rendering(image, mask.detach(), self.landmarks(theta, size))

    def mirror_theta(self, theta: Float[Tensor, "B P"]) -> Float[Tensor, "B P"]:
        """θ of the left-right flipped image."""
        return theta[:, self.get_buffer("mirror_source")] * self.get_buffer("mirror_sign")

    def head_surface(self) -> HeadSurface:
        """The neutral skin as a surface that hair can be sampled from, following identity."""
        count = ROWS * COLUMNS
        like = self.mean
        angles = np.where(np.isclose(COLUMN_ANGLES, -np.pi), np.pi, COLUMN_ANGLES)
        return HeadSurface(
            self.mean.view(-1, 3)[:count],
            self.identity.view(self.identity.shape[0], -1, 3)[:, :count],
            torch.from_numpy(angles).to(like),
            torch.from_numpy(ROW_PARAMETERS).to(like),
            torch.from_numpy(loft().points[:, 0, 1].copy()).to(like),
        )
