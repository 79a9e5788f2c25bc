"""The face model as the embedded world uses it: its whole head, shaded, labelled and ready for hair."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from pie_facemodels.procedural.albedo import brow_mask, lip_mask
from pie_facemodels.procedural.loft import COLUMN_ANGLES, COLUMNS, ROW_PARAMETERS, ROWS
from pie_facemodels.procedural.model import ProceduralFaceModel, shade_vertices
from pie_facemodels.procedural.regions import face_region
from pie_facemodels.procedural.template import template
from pie_framework.rendering import PerspectiveCamera, vertex_normals
from pie_synthetic.beard import beard_cover
from pie_synthetic.grids import FloatArray
from pie_synthetic.hair import HeadGrid, hair_shadow
from pie_synthetic.model import face_model
from pie_synthetic.scene import Scene

#: Key row of the loft below which the head's own neck gives way to the body's.
LAST_KEY_ROW = 15.8
#: Region of each part of the head by the start of its name; other parts lie within the mouth.
PART_REGIONS = {"eye": 5, "lash": 5, "ear": 2}


@dataclass(frozen=True)
class FaceSurface:
    """The posed, shaded heads of a batch.

    points, colours: (B, V, 3), colours before the soft shoulder. faces: (F, 3), labels: (F,) uint8 regions.
    head: the neutral skin in model coordinates. skin: (B, 3) mean colour of the skin.
    skin_points: (B, ROWS * COLUMNS, 3) the posed skin's grid. chin: (B,) its height.
    eyes: (B, 2, 3) centres of the eyes in model coordinates. landmarks: (B, 66, 2) pixels.
    """

    points: Tensor
    colours: Tensor
    faces: Tensor
    labels: Tensor
    head: HeadGrid
    skin: FloatArray
    skin_points: FloatArray
    chin: FloatArray
    eyes: FloatArray
    landmarks: Tensor
    camera: PerspectiveCamera


@functools.cache
def _faces_and_labels() -> tuple[Tensor, Tensor]:
    """Faces (F, 3) of the head without the lower neck, and the region (F,) uint8 of each."""
    t = template()
    labels = np.full(len(t.vertices), 2, dtype=np.uint8)
    labels[face_region(t)] = 4
    labels[brow_mask(t) > 0.4] = 6
    labels[lip_mask(t) > 0.5] = 7
    for name, where in t.slices.items():
        if name != "skin":
            labels[where] = PART_REGIONS.get(name.split("_")[0], 7)
    inside = np.zeros(len(t.vertices), dtype=bool)
    inside[t.slices["skin"]] = (np.abs(t.height) < 1e-6)[t.slices["skin"]] & (t.reach > 0)[t.slices["skin"]]
    labels[inside] = 7
    kept = np.ones(len(t.vertices), dtype=bool)
    kept[: ROWS * COLUMNS] = np.repeat(ROW_PARAMETERS <= LAST_KEY_ROW, COLUMNS)
    faces = t.faces[kept[t.faces].all(1)]
    return torch.from_numpy(faces), torch.from_numpy(np.sort(labels[faces], axis=1)[:, 1].copy())


@functools.cache
def _plain_skin() -> Tensor:
    """Indices of vertices of the cheeks and forehead."""
    t = template()
    plain = face_region(t) & (lip_mask(t) < 0.01) & (brow_mask(t) < 0.01) & (t.mask("skin") > 0)
    away = (np.abs(t.y) > 0.22) & (t.y > -0.75) & (np.abs(t.x) > 0.2)
    return torch.from_numpy(np.flatnonzero(plain & away))


def face_surface(scenes: Sequence[Scene], theta: Tensor, size: int) -> FaceSurface:
    """Heads of the scenes with coefficients θ (B, P), landmarks for images of `size` pixels."""
    model = face_model()
    iris = torch.from_numpy(np.stack([s.person.iris for s in scenes]))
    points = model.place(model.shape(theta), theta)
    colours = model.colours(theta, iris)
    skin_tone = colours[:, _plain_skin()].mean(1).clamp(0.02, 0.95).numpy()
    skin = colours[:, : ROWS * COLUMNS]
    cover = torch.from_numpy(beard_cover([s.person.beard for s in scenes]))[..., None]
    tint = torch.from_numpy(
        np.stack([s.person.beard.colour if s.person.beard else s.person.hair.colour for s in scenes])
    )
    skin += (tint[:, None] - skin) * cover
    age = torch.tensor([s.person.age for s in scenes], dtype=torch.float32)[:, None, None]
    skin *= 1.0 - age * torch.from_numpy(wrinkles())[..., None]
    surface = model.head_surface()
    normals = vertex_normals(points, model.faces, model.seam)
    gamma = model.layout.get(theta, "illumination")
    shaded = shade_vertices(colours, normals, gamma, model.occlusion, model.gloss)
    faces, labels = _faces_and_labels()
    identity = model.layout.get(theta, "identity")
    head = HeadGrid(
        surface.positions(identity).numpy(),
        ROW_PARAMETERS.astype(np.float32),
        np.mod(COLUMN_ANGLES, 2.0 * np.pi).astype(np.float32),
    )
    shadow = torch.from_numpy(hair_shadow([s.person.hair for s in scenes], head)).flatten(1)
    shaded[:, : ROWS * COLUMNS] *= shadow[..., None]
    return FaceSurface(
        points,
        shaded,
        faces,
        labels,
        head,
        skin_tone,
        points[:, : ROWS * COLUMNS].numpy(),
        head.points[:, :, 0, 1][:, int(np.argmax(ROW_PARAMETERS >= 14.0))],
        _eye_centres(model, identity),
        model.landmarks(theta, size),
        model.camera,
    )


@functools.cache
def wrinkles() -> FloatArray:
    """(ROWS * COLUMNS,) how much the folds of old skin darken it at age 1: brow lines, crow's feet, mouth folds."""
    t = template()
    skin = slice(0, ROWS * COLUMNS)
    x, y, front, h = (values[skin] for values in (t.x, t.y, t.front, t.height))
    a = np.abs(x)
    bow = y + 0.05 * (a / 0.4) ** 2
    lines = sum(np.exp(-0.5 * ((bow - level) / 0.020) ** 2) for level in (0.43, 0.55, 0.67))
    brow_lines = 0.13 * lines * np.exp(-0.5 * (a / 0.34) ** 4)
    glabella = 0.14 * np.exp(-0.5 * (((a - 0.055) / 0.014) ** 2 + ((y - 0.24) / 0.07) ** 2))
    radius, angle = np.hypot(a - 0.40, y - 0.01), np.arctan2(y - 0.01, a - 0.40)
    feet = (
        0.13
        * np.exp(-0.5 * ((radius - 0.25) / 0.05) ** 2)
        * np.clip(np.cos(9.0 * angle), 0.0, 1.0)
        * (np.abs(angle) < 0.6)
    )
    under = 0.16 * np.exp(
        -0.5 * (((y + 0.145 - 0.25 * (a - 0.365) ** 2 * 8) / 0.016) ** 2 + ((a - 0.34) / 0.12) ** 2)
    )
    path = 0.215 + 0.16 * np.clip((-0.46 - y) / 0.36, 0.0, 1.3)
    fold = 0.24 * np.exp(-0.5 * ((a - path) / 0.020) ** 2) * np.exp(-0.5 * ((y + 0.63) / 0.12) ** 4)
    marionette = 0.13 * np.exp(-0.5 * (((a - 0.345) / 0.018) ** 2 + ((h + 0.14) / 0.07) ** 2))
    result: FloatArray = ((brow_lines + glabella + feet + under + fold + marionette) * front).astype(
        np.float32
    )
    return result


def _eye_centres(model: ProceduralFaceModel, identity: Tensor) -> FloatArray:
    """(B, 2, 3) the pupils of neutral, unposed heads, negative x first."""
    first = torch.tensor([model.slices[name].start for name in ("eye_right", "eye_left")])
    mean = model.mean.view(-1, 3)[first]
    basis = model.identity.view(identity.shape[1], -1, 3)[:, first]
    centres: FloatArray = (mean + torch.einsum("bk,kvc->bvc", identity, basis)).numpy()
    return centres
