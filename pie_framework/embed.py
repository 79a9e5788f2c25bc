"""From portraits and components to the problem that the solver takes, and where it starts (§3)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from pie_framework.api import Networks, TargetView
from pie_framework.errors import ComponentError, ConfigError, did_you_mean
from pie_framework.objective import Objective
from pie_framework.optimizers import Optimizer
from pie_framework.prior import PriorSampler
from pie_framework.solver import Problem, Stage

STARTS = ("mean", "nearest", "inverter", "encoder_search")
#: How many latents of the prior a start chooses from.
CANDIDATES = {"nearest": 64, "encoder_search": 256}
#: Side of the images that are compared, pixels.
COMPARED = 32


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
    landmarks: Tensor | None = None,
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
        landmarks: of the portraits, (B, K, 2) pixels, where they are known and need not be detected.

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
        target=TargetView(networks, images, landmarks),
        objective=objective,
        stages=tuple(stages),
        optimizer=optimizer,
        blocks=tuple(blocks),
        blocks_per_step=settings.blocks_per_step,
        draw=None if sampler is None else sampler.draw,
    )


@torch.no_grad()
def start_latent(
    networks: Networks, images: Tensor, init: str = "mean", seed: int = 0, candidates: int | None = None
) -> Tensor:
    """w of the first step, (B, L, D).

    Args:
        networks: the generator is used; "inverter" needs one, "encoder_search" needs the encoder and takes the face
            model where there is one.
        images: the portraits, (B, 3, R, R).
        init: "mean" for the generator's mean latent; "inverter" for what the inverter says; or one of `candidates`
            latents of the prior: "nearest" takes the one whose image, averaged down to 32 pixels, is nearest to the
            portrait, "encoder_search" the one whose landmarks (without a face model: whose standardised θ) and
            small image are, see `search_distance`.
        seed: fixes the candidates.
        candidates: how many; `CANDIDATES` says when None.

    Raises:
        ConfigError: an unknown `init`, or no candidates.
        ComponentError: what it needs is not there, or the inverter's latents are not the generator's.
    """
    generator = networks.generator
    if init not in STARTS:
        raise ConfigError(f"init is '{init}'", did_you_mean(init, STARTS))
    shape = (images.shape[0], generator.num_layers, generator.latent_dim)
    if init == "mean":
        return generator.mean_latent().expand(shape).clone()
    if init == "inverter":
        found = networks.need_inverter().invert(images)
        if found.shape != shape:
            raise ComponentError(
                f"the inverter gives latents {tuple(found.shape)}, the generator takes {shape}",
                "Choose the inverter that was made for this generator, or init=mean.",
            )
        return found.clone()
    count = CANDIDATES[init] if candidates is None else candidates
    if count < 1:
        raise ConfigError(f"init={init} chooses among {count} candidates", "Give at least 1.")
    latent = generator.sample(count, torch.Generator().manual_seed(seed))
    made, theta = _described(networks, latent, init == "encoder_search")
    distance = torch.cdist(_small(images), made)
    if theta is not None:
        distance = search_distance(networks, distance, networks.need_encoder().encode(images), theta)
    return latent[distance.argmin(dim=1)].clone()


def search_distance(networks: Networks, images: Tensor, theta: Tensor, candidates: Tensor) -> Tensor:
    """How far each of N candidates is from each portrait, (B, N); only its order means something.

    The distance of the images and that of the faces, each divided by its mean over the candidates so that neither
    outweighs the other, are added. The face's distance is that of the landmarks of θ in the image; without a face
    model it is that of θ with each coefficient divided by its standard deviation over the candidates.

    Args:
        networks: the face model is used where there is one.
        images: distances of the images, (B, N).
        theta: θ of the portraits, (B, P).
        candidates: θ of the candidates, (N, P).
    """
    model = networks.face_model
    if model is None:
        scale = candidates.std(dim=0, unbiased=False)
        scale = torch.where(scale > 0, scale, torch.ones_like(scale))
        own, others = theta / scale, candidates / scale
    else:
        side = networks.generator.resolution
        own, others = (model.landmarks(values, side).flatten(1) for values in (theta, candidates))
    faces = torch.cdist(own, others)
    smallest = torch.finfo(faces.dtype).tiny
    return sum(
        (part / part.mean(dim=1, keepdim=True).clamp_min(smallest) for part in (images, faces)),
        torch.zeros_like(faces),
    )


def _described(
    networks: Networks, latent: Tensor, read: bool, batch: int = 8
) -> tuple[Tensor, Tensor | None]:
    """The small images of latents (N, L, D), (N, F), and, where `read`, the θ of their images, (N, P)."""
    small, thetas = [], []
    for part in torch.split(latent, batch):
        image = networks.generator.synthesize(part)
        small.append(_small(image))
        if read:
            thetas.append(networks.need_encoder().encode(image))
    return torch.cat(small), torch.cat(thetas) if read else None


def _small(images: Tensor) -> Tensor:
    """Images (B, 3, R, R) averaged down to at most 32 pixels, as rows (B, F)."""
    side = min(COMPARED, images.shape[-1])
    return functional.interpolate(images, (side, side), mode="area").flatten(1)
