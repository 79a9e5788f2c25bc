"""Which coefficients change place or sign when the image is flipped left to right."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pie_framework.api import Layout

_BANDS_ODD_IN_X = (3, 4, 7)
_ODD_EXPRESSIONS = ("gaze_horizontal",)


def mirror_index(layout: Layout) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """``source`` and ``sign`` (P,): mirrored θ = θ[source] * sign."""
    source, sign = np.arange(layout.size), np.ones(layout.size)
    for block in ("identity", "albedo", "expression"):
        start, named = layout.slice(block).start, layout.block(block).names
        for i, name in enumerate(named):
            if name in _ODD_EXPRESSIONS:
                sign[start + i] = -1.0
            for here, there in (("_left", "_right"), ("_right", "_left")):
                if name.endswith(here):
                    source[start + i] = start + named.index(name.removesuffix(here) + there)
        for i in range(len(named), layout.block(block).size):
            if i % 3 == 0:
                sign[start + i] = -1.0
    rotation, translation = layout.slice("rotation").start, layout.slice("translation").start
    sign[[rotation + 1, rotation + 2, translation]] = -1.0
    light = layout.slice("illumination").start
    for channel in range(3):
        for band in _BANDS_ODD_IN_X:
            sign[light + 9 * channel + band] = -1.0
    return source, sign
