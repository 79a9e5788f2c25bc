"""From portraits and components to the problem that the solver takes, and where it starts (§3)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from pie_framework.api import Networks, TargetView
from pie_framework.errors import ConfigError, did_you_mean
from pie_framework.objective import Objective
from pie_framework.optimizers import Optimizer
from pie_framework.prior import PriorSampler
from pie_framework.solver import Problem, Stage

STARTS = ("mean", "nearest")


@dataclass(frozen=True)
class PriorSettings:
    """How E_v is estimated.

    Attributes:
        pool: how many v are made once and drawn from; 0 makes new ones at every step.
        per_step: how many v a step averages over.
        blocks_per_step: how many blocks τ a step averages over, taking turns; 0 takes all.
    """

    pool: int = 64
    per_step: int = 1
    blocks_per_step: int = 1


def make_problem(
    networks: Networks,
    objective: Objective,
    images: Tensor,
    stages: Sequence[Stage],
    optimizer: Optimizer,
    blocks: Sequence[str] = (),
    prior: PriorSettings | None = None,
    seed: int = 0,
) -> Problem:
    """What the solver needs, from portraits and components.

    Args:
        networks: frozen components; encoder and landmark detector are needed when `prior` is given.
        objective: E(w).
        images: the portraits, (B, 3, R, R) in [-1, 1] at the generator's resolution.
        stages: of the optimisation, in order.
        optimizer: the update rule.
        blocks: the blocks τ of this run.
        prior: how v are drawn; None when no term needs any.
        seed: fixes every draw.

    Raises:
        ConfigError: the portraits do not have the generator's resolution, or there are no stages.
    """
    side = networks.generator.resolution
    if images.dim() != 4 or tuple(images.shape[1:]) != (3, side, side):
        raise ConfigError(
            f"portraits have shape {tuple(images.shape)}, the generator makes (B, 3, {side}, {side})"
        )
    if not stages:
        raise ConfigError("the schedule has no stages", "Try schedule=quick.")
    settings = prior or PriorSettings()
    sampler = None if prior is None else PriorSampler(networks, seed, settings.per_step, settings.pool)
    return Problem(
        networks=networks,
        target=TargetView(networks, images),
        objective=objective,
        stages=tuple(stages),
        optimizer=optimizer,
        blocks=tuple(blocks),
        blocks_per_step=settings.blocks_per_step,
        draw=None if sampler is None else sampler.draw,
    )


@torch.no_grad()
def start_latent(
    networks: Networks, images: Tensor, init: str = "mean", seed: int = 0, candidates: int = 64
) -> Tensor:
    """w of the first step, (B, L, D).

    Args:
        networks: the generator is used.
        images: the portraits, (B, 3, R, R).
        init: "mean" for the generator's mean latent, or "nearest" for that of `candidates` latents of the prior
            whose image, averaged down to 32 pixels, is nearest to the portrait.
        seed: fixes the candidates.
        candidates: how many latents "nearest" chooses from.

    Raises:
        ConfigError: an unknown `init`.
    """
    generator = networks.generator
    if init not in STARTS:
        raise ConfigError(f"init is '{init}'", did_you_mean(init, STARTS))
    if init == "mean":
        mean = generator.mean_latent()
        return mean.expand(images.shape[0], generator.num_layers, generator.latent_dim).clone()
    rng = torch.Generator().manual_seed(seed)
    latent = generator.sample(candidates, rng)
    side = min(32, generator.resolution)
    made = torch.cat([generator.synthesize(part) for part in torch.split(latent, 8)])
    small = functional.interpolate(made, (side, side), mode="area").flatten(1)
    wanted = functional.interpolate(images, (side, side), mode="area").flatten(1)
    return latent[torch.cdist(wanted, small).argmin(dim=1)].clone()
