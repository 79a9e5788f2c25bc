"""Affine maps of the plane, and pictures seen through them.

A map is the six numbers (a, b, c, d, e, f) that take (x, y) to (a x + b y + c, d x + e y + f). Pixel coordinates have
their origin at the picture's top-left corner, x right, y down, so that pixel centres are at +0.5.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image

Affine = tuple[float, float, float, float, float, float]
FloatArray = NDArray[np.float64]

IDENTITY: Affine = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)


def apply(transform: Affine, points: ArrayLike) -> FloatArray:
    """The images of the points: (..., 2) -> (..., 2)."""
    a, b, c, d, e, f = transform
    given = np.asarray(points, dtype=np.float64)
    x, y = given[..., 0], given[..., 1]
    return np.stack([a * x + b * y + c, d * x + e * y + f], axis=-1)


def compose(outer: Affine, inner: Affine) -> Affine:
    """The map that applies `inner` first and `outer` to its result."""
    a, b, c, d, e, f = outer
    p, q, r, s, t, u = inner
    return (a * p + b * s, a * q + b * t, a * r + b * u + c, d * p + e * s, d * q + e * t, d * r + e * u + f)


def invert(transform: Affine) -> Affine:
    """The map that undoes `transform`; ValueError if it flattens the plane."""
    a, b, c, d, e, f = transform
    determinant = a * e - b * d
    if not math.isfinite(determinant) or abs(determinant) < 1e-12:
        raise ValueError(f"the affine map {transform} cannot be inverted")
    p, q, s, t = e / determinant, -b / determinant, -d / determinant, a / determinant
    return (p, q, -(p * c + q * f), s, t, -(s * c + t * f))


def scale_of(transform: Affine) -> float:
    """How many units of length the map makes of one: the square root of its determinant's size."""
    a, b, _, d, e, _ = transform
    return math.sqrt(abs(a * e - b * d))


def shifted(transform: Affine, x: float, y: float) -> Affine:
    """The map whose results are moved by (x, y)."""
    a, b, c, d, e, f = transform
    return (a, b, c + x, d, e, f + y)


def scaled(transform: Affine, factor: float) -> Affine:
    """The map whose results are multiplied by `factor`."""
    a, b, c, d, e, f = transform
    return (a * factor, b * factor, c * factor, d * factor, e * factor, f * factor)


def view(picture: Image.Image, to_picture: Affine, size: tuple[int, int]) -> Image.Image:
    """What a window of `size` (width, height) shows of the picture, without aliasing.

    Where the picture is shown smaller, it is first averaged over whole pixels and then sampled bicubically several
    times per window pixel; where it is shown larger, it is interpolated bicubically.

    Args:
        picture: mode L or RGB.
        to_picture: window pixels to picture pixels. What lies outside the picture is black.
        size: width and height of the window.
    """
    scale = scale_of(to_picture)
    shrink = max(1, int(scale / 2.0))
    if shrink > 1:
        picture = picture.reduce(shrink)
        to_picture = scaled(to_picture, 1.0 / shrink)
    samples = max(1, math.ceil(scale / shrink - 1e-6))
    a, b, c, d, e, f = to_picture
    finer = (a / samples, b / samples, c, d / samples, e / samples, f)
    window = picture.transform(
        (size[0] * samples, size[1] * samples), Image.Transform.AFFINE, finer, Image.Resampling.BICUBIC
    )
    return window.reduce(samples) if samples > 1 else window
