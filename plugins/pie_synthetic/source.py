"""The embedded world as a source of portraits whose parameters and true edits are known."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from pie_framework.api import BuildContext, Layout
from pie_framework.errors import PieError
from pie_synthetic.dataset import PortraitDataset
from pie_synthetic.model import face_model
from pie_synthetic.portrait import Region, render_portraits
from pie_synthetic.scene import Scene, sample_person, sample_shot
from pie_synthetic.settings import SceneSettings

#: What counts as the face.
FACE = (Region.FACE, Region.EYES, Region.BROWS, Region.MOUTH)


@dataclass(frozen=True)
class EmbeddedPortraits:
    """`KnownPortraits` of the embedded world, with the scenes they show.

    images: (B, 3, R, R) in [-1, 1]. theta: (B, P). landmarks: (B, 66, 2) pixels. regions: (B, R, R) uint8, see
    `pie_synthetic.portrait.Region`. scenes: what is rendered.
    """

    images: Tensor
    theta: Tensor
    landmarks: Tensor
    regions: Tensor
    scenes: tuple[Scene, ...]

    @property
    def face(self) -> Tensor:
        """(B, 1, R, R) 1 on the face with its eyes, brows and mouth, else 0."""
        labels = torch.tensor([int(region) for region in FACE], device=self.regions.device)
        return torch.isin(self.regions, labels)[:, None].to(self.images.dtype)

    @property
    def background(self) -> Tensor:
        """(B, 1, R, R) 1 behind the person, else 0."""
        return (self.regions == Region.BACKGROUND)[:, None].to(self.images.dtype)

    def edited(self, theta: Tensor) -> EmbeddedPortraits:
        """The same scenes with the coefficients θ (B, P) instead, rendered again.

        Hair, clothes, glasses, build, irises and background stay. With the portraits' own θ every value is
        reproduced exactly.

        Raises:
            PieError: θ has not the shape of the portraits' own.
        """
        if theta.shape != self.theta.shape:
            raise PieError(
                f"θ of shape {tuple(theta.shape)} cannot edit portraits with θ of {tuple(self.theta.shape)}",
                "Give one row of coefficients for each portrait.",
            )
        rows = theta.detach().cpu().float()
        scenes = [_with_theta(scene, row) for scene, row in zip(self.scenes, rows, strict=True)]
        return render_scenes(scenes, self.images.shape[-1], self.images.device, self.images.dtype)

    def take(self, rows: Sequence[int]) -> EmbeddedPortraits:
        """The portraits of these rows, in this order."""
        chosen = [int(row) for row in rows]
        scenes = tuple(self.scenes[row] for row in chosen)
        where = torch.tensor(chosen, dtype=torch.int64, device=self.images.device)
        return EmbeddedPortraits(
            self.images[where], self.theta[where], self.landmarks[where], self.regions[where], scenes
        )


def _with_theta(scene: Scene, theta: Tensor) -> Scene:
    """The scene with the coefficients (P,) float32."""
    blocks = {name: value[0].numpy().copy() for name, value in face_model().layout.split(theta[None]).items()}
    person = replace(scene.person, **{name: blocks[name] for name in ("identity", "albedo")})
    names = ("rotation", "translation", "expression", "illumination")
    return Scene(person, replace(scene.shot, **{name: blocks[name] for name in names}))


def render_scenes(
    scenes: Sequence[Scene], size: int, device: torch.device, dtype: torch.dtype
) -> EmbeddedPortraits:
    """Render scenes at `size` x `size` pixels on the CPU, one by one so that none depends on the others.

    Raises:
        PieError: there are no scenes.
    """
    if not scenes:
        raise PieError("no scenes to render: give at least one")
    done = [render_portraits([scene], size=size) for scene in scenes]
    return EmbeddedPortraits(
        torch.cat([p.images for p in done]).to(device, dtype),
        torch.cat([p.theta for p in done]).to(device, dtype),
        torch.cat([p.landmarks for p in done]).to(device, dtype),
        torch.cat([p.regions for p in done]).to(device),
        tuple(scenes),
    )


class EmbeddedScenes:
    """Draws, renders and reads portraits of the embedded world."""

    def __init__(self, settings: SceneSettings, device: torch.device, dtype: torch.dtype) -> None:
        self.size = settings.size
        self.device = device
        self.dtype = dtype

    @property
    def layout(self) -> Layout:
        """Of the portraits' θ."""
        return face_model().layout

    def draw(self, count: int, rng: np.random.Generator, shots: int = 1) -> EmbeddedPortraits:
        """`count` different persons, `shots` portraits of each, person after person; PieError below 1 of either."""
        scenes = []
        for _ in range(count):
            person = sample_person(rng)
            scenes += [Scene(person, sample_shot(rng, person)) for _ in range(shots)]
        return render_scenes(scenes, self.size, self.device, self.dtype)

    def open(self, folder: str | os.PathLike[str]) -> PortraitDataset:
        """A dataset that `pie train portraits` rendered; DatasetError when there is none."""
        return PortraitDataset(folder)


def build(config: SceneSettings, context: BuildContext) -> EmbeddedScenes:
    """The scenes `embedded`, on the context's device and in its dtype."""
    return EmbeddedScenes(config, context.device, context.dtype)
