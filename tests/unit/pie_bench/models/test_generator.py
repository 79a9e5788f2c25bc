"""The projection finds what it is given, for each portrait alone."""

from __future__ import annotations

import torch

from pie_bench.models.generator import project
from pie_bench.models.settings import ProjectionConfig
from pie_framework.testing.toys import toy_networks


def test_projection_treats_portraits_apart() -> None:
    networks = toy_networks()
    generator = networks.generator
    goal = generator.synthesize(generator.sample(2, torch.Generator().manual_seed(0)) * 0.3)
    zero = generator.mean_latent().expand(2, generator.num_layers, -1)
    settings = ProjectionConfig(steps=20, lr=0.05, ssim=0.01)
    both = project(networks, goal, zero, settings)
    alone = project(networks, goal[:1], zero[:1], settings)
    # Adam's first steps are as long for a small gradient as for a large one: rounding shows more than once.
    assert torch.allclose(both[:1], alone, atol=1e-3)
    assert not torch.allclose(both[1:], alone, atol=1e-1)
    assert not both.requires_grad
    before, after = goal.square().mean(), (generator.synthesize(both) - goal).square().mean()
    assert after < 0.2 * before
    assert torch.equal(project(networks, goal, zero, ProjectionConfig(steps=0)), zero)
