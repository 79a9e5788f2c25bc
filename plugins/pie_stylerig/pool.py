"""The samples that rigs are trained on: latents with the coefficients that the face encoder reads from their images."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional

from pie_framework.api import FaceEncoder, Generator

if TYPE_CHECKING:
    from jaxtyping import Float, Int, UInt8

RING = ("latents", "images", "theta")
#: Pixels of images that are made in one call.
PIXELS_AT_ONCE = 16 * 256 * 256


def draw_latents(
    generator: Generator, n: int, spread: float, offset: float, rng: torch.Generator
) -> Float[Tensor, "{n} L D"]:
    """Latents from the prior, a share of them moved apart layer by layer as W+ optimisation would.

    Args:
        generator: G.
        n: how many.
        spread: share of them that is moved.
        offset: each layer is moved by `offset` times another draw's deviation from the mean, and by white noise of
            a quarter of that size.
        rng: source of randomness.
    """
    latents = generator.sample(n, rng).clone()
    moved = round(spread * n)
    if moved == 0 or offset == 0:
        return latents
    rows = torch.randperm(n, generator=rng)[:moved]
    latents[rows] += draw_offsets(generator.sample(n, rng), moved, offset, rng)
    return latents


def draw_offsets(
    latents: Float[Tensor, "N L D"], n: int, offset: float, rng: torch.Generator
) -> Float[Tensor, "{n} L D"]:
    """Offsets for n latents: in each layer `offset` times another latent's deviation from the mean, and
    white noise of a quarter of that size."""
    layers = latents.shape[1]
    away = latents - latents.mean(0)
    rows = torch.randint(len(latents), (n, layers), generator=rng)
    noise = torch.randn(n, *latents.shape[1:], generator=rng).to(latents)
    return offset * (away[rows, torch.arange(layers)] + 0.25 * away.square().mean().sqrt() * noise)


def at_once(generator: Generator, most: int = 16) -> int:
    """Images that are made in one call, so that memory is bounded at any resolution; more of them on a GPU."""
    pixels = PIXELS_AT_ONCE * (8 if generator.mean_latent().device.type == "cuda" else 1)
    return max(1, min(most, pixels // generator.resolution**2))


@torch.no_grad()
def observe(
    generator: Generator,
    encoder: FaceEncoder,
    latents: Float[Tensor, "n L D"],
    size: int,
    batch: int = 16,
    report: Callable[[str], None] | None = None,
) -> tuple[UInt8[Tensor, "n 3 {size} {size}"], Float[Tensor, "n P"]]:
    """Images and coefficients of latents.

    Args:
        generator: G.
        encoder: reads the images at their full resolution.
        latents: seen.
        size: side in pixels of the images that are kept.
        batch: latents at a time, fewer at high resolutions.
        report: gets a line at every fifth of the way.
    """
    images, thetas = [], []
    done = 0
    for part in torch.split(latents, at_once(generator, batch)):
        image = generator.synthesize(part)
        thetas.append(encoder.encode(image))
        images.append(to_bytes(shrink(image, size)))
        fifth, done = 5 * done // len(latents), done + len(part)
        if report is not None and 5 * done // len(latents) > fifth:
            report(f"{done} of {len(latents)} samples observed")
    return torch.cat(images), torch.cat(thetas)


def shrink(image: Float[Tensor, "B 3 R R"], size: int) -> Float[Tensor, "B 3 {size} {size}"]:
    """Average an image down to `size` pixels."""
    return image if image.shape[-1] == size else functional.interpolate(image, (size, size), mode="area")


def to_bytes(image: Float[Tensor, "*shape"]) -> UInt8[Tensor, "*shape"]:
    """[-1, 1] -> [0, 255]."""
    return ((image.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)


def from_bytes(image: UInt8[Tensor, "*shape"], like: Float[Tensor, "..."]) -> Float[Tensor, "*shape"]:
    """[0, 255] -> [-1, 1] in the dtype and on the device of `like`."""
    return image.to(like) / 127.5 - 1


class Pool:
    """A fixed set of samples, and a ring of rigged latents of which the newest are kept.

    Attributes:
        fixed: number of the fixed samples N; they come first.

    Args:
        latents, images, theta: of the fixed samples.
        extra: how many the ring holds.
    """

    def __init__(
        self,
        latents: Float[Tensor, "N L D"],
        images: UInt8[Tensor, "N 3 s s"],
        theta: Float[Tensor, "N P"],
        extra: int,
    ) -> None:
        self.fixed, self.extra, self.added = len(latents), extra, 0
        self.latents, self.images, self.theta = (
            torch.cat([values, values.new_zeros(extra, *values.shape[1:])])
            for values in (latents, images, theta)
        )

    def __len__(self) -> int:
        return self.fixed + min(self.added, self.extra)

    def add(
        self, latents: Float[Tensor, "n L D"], images: UInt8[Tensor, "n 3 s s"], theta: Float[Tensor, "n P"]
    ) -> None:
        """Put rigged latents with their images and coefficients into the ring."""
        if not self.extra:
            return
        keep = slice(-self.extra, None)
        first = self.added + max(0, len(latents) - self.extra)
        at = self.fixed + (first + torch.arange(len(latents[keep]))) % self.extra
        self.latents[at], self.images[at], self.theta[at] = latents[keep], images[keep], theta[keep]
        self.added += len(latents)

    def draw(self, n: int, rng: torch.Generator, first: int = 0) -> Int[Tensor, "{n}"]:
        """Indices of n samples, fixed or of the ring, evenly from number `first` on."""
        return torch.randint(first, len(self), (n,), generator=rng)

    def state_dict(self) -> dict[str, Tensor | int]:
        """The ring; the fixed samples are kept apart."""
        ring = {name: getattr(self, name)[self.fixed : len(self)].clone() for name in RING}
        return {**ring, "added": self.added}

    def load_state_dict(self, state: dict[str, Tensor | int]) -> None:
        self.added = int(state["added"])
        for name in RING:
            getattr(self, name)[self.fixed : len(self)] = state[name]
