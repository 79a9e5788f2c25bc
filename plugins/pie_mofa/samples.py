"""The generator's own samples, as training without labels sees them: small, with detected landmarks."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from pie_framework.api import Generator, LandmarkDetector

#: Samples that are made, and replaced, at a time.
CHUNK = 8
#: Pixels of images that are made in one call on the CPU, so that memory is bounded at any resolution.
PIXELS_AT_ONCE = 8 * 256 * 256
#: Apart from each other in the seeds of the chunks.
STRIDE = 7919


@torch.no_grad()
def make_samples(
    generator: Generator,
    detector: LandmarkDetector,
    count: int,
    rng: torch.Generator,
    size: int,
    truncation: float = 1.0,
) -> tuple[Tensor, Tensor]:
    """Draw samples and look at them.

    Args:
        generator: G.
        detector: finds the landmarks, at the generator's resolution.
        count: how many, n.
        rng: source of the latents.
        size: side in pixels that images are shrunk to; they are never enlarged.
        truncation: distance from the mean latent, as a fraction.

    Returns:
        Images (n, 3, s, s) uint8, and landmarks (n, K, 2) as fractions of the side.
    """
    latents = generator.sample(count, rng)
    if truncation != 1.0:
        centre = generator.mean_latent()
        latents = centre + truncation * (latents - centre)
    pixels = PIXELS_AT_ONCE * (8 if latents.device.type == "cuda" else 1)
    at_once = max(1, pixels // generator.resolution**2)
    images, points = [], []
    for part in torch.split(latents, at_once):
        image = generator.synthesize(part).clamp(-1, 1)
        points.append(detector.detect(image) / image.shape[-1])
        if image.shape[-1] > size:
            image = functional.interpolate(image, (size, size), mode="area")
        images.append(((image + 1) * 127.5).round().to(torch.uint8))
    return torch.cat(images), torch.cat(points)


class SamplePool:
    """Samples in chunks of `CHUNK`, numbered in the order in which they are made; the newest are kept.

    A chunk depends only on the seed and its number, so that a pool can be made again from how far it came. A new pool
    holds the first chunk only, in the place of all; `go_to(slots)` makes the others.

    Args:
        generator, detector, size, truncation: see `make_samples`.
        count: samples that are kept, rounded up to whole chunks.
        seed: of all chunks of this process.
    """

    def __init__(
        self,
        generator: Generator,
        detector: LandmarkDetector,
        count: int,
        seed: int,
        size: int,
        truncation: float = 1.0,
    ) -> None:
        self.generator, self.detector = generator, detector
        self.seed, self.size, self.truncation = seed, size, truncation
        self.slots = max(1, -(-count // CHUNK))
        self.images, self.points = self._make(0)
        self.images = self.images.repeat(self.slots, 1, 1, 1)
        self.points = self.points.repeat(self.slots, 1, 1)
        self._numbers = [0] * self.slots
        self.made = 1

    def __len__(self) -> int:
        return self.slots * CHUNK

    def _make(self, number: int) -> tuple[Tensor, Tensor]:
        rng = torch.Generator().manual_seed(self.seed + STRIDE * number)
        return make_samples(self.generator, self.detector, CHUNK, rng, self.size, self.truncation)

    def _fill(self, slot: int, number: int) -> None:
        rows = slice(slot * CHUNK, (slot + 1) * CHUNK)
        self.images[rows], self.points[rows] = self._make(number)
        self._numbers[slot] = number

    def refresh(self) -> None:
        """Replace the oldest chunk by a new one."""
        self._fill(self.made % self.slots, self.made)
        self.made += 1

    def draw(self, n: int, rng: torch.Generator) -> tuple[Tensor, Tensor]:
        """n samples with replacement: images (n, 3, s, s) in [-1, 1], landmarks (n, K, 2) as fractions."""
        rows = torch.randint(len(self), (n,), generator=rng).to(self.images.device)
        return as_images(self.images[rows], self.points), self.points[rows]

    def go_to(self, made: int) -> None:
        """Hold what a pool holds after `made` chunks; only what differs is made."""
        for number in range(max(0, made - self.slots), made):
            if self._numbers[number % self.slots] != number:
                self._fill(number % self.slots, number)
        self.made = made


def as_images(pixels: Tensor, like: Tensor) -> Tensor:
    """uint8 -> [-1, 1] in the dtype of `like`."""
    return pixels.to(like.dtype) / 127.5 - 1
