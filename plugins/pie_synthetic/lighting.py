"""Illumination γ of a scene: ambient light and a few directional lights, exposed for the face."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from pie_framework.rendering import ambient_light, directional_light, sh_basis

FloatArray = NDArray[np.float32]

#: Mean shading of the front of the face at an albedo luminance of one half.
EXPOSURE = 1.02
#: How far darker skin is exposed longer: 0 not at all, 1 until every face is equally bright.
COMPENSATION = 0.3


def direction(azimuth: float, elevation: float) -> NDArray[np.float64]:
    """Unit vector (3,); azimuth 0 comes from the camera, positive from the image's right; radians."""
    level = np.cos(elevation)
    return np.array([level * np.sin(azimuth), np.sin(elevation), level * np.cos(azimuth)])


def light_colour(rng: np.random.Generator, spread: float = 0.04) -> NDArray[np.float64]:
    """(3,) colour of mean 1 along the warm-cool axis, with a little tint."""
    warmth = rng.normal(0.012, spread)
    colour = 1.0 + np.array([warmth, 0.0, -warmth]) + rng.normal(0.0, 0.008, 3)
    result: NDArray[np.float64] = colour / colour.mean()
    return result


def sample_illumination(rng: np.random.Generator, face_luminance: float = 0.5) -> FloatArray:
    """Draw γ (27,): ambient, a key light, light from above and sometimes a fill or rim light.

    Args:
        rng: the generator every draw goes through.
        face_luminance: mean luminance of the face's albedo in [0, 1]; darker skin gets a longer exposure, as
            a camera would choose, though not so much that the skin tone disappears.
    """
    contrast = rng.beta(2.0, 2.2)
    azimuth = float(np.clip(rng.normal(0.0, 0.75), -1.6, 1.6))
    elevation = float(np.clip(rng.normal(0.55, 0.35), -0.2, 1.3))
    lights = [
        (direction(azimuth, elevation), light_colour(rng) * (0.15 + contrast)),
        (direction(0.0, 1.4), light_colour(rng) * rng.uniform(0.05, 0.25)),
    ]
    uniform = light_colour(rng) * (1.0 - 0.62 * contrast)
    if rng.uniform() < 0.45:
        side = -np.sign(azimuth) * rng.uniform(0.6, 2.3)
        power = rng.uniform(0.1, 0.35)
        lights.append((direction(side, rng.uniform(0.0, 0.7)), light_colour(rng, 0.07) * power))
    towards = torch.from_numpy(np.stack([light for light, _ in lights]))
    colours = torch.from_numpy(np.stack([colour for _, colour in lights]))
    gamma = directional_light(towards, colours).sum(0) + ambient_light(torch.from_numpy(uniform)[None])[0]
    mean = float((gamma.reshape(3, 9) @ _FRONT).mean()) / np.pi
    exposure = np.exp(rng.normal(0.0, 0.09)) * (0.5 / max(face_luminance, 0.08)) ** COMPENSATION
    result: FloatArray = (gamma.numpy() * (EXPOSURE * exposure / mean)).astype(np.float32)
    return result


_angles = np.linspace(-1.1, 1.1, 7)
_normals = np.stack([direction(a, e) for a in _angles for e in _angles[1:-1]])
#: (9,) mean shading basis over normals spread over the front of a head.
_FRONT = sh_basis(torch.from_numpy(_normals)).mean(0)
