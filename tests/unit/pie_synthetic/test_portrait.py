"""Portraits: shapes and ranges, agreement with the face model, labels, exposure, determinism."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from pie_framework.errors import PieError
from pie_synthetic.model import face_model
from pie_synthetic.portrait import Portraits, Region, render_portraits
from pie_synthetic.scene import Scene, sample_scenes, stack_theta

SIZE = 96


@pytest.fixture(scope="module")
def scenes() -> list[Scene]:
    return sample_scenes(np.random.default_rng(7), 12)


@pytest.fixture(scope="module")
def portraits(scenes: list[Scene]) -> Portraits:
    return render_portraits(scenes, size=SIZE)


def test_shapes_and_ranges(portraits: Portraits) -> None:
    assert portraits.images.shape == (12, 3, SIZE, SIZE)
    assert portraits.images.dtype == torch.float32
    assert float(portraits.images.abs().max()) <= 1.0
    assert portraits.theta.shape == (12, face_model().layout.size)
    assert portraits.landmarks.shape == (12, 66, 2)
    assert portraits.regions.shape == (12, SIZE, SIZE)
    assert portraits.regions.dtype == torch.uint8
    assert torch.isfinite(portraits.images).all()


def test_same_seed_gives_the_same_portraits(portraits: Portraits) -> None:
    again = render_portraits(sample_scenes(np.random.default_rng(7), 12), size=SIZE)
    assert torch.equal(again.images, portraits.images)
    assert torch.equal(again.theta, portraits.theta)


def test_theta_is_the_scenes(scenes: list[Scene], portraits: Portraits) -> None:
    layout = face_model().layout
    assert torch.equal(stack_theta(scenes), portraits.theta)
    assert torch.equal(scenes[3].theta, portraits.theta[3])
    rotation = torch.from_numpy(scenes[3].shot.rotation)
    assert torch.equal(layout.get(portraits.theta, "rotation")[3], rotation)


def test_agrees_with_the_face_models_own_render(portraits: Portraits) -> None:
    rendering = face_model().render(portraits.theta, SIZE, supersample=2)
    inside = (portraits.regions == Region.FACE) & (rendering.mask[:, 0] > 0.99)
    difference = (rendering.image - portraits.images).abs().mean(1)[inside]
    assert inside.float().mean() > 0.05
    assert float(difference.mean()) < 0.05


def test_landmarks_are_the_face_models(portraits: Portraits) -> None:
    expected = face_model().landmarks(portraits.theta, SIZE)
    assert torch.allclose(portraits.landmarks, expected, atol=1e-3)
    inside = (portraits.landmarks > 0) & (portraits.landmarks < SIZE)
    assert inside.all()


def test_every_portrait_shows_face_eyes_mouth_and_surroundings(portraits: Portraits) -> None:
    for regions in portraits.regions:
        share = torch.bincount(regions.flatten().long(), minlength=len(Region)).float() / regions.numel()
        assert share[Region.FACE] > 0.08
        assert share[Region.MOUTH] > 0.002
        assert share[Region.BACKGROUND] > 0.1
        assert share[Region.CLOTHES] + share[Region.SKIN] > 0.02


def test_regions_lie_where_landmarks_say(portraits: Portraits) -> None:
    mouth = portraits.landmarks[:, 48:60].mean(1)
    for regions, centre in zip(portraits.regions, mouth, strict=True):
        rows, columns = torch.nonzero(regions == Region.MOUTH, as_tuple=True)
        found = torch.stack([columns.float().mean() + 0.5, rows.float().mean() + 0.5])
        assert float((found - centre).norm()) < 0.06 * SIZE


def test_faces_are_neither_black_nor_blown(portraits: Portraits) -> None:
    weights = torch.tensor([0.2126, 0.7152, 0.0722]).view(3, 1, 1)
    luminance = ((portraits.images + 1) / 2 * weights).sum(1)
    for picture, regions in zip(luminance, portraits.regions, strict=True):
        face = picture[regions == Region.FACE]
        assert 0.10 < float(face.mean()) < 0.85
        assert float((face > 0.98).float().mean()) < 0.02


def test_no_scenes_is_an_error() -> None:
    with pytest.raises(PieError):
        render_portraits([])
