"""Second-order spherical-harmonics illumination of a Lambertian surface.

Illumination is (B, 27): three colour channels of nine coefficients, channel-major, so ``gamma.reshape(B, 3,
9)``. For the unit normal (x, y, z) the bands are, in order, 1, y, z, x, xy, yz, 3z^2 - 1, xz, x^2 - y^2,
each times the spherical harmonic's constant and the Lambertian cosine kernel's coefficient pi, 2 pi / 3 or
pi / 4 (Ramamoorthi and Hanrahan, "An Efficient Representation for Irradiance Environment Maps", SIGGRAPH
2001, equations 7 to 11). The coefficients themselves are those of the incoming radiance.
"""

from __future__ import annotations

import functools
import math

import torch
from torch import Tensor

from pie_framework.errors import InputError

_C0, _C1 = 0.5 * math.sqrt(1 / math.pi), 0.5 * math.sqrt(3 / math.pi)
_C2, _C2_ZZ, _C2_XX = (
    0.5 * math.sqrt(15 / math.pi),
    0.25 * math.sqrt(5 / math.pi),
    0.25 * math.sqrt(15 / math.pi),
)
_HARMONIC = (_C0, _C1, _C1, _C1, _C2, _C2, _C2_ZZ, _C2, _C2_XX)
_KERNEL = (math.pi,) + (2 * math.pi / 3,) * 3 + (math.pi / 4,) * 5
_BASIS = tuple(c * a for c, a in zip(_HARMONIC, _KERNEL, strict=True))
_MIRROR = (1.0, 1.0, 1.0, -1.0, -1.0, 1.0, 1.0, -1.0, 1.0)
_LUMINANCE = (0.2126, 0.7152, 0.0722)


def _polynomials(normals: Tensor, factors: tuple[float, ...]) -> Tensor:
    x, y, z = normals.unbind(-1)
    bands = (torch.ones_like(x), y, z, x, x * y, y * z, 3 * z * z - 1, x * z, x * x - y * y)
    return torch.stack(bands, dim=-1) * _constant(factors, normals.dtype, normals.device)


@functools.cache
def _constant(values: tuple[float, ...], dtype: torch.dtype, device: torch.device) -> Tensor:
    """The values as a tensor, copied to the device once."""
    with torch.inference_mode(False):
        return torch.tensor(values, dtype=dtype, device=device)


def sh_basis(normals: Tensor) -> Tensor:
    """Basis (..., 9) at unit normals (..., 3), with the Lambertian kernel folded in."""
    return _polynomials(normals, _BASIS)


def shading(normals: Tensor, gamma: Tensor) -> Tensor:
    """Irradiance over pi, (B, ..., 3), at unit normals (B or 1, ..., 3) under illumination (B, 27)."""
    batch = gamma.shape[0]
    basis = sh_basis(normals)
    flat = basis.reshape(basis.shape[0], -1, 9)
    out = flat @ (gamma.reshape(batch, 3, 9).transpose(1, 2) / math.pi)
    return out.reshape(out.shape[0], *normals.shape[1:-1], 3)


def shade(albedo: Tensor, normals: Tensor, gamma: Tensor) -> Tensor:
    """Colour (B, ..., 3) of a Lambertian surface, per vertex or per pixel.

    ``albedo`` (B or 1, ..., 3) in [0, 1], ``normals`` (B or 1, ..., 3) of unit length, ``gamma`` (B, 27). The
    result is not clamped: second-order lighting may go slightly below zero; see ``soft_shoulder``.
    """
    return albedo * shading(normals, gamma)


def ambient_light(intensity: Tensor) -> Tensor:
    """Illumination (B, 27) that shades every normal with ``intensity``: (B,) for white or (B, 3) RGB."""
    colour = intensity.unsqueeze(-1).expand(-1, 3) if intensity.dim() == 1 else intensity
    rest = colour.new_zeros(colour.shape[0], 3, 8)
    return torch.cat(((colour / _C0).unsqueeze(-1), rest), dim=-1).flatten(1)


def directional_light(
    direction: Tensor,
    colour: Tensor | None = None,
    intensity: Tensor | float = 1.0,
    ambient: Tensor | float = 0.0,
) -> Tensor:
    """Illumination (B, 27) of a distant light plus a uniform white ambient.

    ``direction`` (B, 3) points from the surface to the light and need not be of unit length; ``colour`` (B,
    3) or (3,) RGB, white by default; ``intensity`` and ``ambient``, floats or (B,), are the shading of a
    surface that faces the light and the shading added everywhere. Second-order harmonics only approximate
    the clamped cosine: relative to ``intensity`` the error lies within -0.04 and +0.094, and is +0.0625
    facing the light.
    """
    batch = direction.shape[0]
    unit = direction / direction.norm(dim=-1, keepdim=True).clamp_min(1e-12)
    white = direction.new_ones(3)
    strength = torch.as_tensor(intensity, dtype=direction.dtype, device=direction.device).expand(batch)
    uniform = torch.as_tensor(ambient, dtype=direction.dtype, device=direction.device).expand(batch)
    rgb = (white if colour is None else colour).expand(batch, 3) * strength.unsqueeze(-1)
    key = math.pi * rgb.unsqueeze(-1) * _polynomials(unit, _HARMONIC).unsqueeze(1)
    return key.flatten(1) + ambient_light(uniform)


def dominant_direction(gamma: Tensor) -> Tensor:
    """Unit direction (B, 3) from which most light comes: the linear bands of the luminance.

    Zero where the illumination (B, 27) has no linear part.
    """
    bands = gamma.reshape(gamma.shape[0], 3, 9)
    luminance = (bands * gamma.new_tensor(_LUMINANCE).view(1, 3, 1)).sum(1)
    linear = torch.stack((luminance[:, 3], luminance[:, 1], luminance[:, 2]), dim=-1)
    return torch.nn.functional.normalize(linear, dim=-1)


def mirror_illumination(gamma: Tensor) -> Tensor:
    """Illumination (B, 27) of the left-right flipped image: bands with an odd power of x change sign."""
    return gamma * gamma.new_tensor(_MIRROR).repeat(3)


def soft_shoulder(x: Tensor, knee: float = 0.7) -> Tensor:
    """Compress shaded colour into [0, 1): the identity up to ``knee``, then knee + (1 - knee) t / (1 + t).

    t = (x - knee) / (1 - knee). Monotone, with a continuous first derivative above zero; negative values,
    which no light can have, become zero. ``knee`` lies in [0, 1), else InputError.
    """
    if not 0.0 <= knee < 1.0:
        raise InputError(f"the knee of the soft shoulder is {knee}: it must lie in [0, 1)")
    low = x.clamp(0.0, knee)
    excess = (x - knee).clamp_min(0.0)
    return low + excess * (1.0 - knee) / (1.0 - knee + excess)
