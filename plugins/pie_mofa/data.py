"""Labelled portraits on disk and what is done to them before the encoder sees them.

A folder of labelled portraits holds `shards/*/images.npy` (n, S, S, 3) uint8 and `shards/*/theta.npy` (n, P)
float32, as `pie_synthetic` writes them; portraits of any other source can be stored the same way.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from pie_framework.api import FaceModel, Layout, Mirrors
from pie_framework.errors import InputError
from pie_mofa.settings import Augmentation


class Portraits(Protocol):
    """Portraits whose coefficients are known."""

    def __len__(self) -> int: ...

    def images(self, indices: Tensor) -> Tensor:
        """(n, 3, S, S) float32 in [-1, 1]."""
        ...

    def theta(self, indices: Tensor) -> Tensor:
        """(n, P) float32."""
        ...


class PortraitFolder:
    """The finished shards of a folder; `keep` selects a range of the portraits.

    Raises:
        InputError: there is no portrait, or the coefficients are not the layout's.
    """

    def __init__(self, folder: str | os.PathLike[str], layout: Layout, keep: slice = slice(None)) -> None:
        shards = sorted(path.parent for path in Path(folder).glob("shards/[0-9]*/person.npy"))
        if not shards:
            raise InputError(
                f"no labelled portraits in '{folder}'", "Render some first: pie_synthetic.dataset."
            )
        self._images = [np.load(shard / "images.npy", mmap_mode="r") for shard in shards]
        theta = np.concatenate([np.load(shard / "theta.npy") for shard in shards])
        if theta.shape[1] != layout.size:
            raise InputError(
                f"'{folder}' holds {theta.shape[1]} coefficients a portrait, the face model has {layout.size}"
            )
        self._theta = torch.from_numpy(theta)
        sizes = [len(images) for images in self._images]
        self._shard = np.repeat(np.arange(len(shards)), sizes)
        self._row = np.concatenate([np.arange(size) for size in sizes])
        self._kept = torch.arange(len(theta))[keep]

    def __len__(self) -> int:
        return len(self._kept)

    def images(self, indices: Tensor) -> Tensor:
        wanted = self._kept[indices].numpy()
        rows = np.stack([self._images[self._shard[i]][self._row[i]] for i in wanted])
        return torch.from_numpy(rows).permute(0, 3, 1, 2).float().div_(127.5).sub_(1.0)

    def theta(self, indices: Tensor) -> Tensor:
        return self._theta[self._kept[indices]]


def statistics(portraits: Portraits) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation (at least 1e-3) of θ over the portraits, both (P,)."""
    theta = portraits.theta(torch.arange(len(portraits))).double()
    return theta.mean(0).float(), theta.std(0).clamp_min(1e-3).float()


def _normal(shape: tuple[int, ...], like: Tensor, rng: torch.Generator) -> Tensor:
    return torch.randn(shape, generator=rng, device=rng.device).to(like)


def _uniform(shape: tuple[int, ...], like: Tensor, rng: torch.Generator) -> Tensor:
    return torch.rand(shape, generator=rng, device=rng.device).to(like)


def mirror(
    images: Tensor, theta: Tensor, face_model: FaceModel, rng: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Flip about half of the portraits with their θ, if the face model knows the mirror image."""
    mirrored = face_model.mirror_theta if isinstance(face_model, Mirrors) else None
    if mirrored is None:
        return images, theta
    flip = _uniform((len(images),), images, rng) < 0.5
    theta = torch.where(flip[:, None], mirrored(theta), theta)
    return torch.where(flip[:, None, None, None], images.flip(-1), images), theta


def blur(images: Tensor, settings: Augmentation, rng: torch.Generator, chunks: int = 4) -> Tensor:
    """Down- and up-sample the batch in `chunks` parts, each to a random side, as a blurry generator would.

    Sides are log-uniform from `smallest` to the full side; the first `clean` of the batch stays as it is.
    """
    size = images.shape[-1]
    first = round(settings.clean * len(images))
    parts = [images[:first]]
    for part in images[first:].chunk(chunks):
        share = float(torch.rand((), generator=rng, device=rng.device))
        side = max(1, round(size * (min(settings.smallest, size) / size) ** share))
        small = functional.interpolate(part, (side, side), mode="area")
        parts.append(functional.interpolate(small, (size, size), mode="bilinear", align_corners=False))
    return torch.cat(parts)


def recolour(
    images: Tensor, theta: Tensor, layout: Layout, largest: float, rng: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Multiply each colour channel, and the light that made it, by 1 +- `largest`.

    Exact while colours stay below the renderer's soft shoulder; θ is left alone unless its illumination has
    the same number of coefficients for each of three channels, channel-major.
    """
    light = layout.get(theta, "illumination")
    if light.shape[1] % 3:
        return images, theta
    gain = 1.0 + largest * (2.0 * _uniform((len(images), 3), images, rng) - 1.0)
    images = ((images + 1.0) * gain[:, :, None, None] - 1.0).clamp(-1.0, 1.0)
    light = (light.reshape(len(light), 3, -1) * gain[:, :, None]).flatten(1)
    return images, layout.join({**layout.split(theta), "illumination": light})


def disturb(images: Tensor, settings: Augmentation, rng: torch.Generator) -> Tensor:
    """Add pixel noise and smooth colour blotches, each of a random strength per portrait."""
    batch, _, size, _ = images.shape
    strength = _uniform((batch, 1, 1, 1), images, rng)
    images = images + settings.noise * strength.square() * _normal((batch, 3, size, size), images, rng)
    smooth = _normal((batch, 3, 6, 6), images, rng) * _uniform((batch, 1, 1, 1), images, rng).square()
    smooth = functional.interpolate(smooth, (size, size), mode="bilinear", align_corners=False)
    return (images + settings.blotches * smooth).clamp(-1.2, 1.2)


def augment(
    images: Tensor, theta: Tensor, face_model: FaceModel, settings: Augmentation, rng: torch.Generator
) -> tuple[Tensor, Tensor]:
    """All of the above: (n, 3, S, S) and its θ (n, P) -> what the encoder is trained on."""
    if settings.flip:
        images, theta = mirror(images, theta, face_model, rng)
    images, theta = recolour(images, theta, face_model.layout, settings.gain, rng)
    return disturb(blur(images, settings, rng), settings, rng), theta
