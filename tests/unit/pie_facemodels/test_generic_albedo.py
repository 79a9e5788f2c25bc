"""The albedo of models without one: where it puts colours, orthogonality, determinism, any size."""

from __future__ import annotations

import functools

import numpy as np
import pytest

from pie_facemodels.conventions import neutral_landmarks
from pie_facemodels.generic_albedo import GenericAlbedo, generic_albedo
from pie_facemodels.procedural import albedo
from pie_facemodels.procedural.model import OFFSET
from pie_facemodels.procedural.template import template
from pie_facemodels.warp import canonical, mirrored_landmarks, thin_plate
from pie_framework.errors import ConfigError


def head() -> np.ndarray:
    return template().vertices + np.array(OFFSET)


@functools.cache
def made(size: int = 60) -> GenericAlbedo:
    slices = template().slices
    parts = {name: np.arange(slices[name].start, slices[name].stop) for name in ("eye_left", "eye_right")}
    return generic_albedo(head(), neutral_landmarks(), parts, size)


def test_the_procedural_head_gets_nearly_its_own_colours() -> None:
    t = template()
    skin = np.arange(t.slices["skin"].start, t.slices["skin"].stop)
    skin = skin[(t.z[skin] > 0.3) & (t.y[skin] > -1.2) & (t.y[skin] < 0.6) & (t.height[skin] ** 2 > 0.01)]
    difference = np.abs(made().mean - albedo.mean_colours(t))[skin]
    assert difference.mean() < 0.02
    assert np.quantile(difference, 0.95) < 0.1


def test_colours_are_display_values_and_sizes_are_free() -> None:
    assert made().mean.min() >= 0.0 and made().mean.max() <= 1.0
    assert made().basis.shape == (60, len(head()), 3)
    assert made(5).names == made().names[:5]
    np.testing.assert_array_equal(made(5).basis, made().basis[:5])
    assert made(0).basis.shape == (0, len(head()), 3)
    with pytest.raises(ConfigError):
        generic_albedo(head(), neutral_landmarks(), size=-1)


def test_smooth_fields_are_orthogonal() -> None:
    flat = made().basis.reshape(60, -1).astype(float)
    flat /= np.linalg.norm(flat, axis=1, keepdims=True)
    gram = flat @ flat.T
    named = len(made().names)
    np.testing.assert_allclose(gram[named:, named:], np.eye(60 - named), atol=1e-4)
    np.testing.assert_allclose(gram[:named, named:], 0.0, atol=1e-4)


def test_deterministic() -> None:
    again = generic_albedo(head(), neutral_landmarks(), size=30)
    first = generic_albedo(head(), neutral_landmarks(), size=30)
    np.testing.assert_array_equal(again.basis, first.basis)


def test_a_few_vertices_are_enough() -> None:
    few = generic_albedo(head()[::2000], neutral_landmarks(), size=80)
    assert few.basis.shape[0] == 80 and np.isfinite(few.basis).all()


def test_a_plane_is_bent_exactly_at_the_knots() -> None:
    rng = np.random.default_rng(0)
    knots, values = rng.normal(size=(10, 2)), rng.normal(size=(10, 2))
    np.testing.assert_allclose(thin_plate(knots, values, knots, 0.0), values, atol=1e-8)
    affine = knots @ np.array([[2.0, 0.3], [-0.1, 1.0]]) + 5.0
    points = rng.normal(size=(7, 2))
    expected = points @ np.array([[2.0, 0.3], [-0.1, 1.0]]) + 5.0
    np.testing.assert_allclose(thin_plate(knots, affine, points), expected, atol=1e-8)


def test_canonical_coordinates_of_the_landmarks() -> None:
    """A wider head lies where the procedural one does."""
    from pie_facemodels.procedural.template import landmark_vertices

    t, wide = template(), np.array([1.2, 0.95, 1.0])
    found = canonical(neutral_landmarks() * wide, neutral_landmarks() * wide)
    own = landmark_vertices()[:60]
    assert np.abs(found.x[:60] - t.x[own]).max() < 0.02
    assert np.abs(found.y[:60] - t.y[own]).max() < 0.03


def test_landmarks_have_partners() -> None:
    partner = mirrored_landmarks()
    assert partner[[0, 8, 17, 36, 39, 48, 30]].tolist() == [16, 8, 26, 45, 42, 54, 30]
    np.testing.assert_array_equal(partner[partner], np.arange(66))
