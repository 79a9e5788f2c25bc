"""How well the generator can show held-out portraits: projection to W+, and what the inverter guesses."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from pie_bench.models.settings import ProjectionConfig
from pie_bench.models.world import World
from pie_framework.api import Networks
from pie_framework.images.metrics import psnr, ssim

#: Steps in which the step size rises to its full height.
RISE = 5
#: Adam's decay rates; the second is shorter than usual because there are few steps.
BETAS = (0.9, 0.99)


def project(networks: Networks, images: Tensor, start: Tensor, settings: ProjectionConfig) -> Tensor:
    """The latents in W+ whose images come nearest to the given ones, by Adam (Kingma & Ba 2015).

    The loss of each portrait is the mean squared error over channels and pixels plus `settings.ssim` times
    1 - SSIM; portraits do not influence one another.

    Args:
        images: (B, 3, R, R) in [-1, 1].
        start: (B, L, D).

    Returns:
        (B, L, D), without gradient.
    """
    latent = start.detach().clone(memory_format=torch.contiguous_format)
    first, second = torch.zeros_like(latent), torch.zeros_like(latent)
    for step in range(settings.steps):
        variable = latent.requires_grad_(True)
        with torch.enable_grad():
            made = networks.synthesize(variable)
            loss = (made - images).square().mean(dim=(1, 2, 3))
            if settings.ssim > 0:
                loss = loss + settings.ssim * (1 - ssim(made, images))
            (gradient,) = torch.autograd.grad(loss.sum(), variable)
        first = BETAS[0] * first + (1 - BETAS[0]) * gradient
        second = BETAS[1] * second + (1 - BETAS[1]) * gradient.square()
        mean = first / (1 - BETAS[0] ** (step + 1))
        spread = second / (1 - BETAS[1] ** (step + 1))
        lr = settings.lr * min(1.0, (step + 1) / RISE)
        lr *= 0.5 * (1 + math.cos(math.pi * step / settings.steps))
        latent = latent.detach() - lr * mean / (spread.sqrt() + 1e-12)
    return latent


def start(networks: Networks, images: Tensor) -> Tensor:
    """Where the projection starts, (B, L, D): the inverter's guess, or without one the mean latent."""
    if networks.inverter is not None:
        with torch.no_grad():
            return networks.invert(images)
    generator = networks.generator
    return generator.mean_latent().expand(len(images), generator.num_layers, -1)


def measure(world: World, images: Tensor) -> tuple[Tensor, dict[tuple[str, ...], Tensor]]:
    """Latents of portraits, (B, L, D), and the likeness (B,) of what they show to the portraits."""
    networks = world.networks
    guess = start(networks, images)
    latent = project(networks, images, guess, world.settings.projection)
    shown = [("generator", "projection ", latent)]
    shown += [("inverter", "", guess)] if networks.inverter is not None else []
    found: dict[tuple[str, ...], Tensor] = {}
    with torch.no_grad():
        for model, prefix, w in shown:
            made = networks.synthesize(w).clamp(-1, 1)
            found[model, f"{prefix}PSNR"], found[model, f"{prefix}SSIM"] = (
                psnr(made, images),
                ssim(made, images),
            )
    return latent, found
