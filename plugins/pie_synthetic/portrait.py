"""Portraits: head, face, hair, body and background under one camera and one light."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from pie_framework.errors import PieError
from pie_framework.rendering import (
    Fragments,
    dominant_direction,
    downsample,
    euler_to_matrix,
    interpolate,
    rasterise,
    shade,
    soft_shoulder,
)
from pie_synthetic.background import render_backgrounds
from pie_synthetic.beard import beard_surface
from pie_synthetic.body import Surface, body_surfaces
from pie_synthetic.face import FaceSurface, face_surface
from pie_synthetic.glasses import glasses_surface
from pie_synthetic.grids import FloatArray, unit
from pie_synthetic.hair import hair_surface, strand_tangents
from pie_synthetic.model import face_model
from pie_synthetic.scene import Scene, stack_theta


class Region(enum.IntEnum):
    """Labels of `Portraits.regions`."""

    BACKGROUND = 0
    CLOTHES = 1
    SKIN = 2  # neck, ears and skin outside the face
    HAIR = 3
    FACE = 4
    EYES = 5
    BROWS = 6
    MOUTH = 7


@dataclass(frozen=True)
class Portraits:
    """A batch of portraits.

    images: (B, 3, H, W) float32 RGB in [-1, 1]. theta: (B, P) float32, the face model's coefficients.
    landmarks: (B, 66, 2) float32 pixels. regions: (B, H, W) uint8, see `Region`.
    """

    images: Tensor
    theta: Tensor
    landmarks: Tensor
    regions: Tensor


def render_portraits(scenes: Sequence[Scene], size: int = 128, supersample: int = 2) -> Portraits:
    """Render scenes at `size` x `size` pixels on the CPU, with supersample² samples a pixel.

    Raises:
        PieError: if there are no scenes.
    """
    if not scenes:
        raise PieError("no scenes to render: give at least one")
    with torch.no_grad():
        theta = stack_theta(scenes)
        face = face_surface(scenes, theta, size)
        rotation = euler_to_matrix(torch.from_numpy(np.stack([s.shot.rotation for s in scenes]))).numpy()
        model = face_model()
        offset = model.get_buffer("offset").numpy()
        translation = np.stack([s.shot.translation for s in scenes]) + offset
        pivot = model.get_buffer("pivot").numpy()
        shift = translation + pivot - rotation @ pivot
        gamma = torch.from_numpy(np.stack([s.shot.illumination for s in scenes]))
        hair = hair_surface([s.person.hair for s in scenes], face.head, face.skin)
        hair_points = _posed(hair.points, rotation, shift)
        hair_normals = _posed(hair.normals, rotation, None)
        frames = glasses_surface(
            [s.person.glasses for s in scenes], face.eyes, np.abs(face.head.points[..., 0]).max((1, 2))
        )
        frame_points = _posed(frames.points, rotation, shift)
        frame_normals = _posed(frames.normals, rotation, None)
        neck, clothes = body_surfaces(
            [s.person.build for s in scenes],
            [s.shot.clothes for s in scenes],
            face.skin,
            rotation,
            shift,
            translation,
            face.chin,
        )
        gloss = _gloss(strand_tangents(hair_points), hair_normals, gamma)
        colours = [
            face.colours,
            _shaded(hair, hair_normals, gamma) + gloss * torch.from_numpy(hair.occlusion)[..., None],
            _shaded(frames, frame_normals, gamma),
            _shaded(neck, neck.normals, gamma),
            _shaded(clothes, clothes.normals, gamma),
        ]
        others = [hair_points, frame_points, neck.points, clothes.points]
        surfaces = [hair, frames, neck, clothes]
        beard = beard_surface([s.person.beard for s in scenes], face.skin_points, -rotation[:, :, 1])
        if beard is not None:
            colours.append(_shaded(beard, beard.normals, gamma))
            others.append(beard.points)
            surfaces.append(beard)
        points = [face.points, *map(torch.from_numpy, others)]
        labels, faces = _joined(face, surfaces)
        vertices = torch.cat(points, dim=1)
        pixels, depth = face.camera.project(vertices, size * supersample)
        fragments = rasterise(pixels, depth, faces, size * supersample)
        layers = _layers(fragments, faces, torch.cat(colours, dim=1), supersample)
        behind = torch.from_numpy(render_backgrounds([s.shot.background for s in scenes], size))
        images = layers[:, :3] + behind.permute(0, 3, 1, 2) * (1.0 - layers[:, 3:])
        regions = _regions(fragments.face_index, labels, supersample)
        return Portraits(2.0 * images.clamp(0.0, 1.0) - 1.0, theta, face.landmarks, regions)


def _layers(fragments: Fragments, faces: Tensor, colours: Tensor, supersample: int) -> Tensor:
    """Colour and coverage, (B, 4, size, size), from the colours (B, V, 3) of the vertices."""
    attributes = torch.cat([colours, torch.ones_like(colours[..., :1])], dim=-1)
    layers = interpolate(fragments, faces, attributes).permute(0, 3, 1, 2)
    layers = torch.cat([soft_shoulder(layers[:, :3]), layers[:, 3:]], dim=1)
    return downsample(layers, supersample)


def _posed(vectors: FloatArray, rotation: FloatArray, translation: FloatArray | None) -> FloatArray:
    """R v + t for (B, V, 3)."""
    moved = np.matmul(vectors, rotation.transpose(0, 2, 1))
    result: FloatArray = moved if translation is None else moved + translation[:, None]
    return result


def _shaded(surface: Surface, normals: FloatArray, gamma: Tensor) -> Tensor:
    """(B, V, 3) albedo times shading times occlusion."""
    colour = shade(torch.from_numpy(surface.colours), torch.from_numpy(normals), gamma)
    return colour.clamp_min(0.0) * torch.from_numpy(surface.occlusion)[..., None]


def _gloss(tangents: FloatArray, normals: FloatArray, gamma: Tensor) -> Tensor:
    """(B, V, 3) highlight of strands, where the half vector crosses them (Kajiya and Kay 1989)."""
    light = dominant_direction(gamma).numpy()[:, None]
    half = unit(light + np.array([0.0, 0.0, 1.0], dtype=np.float32))
    along = (tangents * half).sum(-1)
    facing = np.clip((normals * half).sum(-1), 0.0, 1.0)
    strength = np.clip(1.0 - along * along, 0.0, 1.0) ** 12 * facing**2
    bands = gamma.reshape(len(gamma), 3, 9)[:, :, 0]
    return 0.14 * torch.from_numpy(strength)[..., None] * (0.282095 * bands)[:, None]


def _joined(face: FaceSurface, surfaces: Sequence[Surface]) -> tuple[Tensor, Tensor]:
    """Labels (F,) and triangles (F, 3) of all surfaces in one vertex list."""
    labels, faces = [face.labels], [face.faces]
    start = face.points.shape[1]
    for surface in surfaces:
        faces.append(torch.from_numpy(surface.faces) + start)
        labels.append(torch.full((len(surface.faces),), int(surface.label), dtype=torch.uint8))
        start += surface.points.shape[1]
    return torch.cat(labels), torch.cat(faces)


def _regions(face_index: Tensor, labels: Tensor, supersample: int) -> Tensor:
    """(B, H, W) uint8: the middle one of each pixel's sorted samples."""
    samples = torch.where(face_index >= 0, labels[face_index.clamp_min(0)], 0).to(torch.uint8)
    if supersample == 1:
        return samples
    batch, height, width = samples.shape
    blocks = samples.view(batch, height // supersample, supersample, width // supersample, supersample)
    blocks = blocks.transpose(2, 3).reshape(batch, height // supersample, width // supersample, -1)
    return blocks.sort(dim=-1).values[..., (supersample * supersample - 1) // 2].contiguous()
