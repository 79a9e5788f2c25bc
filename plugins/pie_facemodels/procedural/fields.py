"""Small smooth functions from which the face's shape, expressions and colours are composed."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]


def smoothstep(values: Array, low: float, high: float) -> Array:
    """Cubic ramp from 0 at ``low`` to 1 at ``high`` (``low`` may exceed ``high``)."""
    ramp = np.clip((values - low) / (high - low), 0.0, 1.0)
    return np.asarray(ramp * ramp * (3.0 - 2.0 * ramp))


def bump(x: Array, y: Array, centre: tuple[float, float], radius: tuple[float, float]) -> Array:
    """Gaussian of height 1 at ``centre`` with standard deviations ``radius``."""
    return np.asarray(
        np.exp(-0.5 * (((x - centre[0]) / radius[0]) ** 2 + ((y - centre[1]) / radius[1]) ** 2))
    )


def pair(x: Array, y: Array, centre: tuple[float, float], radius: tuple[float, float]) -> Array:
    """The sum of a Gaussian at ``centre`` and its mirror image at ``-x``."""
    return bump(x, y, centre, radius) + bump(-x, y, centre, radius)


def plateau(x: Array, y: Array, centre: tuple[float, float], inner: float, outer: float) -> Array:
    """1 within ``inner`` of ``centre``, 0 beyond ``outer``, cubic between."""
    return smoothstep(np.hypot(x - centre[0], y - centre[1]), outer, inner)


def side_weight(x: Array, width: float = 0.12) -> Array:
    """0 for x far left of the mid-line, 1 far right, smooth and summing to one with its mirror image."""
    return smoothstep(x, -width, width)


def catmull_rom(keys: Array, t: Array) -> Array:
    """Values of ``keys`` (K, ...) at real-valued indices ``t`` (N,), through every key, ends clamped."""
    last = len(keys) - 1
    i = np.clip(np.floor(t).astype(int), 0, last - 1)
    f = (t - i).reshape((-1,) + (1,) * (keys.ndim - 1))
    p0, p1 = keys[np.maximum(i - 1, 0)], keys[i]
    p2, p3 = keys[i + 1], keys[np.minimum(i + 2, last)]
    return np.asarray(
        0.5
        * (
            2 * p1
            + (p2 - p0) * f
            + (2 * p0 - 5 * p1 + 4 * p2 - p3) * f**2
            + (3 * p1 - p0 - 3 * p2 + p3) * f**3
        )
    )
