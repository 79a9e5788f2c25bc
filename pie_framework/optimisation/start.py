"""From portraits and components to the problem that the solver takes, and where it starts (§3)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from pie_framework.api import Initializer, Networks, Optimizer, TargetView
from pie_framework.errors import ComponentError, ConfigError, PluginError
from pie_framework.optimisation.objective import Objective
from pie_framework.optimisation.prior import PriorSampler
from pie_framework.optimisation.problem import Problem
from pie_framework.optimisation.schedule import PriorSettings, Stage

if TYPE_CHECKING:
    from jaxtyping import Float


def make_problem(
    networks: Networks,
    objective: Objective,
    images: Float[Tensor, "B 3 R R"],
    stages: Sequence[Stage],
    optimizer: Optimizer,
    blocks: Sequence[str] = (),
    prior: PriorSettings | None = None,
    seed: int = 0,
    landmarks: Float[Tensor, "B K 2"] | None = None,
    optimizer_origin: str = "the optimizer",
) -> Problem:
    """What the solver needs, from portraits and components.

    Args:
        networks: frozen components; encoder and landmark detector are needed when `prior` is given.
        objective: E(w).
        images: the portraits, in [-1, 1] at the generator's resolution.
        stages: of the optimisation, in order.
        optimizer: the update rule.
        blocks: the blocks τ of this run.
        prior: how v are drawn; None when no term needs any.
        seed: fixes every draw.
        landmarks: of the portraits, pixels, where they are known and need not be detected.
        optimizer_origin: the optimizer in words, for messages.

    Raises:
        ConfigError: the portraits do not have the generator's resolution, or there are no stages.
    """
    side = networks.generator.resolution
    if tuple(images.shape[1:]) != (3, side, side):
        raise ConfigError(
            f"portraits have shape {tuple(images.shape)}, the generator makes (B, 3, {side}, {side})"
        )
    if not stages:
        raise ConfigError("the schedule has no stages", "Try schedule=quick.")
    settings = prior or PriorSettings()
    sampler = None if prior is None else PriorSampler(networks, seed, settings.per_step, settings.pool)
    return Problem(
        networks=networks,
        target=TargetView(networks, images, landmarks),
        objective=objective,
        stages=tuple(stages),
        optimizer=optimizer,
        blocks=tuple(blocks),
        blocks_per_step=settings.blocks_per_step,
        draw=None if sampler is None else sampler.draw,
        optimizer_origin=optimizer_origin,
    )


@torch.no_grad()
def start_latent(
    initializer: Initializer, networks: Networks, images: Float[Tensor, "B 3 R R"], seed: int = 0
) -> Float[Tensor, "B L D"]:
    """w of the first step.

    Args:
        initializer: says where.
        networks: the run's components.
        images: the portraits, in [-1, 1].
        seed: fixes what it draws.

    Raises:
        ComponentError: what it needs is not there, or its latents are not the generator's.
    """
    generator = networks.generator
    shape = (images.shape[0], generator.num_layers, generator.latent_dim)
    rng = torch.Generator().manual_seed(seed)
    latent = networks.call("init", initializer.start, networks, images, rng)
    if not isinstance(latent, Tensor):
        raise PluginError(f"{networks.origin('init')} gave {type(latent).__name__} as the start")
    if latent.shape != shape:
        raise ComponentError(
            f"the start gives latents {tuple(latent.shape)}, the generator takes {shape}",
            "Choose the inverter that was made for this generator, or init=mean.",
        )
    return latent
