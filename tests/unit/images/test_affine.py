"""Affine maps of the plane, and pictures seen through them."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from pie_framework.images.affine import Affine, apply, compose, invert, scale_of, view

TURNED: Affine = (1.9, -0.6, 60.0, 0.6, 1.9, 20.0)


def test_maps_round_trip_and_compose() -> None:
    points = np.random.default_rng(0).uniform(-500, 500, (50, 2))
    assert np.abs(apply(invert(TURNED), apply(TURNED, points)) - points).max() < 1e-9
    other: Affine = (0.2, 1.1, -3.0, -0.9, 0.4, 8.0)
    assert np.allclose(apply(compose(other, TURNED), points), apply(other, apply(TURNED, points)))
    assert scale_of(TURNED) == pytest.approx(np.hypot(1.9, 0.6))
    with pytest.raises(ValueError, match="inverted"):
        invert((1.0, 2.0, 0.0, 2.0, 4.0, 0.0))


@pytest.mark.parametrize("step", [0.5, 1.0, 2.0, 7.0])
def test_view_samples_at_pixel_centres(step: float) -> None:
    """A linear ramp averaged over any symmetric window is the ramp itself: the sampling has no offset."""
    ramp = Image.fromarray(
        np.broadcast_to((np.arange(200) + 0.5)[None, :, None], (200, 200, 3)).astype(np.uint8)
    )
    size = 20
    seen = np.asarray(view(ramp, (step, 0.0, 20.0, 0.0, step, 20.0), (size, size)), dtype=np.float64)[:, :, 0]
    wanted = 20.0 + step * (np.arange(size) + 0.5) - 0.5
    assert np.abs(seen[5] - wanted).max() < 1.01
