from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from pie_framework.errors import InputError
from pie_framework.rendering import (
    ambient_light,
    directional_light,
    dominant_direction,
    mirror_illumination,
    sh_basis,
    shade,
    soft_shoulder,
)

KERNEL = torch.tensor((math.pi,) + (2 * math.pi / 3,) * 3 + (math.pi / 4,) * 5, dtype=torch.float64)


def unit_vectors(count: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.nn.functional.normalize(torch.randn(count, 3, generator=generator).double(), dim=-1)


def sphere_quadrature(rows: int = 200, columns: int = 400) -> tuple[Tensor, Tensor]:
    """Directions (N, 3) and solid angles (N,) of a midpoint rule, equal-area in height."""
    height = (torch.arange(rows, dtype=torch.float64) + 0.5) / rows * 2 - 1
    around = (torch.arange(columns, dtype=torch.float64) + 0.5) / columns * 2 * math.pi
    h, a = torch.meshgrid(height, around, indexing="ij")
    r = (1 - h * h).sqrt()
    directions = torch.stack((r * a.cos(), r * a.sin(), h), dim=-1).reshape(-1, 3)
    return directions, torch.full((rows * columns,), 4 * math.pi / (rows * columns), dtype=torch.float64)


def test_basis_is_orthonormal_once_the_kernel_is_divided_out() -> None:
    directions, weights = sphere_quadrature()
    harmonics = sh_basis(directions) / KERNEL
    gram = harmonics.t() @ (harmonics * weights.unsqueeze(-1))
    assert torch.allclose(gram, torch.eye(9, dtype=torch.float64), atol=1e-3)


def test_shading_is_the_lambert_integral_of_the_radiance() -> None:
    directions, weights = sphere_quadrature()
    gamma = torch.randn(2, 27, generator=torch.Generator().manual_seed(1)).double()
    radiance = torch.einsum("nk,bck->bnc", sh_basis(directions) / KERNEL, gamma.view(2, 3, 9))
    normals = unit_vectors(10)
    cosine = (normals @ directions.t()).clamp_min(0)
    integral = torch.einsum("vn,n,bnc->bvc", cosine, weights, radiance) / math.pi
    shaded = shade(torch.ones(2, 10, 3).double(), normals.expand(2, -1, -1), gamma)
    assert torch.allclose(shaded, integral, atol=1e-3)


def test_mean_shading_of_a_sphere_is_its_constant_band() -> None:
    directions, weights = sphere_quadrature(60, 120)
    gamma = torch.randn(1, 27, generator=torch.Generator().manual_seed(1)).double()
    shaded = shade(torch.ones(1, 1, 3).double(), directions.unsqueeze(0), gamma)[0]
    mean = (shaded * weights.unsqueeze(-1)).sum(0) / (4 * math.pi)
    assert torch.allclose(mean, 0.5 / math.sqrt(math.pi) * gamma.view(3, 9)[:, 0], atol=1e-3)


def test_ambient_light_shades_every_normal_alike() -> None:
    normals = unit_vectors(20).expand(2, -1, -1)
    albedo = torch.full((1, 1, 3), 0.5).double()
    white = shade(albedo, normals, ambient_light(torch.tensor([0.4, 0.8]).double()))
    assert torch.allclose(white, torch.tensor([0.2, 0.4]).double().view(2, 1, 1).expand_as(white))
    rgb = torch.tensor([[0.2, 0.4, 0.6], [1.0, 0.0, 0.5]]).double()
    assert torch.allclose(shade(albedo * 2, normals, ambient_light(rgb)), rgb.unsqueeze(1).expand_as(white))


def test_directional_light_approximates_the_clamped_cosine() -> None:
    light = unit_vectors(1, seed=5)
    normals = unit_vectors(2000)
    colour = torch.tensor([1.0, 0.5, 0.25]).double()
    gamma = directional_light(3 * light, colour, intensity=2.0, ambient=0.1)
    shaded = shade(torch.ones(1, 1, 3).double(), normals.unsqueeze(0), gamma)[0]
    cosine = (normals @ light[0]).clamp_min(0)
    error = (shaded - 0.1) / (2 * colour) - cosine.unsqueeze(-1)
    assert error.min() > -0.04 and error.max() < 0.094
    facing = shade(torch.ones(1, 1, 3).double(), light.unsqueeze(0), gamma)[0, 0]
    assert torch.allclose(facing, 0.1 + 2 * 1.0625 * colour)


def test_dominant_direction_finds_the_light() -> None:
    light = unit_vectors(6)
    gamma = directional_light(
        light, torch.rand(6, 3, generator=torch.Generator().manual_seed(3)).double() + 0.1
    )
    assert torch.allclose(dominant_direction(gamma), light)
    assert dominant_direction(ambient_light(torch.ones(1))).abs().max() == 0


def test_mirror_moves_the_light_to_the_other_side() -> None:
    flip = torch.tensor([-1.0, 1.0, 1.0]).double()
    gamma = torch.randn(3, 27, generator=torch.Generator().manual_seed(4)).double()
    normals = unit_vectors(15).expand(3, -1, -1)
    albedo = torch.ones(1, 1, 3).double()
    assert torch.allclose(
        shade(albedo, normals * flip, mirror_illumination(gamma)), shade(albedo, normals, gamma)
    )
    light = unit_vectors(4)
    assert torch.allclose(mirror_illumination(directional_light(light)), directional_light(light * flip))


def test_shade_takes_vertices_and_pixels() -> None:
    normals = unit_vectors(2 * 4 * 5).view(2, 4, 5, 3)
    gamma = torch.randn(2, 27, generator=torch.Generator().manual_seed(4)).double()
    albedo = torch.rand(2, 4, 5, 3, generator=torch.Generator().manual_seed(4)).double()
    image = shade(albedo, normals, gamma)
    assert torch.allclose(image.view(2, 20, 3), shade(albedo.view(2, 20, 3), normals.view(2, 20, 3), gamma))


def test_soft_shoulder() -> None:
    x = torch.linspace(-0.5, 50, 5000).double()
    y = soft_shoulder(x)
    assert (y.diff() >= 0).all() and y.min() == 0 and y.max() < 1
    low = (x >= 0) & (x <= 0.7)
    assert torch.equal(y[low], x[low])
    around = torch.tensor([0.7 - 1e-6, 0.7 + 1e-6]).double().requires_grad_()
    (slope,) = torch.autograd.grad(soft_shoulder(around).sum(), around)
    assert torch.allclose(slope, torch.ones(2).double(), atol=1e-4)
    with pytest.raises(InputError, match="knee"):
        soft_shoulder(x, knee=1.0)


def test_gradcheck() -> None:
    generator = torch.Generator().manual_seed(6)
    albedo = torch.rand(2, 3, 3, generator=generator).double().requires_grad_()
    normals = unit_vectors(6).view(2, 3, 3).clone().requires_grad_()
    gamma = torch.randn(2, 27, generator=generator).double().requires_grad_()
    assert torch.autograd.gradcheck(shade, (albedo, normals, gamma))
    assert torch.autograd.gradcheck(lambda a, n, g: soft_shoulder(shade(a, n, g)), (albedo, normals, gamma))
    direction = unit_vectors(2).clone().requires_grad_()
    assert torch.autograd.gradcheck(directional_light, (direction,))
    assert torch.autograd.gradcheck(dominant_direction, (gamma,))
