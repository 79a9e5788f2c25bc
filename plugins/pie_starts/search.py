"""Starts that choose among latents drawn from the prior, by small images and by faces."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from pie_framework.api import BuildContext, Networks
from pie_starts.settings import NearestConfig, SearchConfig

#: Side of the images that are compared, pixels.
COMPARED = 32


class Nearest:
    """The candidate whose image, averaged down to 32 pixels, is nearest to the portrait. Satisfies `Initializer`."""

    def __init__(self, config: NearestConfig, context: BuildContext) -> None:
        self.candidates = config.candidates

    def start(self, networks: Networks, images: Tensor, rng: torch.Generator) -> Tensor:
        """(B, L, D)."""
        latent = networks.sample(self.candidates, rng)
        small, _ = _described(networks, latent, read=False)
        return latent[torch.cdist(_small(images), small).argmin(dim=1)].clone()


class EncoderSearch:
    """The candidate whose face, as the encoder reads it, and small image are nearest. Satisfies `Initializer`."""

    def __init__(self, config: SearchConfig, context: BuildContext) -> None:
        self.candidates = config.candidates

    def start(self, networks: Networks, images: Tensor, rng: torch.Generator) -> Tensor:
        """(B, L, D)."""
        latent = networks.sample(self.candidates, rng)
        small, theta = _described(networks, latent, read=True)
        distance = torch.cdist(_small(images), small)
        if theta is not None:
            distance = search_distance(networks, distance, networks.encode(images), theta)
        return latent[distance.argmin(dim=1)].clone()


def search_distance(networks: Networks, images: Tensor, theta: Tensor, candidates: Tensor) -> Tensor:
    """How far each of N candidates is from each portrait, (B, N); only its order means something.

    The distance of the images and that of the faces, each divided by its mean over the candidates so that neither
    outweighs the other, are added. The face's distance is that of the landmarks of θ in the image; without a face
    model it is that of θ with each coefficient divided by its standard deviation over the candidates.

    Args:
        networks: the face model is used where there is one.
        images: distances of the images, (B, N).
        theta: θ of the portraits, (B, P).
        candidates: θ of the candidates, (N, P).
    """
    model = networks.face_model
    if model is None:
        scale = candidates.std(dim=0, unbiased=False)
        scale = torch.where(scale > 0, scale, torch.ones_like(scale))
        own, others = theta / scale, candidates / scale
    else:
        side = networks.generator.resolution
        own, others = (
            networks.call("face_model", model.landmarks, values, side).flatten(1)
            for values in (theta, candidates)
        )
    faces = torch.cdist(own, others)
    smallest = torch.finfo(faces.dtype).tiny
    first, second = (part / part.mean(dim=1, keepdim=True).clamp_min(smallest) for part in (images, faces))
    return first + second


def _described(
    networks: Networks, latent: Tensor, read: bool, batch: int = 8
) -> tuple[Tensor, Tensor | None]:
    """The small images of latents (N, L, D), (N, F), and, where `read`, the θ of their images, (N, P)."""
    small, thetas = [], []
    for part in torch.split(latent, batch):
        image = networks.synthesize(part)
        small.append(_small(image))
        if read:
            thetas.append(networks.encode(image))
    return torch.cat(small), torch.cat(thetas) if read else None


def _small(images: Tensor) -> Tensor:
    """Images (B, 3, R, R) averaged down to at most 32 pixels, as rows (B, F)."""
    side = min(COMPARED, images.shape[-1])
    return functional.interpolate(images, (side, side), mode="area").flatten(1)
