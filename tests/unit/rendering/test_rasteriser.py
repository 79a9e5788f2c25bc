from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from pie_framework.errors import InputError
from pie_framework.rendering import PerspectiveCamera, interpolate, rasterise, rasteriser, vertex_normals

Grid = Callable[[int, int], Tensor]
Sphere = Callable[[int, int], tuple[Tensor, Tensor, Tensor]]


def centres(height: int, width: int) -> tuple[Tensor, Tensor]:
    y, x = torch.meshgrid(torch.arange(height) + 0.5, torch.arange(width) + 0.5, indexing="ij")
    return x, y


def jittered_sheet(grid: Grid, columns: int, size: int, seed: int) -> tuple[Tensor, Tensor]:
    """A planar sheet of small, irregular triangles that covers the whole image."""
    side = torch.linspace(-4.0, size + 4.0, columns)
    y, x = torch.meshgrid(side, side, indexing="ij")
    noise = torch.rand(columns, columns, 2, generator=torch.Generator().manual_seed(seed))
    step = (size + 8.0) / (columns - 1)
    points = torch.stack((x, y), dim=-1) + (noise - 0.5) * 0.4 * step
    return points.reshape(1, -1, 2), grid(columns, columns)


@pytest.mark.parametrize("seed", range(5))
def test_single_triangle_is_the_intersection_of_its_half_planes(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    points = torch.rand(1, 3, 2, generator=generator) * 60 - 10
    x, y = centres(40, 50)
    inside = []
    for k in range(3):
        (ax, ay), (bx, by) = points[0, k], points[0, (k + 1) % 3]
        inside.append((bx - ax) * (y - ay) - (by - ay) * (x - ax))
    sides = torch.stack(inside)
    expected = (sides > 0).all(0) | (sides < 0).all(0)
    faces = torch.tensor([[0, 1, 2]])
    both = rasterise(points, torch.ones(1, 3), faces, (40, 50), cull_backfaces=False)
    assert torch.equal(both.face_index[0] == 0, expected)
    front = bool((sides < 0).all(0).any())
    culled = rasterise(points, torch.ones(1, 3), faces, (40, 50))
    assert torch.equal(culled.face_index[0] == 0, expected & front)


def test_counter_clockwise_as_seen_is_front() -> None:
    camera = PerspectiveCamera(distance=10.0, focal=4.0)
    pixels, depth = camera.project(torch.tensor([[[-1.0, -1.0, 0.0], [1.0, -1.0, 0.0], [0.0, 1.0, 0.0]]]), 32)
    assert rasterise(pixels, depth, torch.tensor([[0, 1, 2]]), 32).mask.sum() > 0
    assert rasterise(pixels, depth, torch.tensor([[0, 2, 1]]), 32).mask.sum() == 0


@pytest.mark.parametrize("columns", [4, 17, 80])
def test_sheet_covers_each_pixel_exactly_once(grid: Grid, columns: int) -> None:
    points, faces = jittered_sheet(grid, columns, 48, seed=columns)
    count = faces.shape[0]
    # Each face as its own image of a batch, so that any pixel covered twice shows.
    total = torch.zeros(48, 48)
    for chunk in torch.split(faces, max(1, count // 8)):
        corners = points[0][chunk].reshape(-1, 3, 2)
        alone = rasterise(corners, torch.ones(corners.shape[:2]), torch.tensor([[0, 1, 2]]), 48)
        total += alone.mask.sum((0, 1))
    assert torch.equal(total, torch.ones(48, 48))
    assert rasterise(points, torch.ones(points.shape[:2]), faces, 48).mask.min() == 1


def test_corners_on_pixel_centres_are_covered_once(grid: Grid) -> None:
    side = torch.arange(0, 13).float() * 4 + 0.5
    y, x = torch.meshgrid(side, side, indexing="ij")
    points, faces = torch.stack((x, y), dim=-1).reshape(1, -1, 2), grid(13, 13)
    corners = points[0][faces]
    alone = rasterise(corners, torch.ones(corners.shape[:2]), torch.tensor([[0, 1, 2]]), 48)
    assert torch.equal(alone.mask.sum((0, 1)), torch.ones(48, 48))


@pytest.mark.parametrize("perspective", [True, False])
def test_nearest_face_wins_and_ties_go_to_the_lowest(perspective: bool) -> None:
    square = torch.tensor([[0.0, 0.0], [0.0, 8.0], [8.0, 8.0], [8.0, 0.0]])
    faces = torch.tensor([[0, 1, 2], [0, 2, 3]])
    points = square.repeat(3, 1).unsqueeze(0)
    depth = torch.tensor([5.0, 3.0, 3.0]).repeat_interleave(4).unsqueeze(0)
    all_faces = torch.cat((faces, faces + 4, faces + 8))
    seen = rasterise(points, depth, all_faces, 8, perspective=perspective).face_index
    assert set(seen.view(-1).tolist()) == {2, 3}


def test_intersecting_triangles_meet_where_their_depths_are_equal() -> None:
    camera = PerspectiveCamera(distance=10.0, focal=10.0)
    # Two slanted squares that cross at x = 0.3 for every y.
    x = torch.tensor([-1.5, -1.5, 1.5, 1.5])
    y = torch.tensor([1.5, -1.5, -1.5, 1.5])
    slanted = [torch.stack((x, y, slope * (x - 0.3)), dim=-1) for slope in (0.5, -0.5)]
    faces = torch.tensor([[0, 1, 2], [0, 2, 3]])
    pixels, depth = camera.project(torch.cat(slanted).unsqueeze(0), 64)
    seen = rasterise(pixels, depth, torch.cat((faces, faces + 4)), 64).face_index[0]
    limit, _ = camera.project(torch.tensor([[[0.3, 0.0, 0.0]]]), 64)
    first = torch.isin(seen, torch.tensor([0, 1]))
    assert torch.equal(first, centres(64, 64)[0] > limit[0, 0, 0])


def test_affine_interpolation_reproduces_a_linear_function(grid: Grid) -> None:
    points, faces = jittered_sheet(grid, 20, 32, seed=3)
    points = points.double()
    fragments = rasterise(points, torch.ones(points.shape[:2]), faces, 32, perspective=False)
    x, y = centres(32, 32)
    for given in (None, points):
        image = interpolate(fragments, faces, points @ torch.tensor([[2.0], [-3.0]]).double() + 7, given)
        assert torch.allclose(image[0, ..., 0], (2 * x - 3 * y + 7).double(), atol=1e-10)
    assert torch.allclose(fragments.barycentric.sum(-1), torch.ones(1, 32, 32).double())


def test_perspective_interpolation_reproduces_world_positions() -> None:
    camera = PerspectiveCamera(distance=3.0, focal=1.0)
    world = torch.tensor(
        [[[-2.0, -2.0, 1.0], [2.0, -2.0, -1.0], [2.0, 2.0, -1.0], [-2.0, 2.0, 1.0]]]
    ).double()
    faces = torch.tensor([[0, 1, 2], [0, 2, 3]])
    pixels, depth = camera.project(world, 32)
    fragments = rasterise(pixels, depth, faces, 32)
    assert fragments.mask.mean() > 0.5
    for given in ({}, {"vertices_pixels": pixels, "depth": depth}):
        image = interpolate(fragments, faces, world, **given)
        back, _ = camera.project(image.reshape(1, -1, 3), 32)
        x, y = centres(32, 32)
        seen = fragments.covered
        assert torch.allclose(
            back[0, seen], torch.stack((x, y), dim=-1).double().view(-1, 2)[seen], atol=1e-10
        )
        assert torch.allclose(image.reshape(-1, 3)[seen, 2], -0.5 * image.reshape(-1, 3)[seen, 0], atol=1e-10)


def test_empty_pixels_are_marked_and_zero() -> None:
    points = torch.tensor([[[2.0, 2.0], [2.0, 6.0], [6.0, 6.0]]])
    faces = torch.tensor([[0, 1, 2]])
    fragments = rasterise(points, torch.ones(1, 3), faces, 8)
    empty = fragments.face_index < 0
    assert empty.any() and not empty.all()
    assert torch.equal(fragments.mask[:, 0] == 0, empty)
    assert fragments.barycentric[empty].abs().max() == 0
    assert interpolate(fragments, faces, torch.ones(1, 3, 2))[empty].abs().max() == 0
    assert torch.equal(fragments.covered, (~empty).view(-1).nonzero().squeeze(-1))


def test_nothing_in_view() -> None:
    faces = torch.tensor([[0, 1, 2]])
    outside = torch.tensor([[[-9.0, -9.0], [-9.0, -5.0], [-5.0, -5.0]]])
    fragments = rasterise(outside, torch.ones(1, 3), faces, 8)
    assert fragments.mask.sum() == 0 and fragments.covered.numel() == 0
    assert interpolate(fragments, faces, torch.ones(1, 3, 2), outside).shape == (1, 8, 8, 2)


def test_faces_behind_the_camera_or_not_finite_are_dropped() -> None:
    inside = torch.tensor([[2.0, 2.0], [2.0, 6.0], [6.0, 6.0]])
    broken = inside.clone()
    broken[0, 0] = float("nan")
    points = torch.stack((inside, inside, broken, inside))
    depth = torch.tensor([[1.0, 1.0, 1.0], [1.0, -1.0, 1.0], [1.0, 1.0, 1.0], [1.0, float("inf"), 1.0]])
    seen = rasterise(points, depth, torch.tensor([[0, 1, 2]]), 8).mask.sum((1, 2, 3)) > 0
    assert seen.tolist() == [True, False, False, False]


def test_batch_equals_single_images(sphere: Sphere) -> None:
    vertices, faces, _ = sphere(12, 15)
    scale = torch.tensor([1.0, 0.6, 1.3], dtype=torch.float64).view(3, 1, 1)
    camera = PerspectiveCamera(distance=10.0, focal=6.0)
    pixels, depth = camera.project((vertices * scale).float(), (40, 30))
    attributes = vertices.float().expand(3, -1, -1)
    fragments = rasterise(pixels, depth, faces, (40, 30))
    image = interpolate(fragments, faces, attributes, pixels, depth)
    shared = interpolate(fragments, faces, attributes[:1], pixels, depth)
    torch.testing.assert_close(image, shared)
    for b in range(3):
        one = slice(b, b + 1)
        single = rasterise(pixels[one], depth[one], faces, (40, 30))
        assert torch.equal(single.face_index, fragments.face_index[one])
        alone = interpolate(single, faces, attributes[one], pixels[one], depth[one])
        torch.testing.assert_close(alone, image[one])


def test_mirrored_mesh_gives_the_mirrored_mask(sphere: Sphere) -> None:
    generator = torch.Generator().manual_seed(8)
    vertices, faces, _ = sphere(20, 24)
    bumpy = vertices.float() * (1 + 0.2 * torch.rand(vertices.shape[0], 1, generator=generator))
    camera = PerspectiveCamera(distance=10.0, focal=6.0)
    mirror = torch.tensor([-1.0, 1.0, 1.0])
    masks = []
    for points, order in ((bumpy, faces), (bumpy * mirror, faces.flip(1))):
        pixels, depth = camera.project(points.unsqueeze(0), 64)
        masks.append(rasterise(pixels, depth, order, 64).face_index)
    assert torch.equal(masks[0], masks[1].flip(-1))


def test_interpolate_gradcheck() -> None:
    generator = torch.Generator().manual_seed(2)
    faces = torch.tensor([[0, 1, 2], [2, 1, 3]])
    start = torch.tensor([[0.3, 0.4], [0.6, 5.3], [5.2, 0.2], [5.4, 5.6]]).double()
    points = (start + torch.rand(2, 4, 2, generator=generator).double() * 0.2).requires_grad_()
    depth = (2 + torch.rand(2, 4, generator=generator).double()).requires_grad_()
    attributes = torch.randn(2, 4, 3, generator=generator).double().requires_grad_()
    fragments = rasterise(points, depth, faces, 6)
    assert fragments.mask.mean() > 0.5

    def perspective(a: Tensor, p: Tensor, d: Tensor) -> Tensor:
        return interpolate(fragments, faces, a, p, d)

    def affine(a: Tensor, p: Tensor) -> Tensor:
        return interpolate(fragments, faces, a, p)

    assert torch.autograd.gradcheck(perspective, (attributes, points, depth))
    assert torch.autograd.gradcheck(affine, (attributes, points))
    assert torch.autograd.gradcheck(lambda a: interpolate(fragments, faces, a), (attributes,))


def test_wrong_shapes_are_named() -> None:
    with pytest.raises(InputError, match="do not fit"):
        rasterise(torch.zeros(1, 3, 2), torch.zeros(3), torch.tensor([[0, 1, 2]]), 8)
    with pytest.raises(InputError, match="positive"):
        rasterise(torch.zeros(1, 3, 2), torch.zeros(1, 3), torch.tensor([[0, 1, 2]]), 0)


def test_memory_is_bounded_by_working_in_portions(grid: Grid, monkeypatch: pytest.MonkeyPatch) -> None:
    generator = torch.Generator().manual_seed(5)
    points, faces = jittered_sheet(grid, 30, 48, seed=1)
    faces = torch.cat((faces, torch.randint(0, points.shape[1], (200, 3), generator=generator)))
    points = torch.cat((points, points.flip(1)))
    depth = 1 + torch.rand(points.shape[:2], generator=generator)
    whole = rasterise(points, depth, faces, 48, cull_backfaces=False)
    largest = []
    plain = rasteriser._expand

    def watched(counts: Tensor, total: int) -> tuple[Tensor, Tensor]:
        assert total == int(counts.sum())
        largest.append(total)
        return plain(counts, total)

    monkeypatch.setattr(rasteriser, "_expand", watched)
    monkeypatch.setattr(rasteriser, "ROWS_AT_ONCE", 100)
    monkeypatch.setattr(rasteriser, "PIXELS_AT_ONCE", 500)
    portions = rasterise(points, depth, faces, 48, cull_backfaces=False)
    assert torch.equal(portions.face_index, whole.face_index)
    torch.testing.assert_close(portions.barycentric, whole.barycentric)
    assert len(largest) > 100 and max(largest) <= 500 + 48


def test_a_full_size_face_at_1024_pixels(sphere: Sphere) -> None:
    """About 36 000 vertices and 70 000 faces, with gradients."""
    vertices, faces, _ = sphere(160, 224)
    assert vertices.shape[-2] > 35_000 and len(faces) > 70_000
    points = vertices.float().reshape(1, -1, 3).requires_grad_()
    camera = PerspectiveCamera(distance=10.0, focal=6.0)
    pixels, depth = camera.project(points, 1024)
    fragments = rasterise(pixels, depth, faces, 1024)
    image = interpolate(fragments, faces, vertex_normals(points, faces), pixels, depth)
    image[..., 2].sum().backward()
    assert fragments.covered.numel() > 200_000
    assert points.grad is not None and bool(points.grad.isfinite().all()) and bool(points.grad.any())
