"""Backgrounds: a soft gradient, out-of-focus bands and blurred lights, desaturated."""

from __future__ import annotations

import colorsys
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float32]

BANDS = 2
BLOBS = 6
HUES = ((0.04, 0.14), (0.53, 0.64), (0.22, 0.42), (0.0, 1.0))
HUE_WEIGHTS = (0.43, 0.35, 0.16, 0.06)


@dataclass(frozen=True)
class Background:
    """One background.

    corners: (4, 3) colours in [0, 1], top left, top right, bottom left, bottom right.
    bands: (BANDS, 6) angle in radians, offset, softness in half-widths of the image, colour offset (3).
    blobs: (BLOBS, 7) centre x, y, radius, softness in half-widths of the image, colour offset (3).
    """

    corners: FloatArray
    bands: FloatArray
    blobs: FloatArray


def muted_colour(
    rng: np.random.Generator, lightness: tuple[float, float], saturation: tuple[float, float]
) -> FloatArray:
    """(3,) RGB in [0, 1], mostly beige, blue and green; lightness and saturation uniform in the ranges."""
    low, high = HUES[rng.choice(len(HUES), p=HUE_WEIGHTS)]
    hue = rng.uniform(low, high)
    rgb = colorsys.hls_to_rgb(hue, rng.uniform(*lightness), rng.uniform(*saturation))
    return np.asarray(rgb, dtype=np.float32)


def sample_background(rng: np.random.Generator) -> Background:
    """Draw a background: one muted base colour, small variations of it, and a few blurred shapes."""
    base = muted_colour(rng, (0.16, 0.82), (0.02, 0.24))
    spread = rng.uniform(0.02, 0.11)
    corners = base + rng.normal(0.0, spread, (4, 1)) + rng.normal(0.0, 0.25 * spread, (4, 3))

    bands = np.zeros((BANDS, 6))
    for row in range(rng.integers(0, BANDS + 1)):
        strength = rng.normal(0.0, 0.10)
        bands[row, :3] = rng.normal(0.0, 0.12), rng.uniform(-1.0, 1.0), rng.uniform(0.03, 0.2)
        bands[row, 3:] = strength + rng.normal(0.0, 0.02, 3)
    bands[:, 2] = np.maximum(bands[:, 2], 0.03)

    blobs = np.zeros((BLOBS, 7))
    blobs[:, 2:4] = 0.5, 0.2
    bokeh = rng.uniform() < 0.25
    for row in range(rng.integers(1, BLOBS + 1)):
        blobs[row, :2] = rng.uniform(-1.1, 1.1, 2)
        if bokeh:
            blobs[row, 2:4] = rng.uniform(0.12, 0.30), rng.uniform(0.05, 0.10)
            blobs[row, 4:] = rng.uniform(0.02, 0.09) + rng.normal(0.0, 0.02, 3)
        else:
            radius = rng.uniform(0.25, 0.8)
            blobs[row, 2:4] = radius, radius * rng.uniform(0.3, 0.6)
            blobs[row, 4:] = rng.normal(0.0, 0.07) + rng.normal(0.0, 0.02, 3)
    return Background(
        corners.clip(0.04, 0.95).astype(np.float32), bands.astype(np.float32), blobs.astype(np.float32)
    )


def render_backgrounds(backgrounds: Sequence[Background], size: int) -> FloatArray:
    """(B, size, size, 3) colours in [0, 1]."""
    axis = (np.arange(size, dtype=np.float32) + 0.5) / size * 2.0 - 1.0
    batch = len(backgrounds)
    x, y = axis[None, None, :], axis[None, :, None]
    corners = np.stack([b.corners for b in backgrounds])
    right, down = _smooth((x + 1.0) / 2.0), _smooth((y + 1.0) / 2.0)
    layers = [(1 - right) * (1 - down), right * (1 - down), (1 - right) * down, right * down]
    weights = [np.broadcast_to(layer, (batch, size, size)) for layer in layers]
    colours = [corners[:, k] for k in range(4)]
    for index in range(BANDS):
        band = np.stack([b.bands[index] for b in backgrounds])[:, None, None, :]
        along = x * np.cos(band[..., 0]) + y * np.sin(band[..., 0]) - band[..., 1]
        weights.append(_smooth(np.clip(along / band[..., 2] * 0.5 + 0.5, 0.0, 1.0)))
        colours.append(band[:, 0, 0, 3:])
    for index in range(BLOBS):
        blob = np.stack([b.blobs[index] for b in backgrounds])[:, None, None, :]
        distance = np.sqrt((x - blob[..., 0]) ** 2 + (y - blob[..., 1]) ** 2)
        weights.append(_smooth(np.clip((blob[..., 2] - distance) / blob[..., 3] * 0.5 + 0.5, 0.0, 1.0)))
        colours.append(blob[:, 0, 0, 4:])
    flat = np.stack(weights, axis=1).reshape(batch, len(weights), size * size)
    image = np.matmul(flat.transpose(0, 2, 1), np.stack(colours, axis=1))
    result: FloatArray = np.clip(image, 0.02, 0.97).astype(np.float32).reshape(batch, size, size, 3)
    return result


def _smooth(t: NDArray[np.floating]) -> NDArray[np.floating]:
    """The cubic step 3t^2 - 2t^3 on [0, 1]."""
    result: NDArray[np.floating] = t * t * (3.0 - 2.0 * t)
    return result
