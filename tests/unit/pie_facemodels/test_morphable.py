"""The linear morphable model: conformance, any block sizes, landmarks, regions, mirroring, errors."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from pie_facemodels.conventions import FFHQ_CAMERA, neutral_landmarks
from pie_facemodels.mirroring import mirror_vertices
from pie_facemodels.morphable import LANDMARKS, REGION, WHOLE, MorphableData, MorphableModel
from pie_framework.errors import AssetError
from pie_framework.rendering import ambient_light
from pie_framework.testing.suites.face_models import FaceModelTests

SIDE = 25


def small_data(identity: int = 4, albedo: int = 3, expression: int = 5, seed: int = 0) -> MorphableData:
    """A bulging square sheet of 25 x 25 vertices whose landmarks lie on triangles; symmetric in x."""
    rng = np.random.default_rng(seed)
    x, y = np.meshgrid(np.linspace(-1, 1, SIDE), np.linspace(-1.2, 1.0, SIDE))
    mean = np.stack([x, y, 0.9 * np.cos(1.2 * x) * np.cos(y)], axis=-1).reshape(-1, 3).astype(np.float32)
    grid = np.arange(SIDE * SIDE).reshape(SIDE, SIDE)
    a, b, c, d = (v.reshape(-1) for v in (grid[:-1, :-1], grid[:-1, 1:], grid[1:, 1:], grid[1:, :-1]))
    faces = np.concatenate([np.stack([a, b, c], 1), np.stack([a, c, d], 1)])
    goal = neutral_landmarks()
    away = np.linalg.norm(mean[faces].mean(1)[None, :, :2] - goal[:, None, :2], axis=-1)
    mirror = grid[:, ::-1].reshape(-1)

    def symmetric(count: int, scale: float, colours: bool) -> np.ndarray:
        half = rng.normal(size=(count, SIDE * SIDE, 3)) * scale
        sign = np.ones(3) if colours else np.array([-1.0, 1.0, 1.0])
        both = half + half[:, mirror] * sign
        odd = half - half[:, mirror] * sign
        return np.where(np.arange(count)[:, None, None] % 2, odd, both).astype(np.float32)

    return MorphableData(
        mean=mean,
        identity=symmetric(identity, 0.01, False),
        expression=symmetric(expression, 0.01, False),
        albedo_mean=np.full_like(mean, 0.5),
        albedo=symmetric(albedo, 0.02, True),
        faces=faces,
        landmark_vertices=faces[away.argmin(1)],
        landmark_weights=np.full((66, 3), 1 / 3, dtype=np.float32),
        region=faces[np.abs(mean[faces, 0]).max(1) < 0.9],
        mirror=mirror,
        expression_names=("first", "second"),
    )


class TestConformance(FaceModelTests):
    def build(self) -> MorphableModel:
        return MorphableModel(small_data())


class TestConformanceInDouble(FaceModelTests):
    dtype = torch.float64

    def build(self) -> MorphableModel:
        return MorphableModel(small_data(), torch.float64)


@pytest.mark.parametrize("sizes", [(4, 3, 5), (0, 0, 0), (1, 0, 70)])
def test_any_block_sizes(sizes: tuple[int, int, int]) -> None:
    model = MorphableModel(small_data(*sizes))
    assert [b.size for b in model.layout.blocks] == [3, 3, sizes[0], sizes[1], sizes[2], 27]
    theta = torch.zeros(2, model.layout.size)
    theta[:, model.layout.slice("illumination")] = ambient_light(torch.ones(2))
    assert torch.isfinite(model.render(theta, 24).image).all()


def test_linear_in_the_file_s_order() -> None:
    data = small_data()
    model = MorphableModel(data, torch.float64)
    theta = torch.zeros(1, model.layout.size, dtype=torch.float64)
    theta[0, model.layout.index("expression", "second")] = 2.0
    theta[0, model.layout.slice("identity").start + 1] = -1.5
    theta[0, model.layout.slice("albedo").start] = 1.0
    mesh = model.mesh(theta)
    expected = data.mean.astype(float) + 2.0 * data.expression[1] - 1.5 * data.identity[1]
    np.testing.assert_allclose(mesh.vertices[0].numpy(), expected, atol=1e-6)
    np.testing.assert_allclose(mesh.colours[0].numpy(), data.albedo_mean + data.albedo[0], atol=1e-6)
    np.testing.assert_array_equal(mesh.faces.numpy(), data.faces)
    points = expected[data.landmark_vertices].mean(1)
    np.testing.assert_allclose(model.surface(theta, LANDMARKS)[0].numpy(), points, atol=1e-6)
    shown = model.surface(theta, REGION)
    torch.testing.assert_close(shown, model.surface(theta, WHOLE)[:, : shown.shape[1]])
    assert shown.shape[1] < len(data.mean)


def test_the_mirror_image() -> None:
    """Flipping the image is what mirroring θ does: yaw, roll, x, light, and every coefficient."""
    model = MorphableModel(small_data(), torch.float64)
    generator = torch.Generator().manual_seed(3)
    theta = 0.3 * torch.randn(2, model.layout.size, generator=generator, dtype=torch.float64)
    theta[:, model.layout.slice("translation")] *= 0.3
    theta[:, model.layout.slice("illumination")] += ambient_light(torch.full((2,), 1.0, dtype=torch.float64))
    assert model.mirror_theta is not None
    mirrored = model.mirror_theta(theta)
    rotation, other = model.layout.get(theta, "rotation"), model.layout.get(mirrored, "rotation")
    assert torch.equal(other, rotation * torch.tensor([1.0, -1.0, -1.0], dtype=torch.float64))
    vertices, flipped = model.mesh(theta).vertices, model.mesh(mirrored).vertices
    grid = torch.arange(SIDE * SIDE).view(SIDE, SIDE).flip(1).reshape(-1)
    sign = torch.tensor([-1.0, 1.0, 1.0], dtype=torch.float64)
    torch.testing.assert_close(flipped, vertices[:, grid] * sign, atol=1e-6, rtol=0)
    image, back = model.render(theta, 64), model.render(mirrored, 64)
    both = image.mask * back.mask.flip(-1)
    assert both.mean() > 0.97 * image.mask.mean()
    difference = ((image.image - back.image.flip(-1)) * both).abs()
    # Diagonals of the quads differ between the sides.
    assert difference.mean() < 0.01


def test_no_symmetry_no_mirror() -> None:
    data = small_data()
    assert MorphableModel(dataclasses.replace(data, mirror=None)).mirror_theta is None
    rng = np.random.default_rng(0)
    crooked = rng.normal(size=data.identity.shape).astype(np.float32)
    assert MorphableModel(dataclasses.replace(data, identity=crooked)).mirror_theta is None


def test_partners_are_mutual() -> None:
    points = np.array([[1, 0, 0], [-1, 0, 0], [0, 2, 0], [-3, 0, 0], [-1, 0, 1e-4]], dtype=np.float32)
    assert mirror_vertices(points, 1e-2).tolist() == [1, 0, 2, -1, -1]


def test_landmarks_on_vertices() -> None:
    data = small_data()
    vertices = data.landmark_vertices[:, 0]
    model = MorphableModel(dataclasses.replace(data, landmark_vertices=vertices, landmark_weights=None))
    theta = torch.zeros(1, model.layout.size)
    pixels, _ = FFHQ_CAMERA.project(torch.from_numpy(data.mean[vertices])[None], 100)
    torch.testing.assert_close(model.landmarks(theta, 100), pixels)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("identity", np.zeros((2, 7, 3), dtype=np.float32), "identity has shape"),
        ("expression", np.full((1, SIDE * SIDE, 3), np.nan, dtype=np.float32), "not finite"),
        ("faces", np.array([[0, 1, SIDE * SIDE]]), "beyond"),
        ("landmark_vertices", np.array([-1]), "beyond"),
        ("faces", np.zeros((0, 3), dtype=np.int64), "no faces"),
        ("landmark_weights", None, "barycentric"),
    ],
)
def test_wrong_data_is_refused(name: str, value: object, message: str) -> None:
    with pytest.raises(AssetError, match=message):
        MorphableModel(dataclasses.replace(small_data(), **{name: value}))
