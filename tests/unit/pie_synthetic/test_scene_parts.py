"""Light, backgrounds, grids and priors."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from pie_framework.rendering import shade
from pie_synthetic.background import render_backgrounds, sample_background
from pie_synthetic.grids import catmull_rom, grid_faces, grid_normals
from pie_synthetic.lighting import sample_illumination
from pie_synthetic.model import face_model
from pie_synthetic.priors import EXPRESSIONS, ROTATION_LIMIT, sample_expression, sample_rotation


def test_grid_of_a_cylinder_faces_outward() -> None:
    angle = np.linspace(0, 2 * np.pi, 16, endpoint=False)
    height = np.linspace(1, -1, 5)
    points = np.stack(np.broadcast_arrays(np.sin(angle)[None], height[:, None], np.cos(angle)[None]), -1)
    normals = grid_normals(points[None].astype(np.float32), closed=True)[0]
    assert np.allclose(normals[..., [0, 2]], points[..., [0, 2]], atol=1e-5)
    corners = points.reshape(-1, 3)[grid_faces(5, 16, closed=True)]
    facing = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    assert ((facing * corners.mean(1) * [1, 0, 1]).sum(-1) > 0).all()


def test_catmull_rom_passes_through_keys_and_sums_to_one() -> None:
    weights = catmull_rom(5, np.array([0.0, 1.0, 2.5, 4.0]))
    assert np.allclose(weights.sum(1), 1.0)
    assert np.allclose(weights[[0, 1, 3]], np.eye(5)[[0, 1, 4]], atol=1e-6)


def test_backgrounds_are_in_range_and_repeatable() -> None:
    images = [render_backgrounds([sample_background(np.random.default_rng(3))], 16) for _ in range(2)]
    assert images[0].shape == (1, 16, 16, 3)
    assert np.array_equal(images[0], images[1])
    assert 0.0 <= images[0].min() <= images[0].max() <= 1.0


def test_light_never_leaves_the_front_of_the_face_dark() -> None:
    rng = np.random.default_rng(0)
    front = torch.tensor([[[0.0, 0.0, 1.0]]])
    for _ in range(50):
        gamma = torch.from_numpy(sample_illumination(rng))[None]
        assert gamma.shape == (1, 27)
        level = float(shade(torch.ones(1, 1, 3), front, gamma).mean())
        assert 0.5 < level < 2.0


def test_rotations_keep_their_limits() -> None:
    rng = np.random.default_rng(0)
    degrees = np.rad2deg(np.stack([sample_rotation(rng) for _ in range(200)]))
    assert (np.abs(degrees) <= ROTATION_LIMIT + 1e-3).all()
    assert 8 < degrees[:, 1].std() < 16


@pytest.mark.parametrize("kind", list(EXPRESSIONS))
def test_expressions_are_bounded(kind: str) -> None:
    layout = face_model().layout
    rng = np.random.default_rng(1)
    values = np.stack([sample_expression(rng, layout, kind=kind) for _ in range(20)])
    assert values.shape == (20, layout.block("expression").size)
    assert np.abs(values).max() <= 1.5
