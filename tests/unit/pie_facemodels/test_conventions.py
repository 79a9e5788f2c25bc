"""Units, axes, cameras and lights of other face models."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from pie_facemodels.conventions import (
    FFHQ_CAMERA,
    Placement,
    illumination_from_deep3d,
    illumination_to_deep3d,
    multi_pie_66,
    neutral_landmarks,
    pinhole_camera,
)
from pie_facemodels.procedural.model import ProceduralFaceModel
from pie_framework.errors import InputError
from pie_framework.rendering import shade


def test_neutral_landmarks_are_the_procedural_model_s() -> None:
    model = ProceduralFaceModel(torch.float64)
    seen, _ = FFHQ_CAMERA.project(torch.from_numpy(neutral_landmarks())[None], 100)
    theta = torch.zeros(1, model.layout.size, dtype=torch.float64)
    torch.testing.assert_close(seen, model.landmarks(theta, 100))


def test_placement_recovers_a_moved_face() -> None:
    """Landmarks in other units and axes come back to where aligned portraits have them."""
    axes = ((0.0, 0.0, -1.0), (0.0, 1.0, 0.0), (1.0, 0.0, 0.0))
    theirs = (neutral_landmarks() - np.array([0.1, -0.2, 0.0])) * 80.0 @ np.array(axes)
    placement = Placement.aligned(theirs, axes)
    assert placement.scale == pytest.approx(1 / 80, rel=1e-6)
    np.testing.assert_allclose(placement.points(theirs), neutral_landmarks(), atol=1e-5)
    moved = placement.differences(theirs[None])[0]
    np.testing.assert_allclose(moved, placement.points(theirs) - np.array(placement.offset), atol=1e-5)


@pytest.mark.parametrize("landmarks", [np.zeros((66, 3)), np.zeros((65, 3)), np.full((66, 3), np.nan)])
def test_no_placement_without_a_face(landmarks: np.ndarray) -> None:
    with pytest.raises(InputError):
        Placement.aligned(landmarks)


def test_66_of_68() -> None:
    kept = multi_pie_66(np.arange(68))
    assert len(kept) == 66 and not {60, 64} & set(kept.tolist())
    with pytest.raises(InputError):
        multi_pie_66(np.arange(66))


def test_a_camera_in_pixels() -> None:
    camera = pinhole_camera(10.0, 1015.0, 224, (112.0, 100.0))
    point = torch.tensor([[[0.5, 0.4, 1.0]]], dtype=torch.float64)
    pixels, depth = camera.project(point, 224)
    assert depth.item() == pytest.approx(9.0)
    assert pixels[0, 0].tolist() == pytest.approx([112 + 1015 * 0.5 / 9, 100 - 1015 * 0.4 / 9])


def test_deep3d_illumination_shades_alike() -> None:
    """Their shading, written out as published with their code: constants with signs, and 0.8 of ambient light."""
    generator = torch.Generator().manual_seed(0)
    normals = torch.nn.functional.normalize(
        torch.randn(1, 50, 3, generator=generator, dtype=torch.float64), dim=-1
    )
    gamma = torch.randn(2, 27, generator=generator, dtype=torch.float64)
    a = (math.pi, 2 * math.pi / math.sqrt(3.0), 2 * math.pi / math.sqrt(8.0))
    root = math.sqrt(4 * math.pi)
    c = (1 / root, math.sqrt(3.0) / root, 3 * math.sqrt(5.0) / math.sqrt(12 * math.pi))
    x, y, z = normals.unbind(-1)
    one = torch.ones_like(x)
    bands = torch.stack(
        (
            a[0] * c[0] * one,
            -a[1] * c[1] * y,
            a[1] * c[1] * z,
            -a[1] * c[1] * x,
            a[2] * c[2] * x * y,
            -a[2] * c[2] * y * z,
            0.5 * a[2] * c[2] / math.sqrt(3.0) * (3 * z**2 - 1),
            -a[2] * c[2] * x * z,
            0.5 * a[2] * c[2] * (x**2 - y**2),
        ),
        dim=-1,
    )
    light = gamma.reshape(2, 3, 9).clone()
    light[:, :, 0] += 0.8
    expected = 0.6 * (bands @ light.transpose(1, 2))
    ours = illumination_from_deep3d(gamma)
    torch.testing.assert_close(
        shade(torch.full((1, 50, 3), 0.6, dtype=torch.float64), normals, ours), expected
    )
    torch.testing.assert_close(illumination_to_deep3d(ours), gamma)
