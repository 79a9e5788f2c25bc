"""Fréchet distance between two sets of pictures, each taken for a Gaussian in features of Ψ (Heusel et al. 2017).

‖μ1 - μ2‖² + tr(Σ1 + Σ2 - 2 (Σ1^½ Σ2 Σ1^½)^½), in double precision, the roots by eigenvalues. It is biased upwards by
the finite number of pictures, so it is read beside the distance between two halves of the renders of that size.
"""

from __future__ import annotations

import torch
from torch import Tensor

from pie_bench.models.figures import Columns, Figure
from pie_bench.models.world import RENDERS, SAMPLES, World

#: Pictures that are made at a time.
BATCH = 32
#: The features: column of an image's row -> how the table calls it.
SPACES = {"embedding": "Ψ embedding", "pooled": "Ψ last map, mean over the picture"}


def gaussian(features: Tensor) -> tuple[Tensor, Tensor]:
    """Mean (E,) and covariance (E, E), divided by N - 1, of (N, E) in double."""
    features = features.double()
    return features.mean(dim=0), torch.cov(features.T).reshape(features.shape[1], features.shape[1])


def frechet_distance(first: tuple[Tensor, Tensor], second: tuple[Tensor, Tensor]) -> float:
    """The squared Fréchet distance of two Gaussians, each (mean (E,), covariance (E, E))."""
    (mean_a, cov_a), (mean_b, cov_b) = first, second
    values, vectors = torch.linalg.eigh(cov_a.double())
    root = (vectors * values.clamp_min(0).sqrt()) @ vectors.T
    inner = root @ cov_b.double() @ root
    between = torch.linalg.eigvalsh((inner + inner.T) / 2).clamp_min(0).sqrt().sum()
    apart = (mean_a.double() - mean_b.double()).square().sum()
    return float(apart + cov_a.double().trace() + cov_b.double().trace() - 2 * between)


def counts(world_samples: int) -> dict[str, int]:
    """How many pictures of each sort there are for that many samples."""
    return {"renders": 2 * world_samples, "samples": world_samples}


@torch.no_grad()
def read(world: World, sort: str, number: int) -> dict[tuple[str, ...], Tensor]:
    """Features of one batch of "renders" or of the generator's "samples", each (B, E)."""
    total = counts(world.settings.samples)[sort]
    count = min(BATCH, total - number * BATCH)
    if sort == "renders":
        images = world.draw(RENDERS, number, count).images
    else:
        images = world.networks.synthesize(world.sample(SAMPLES, number, count)).clamp(-1, 1)
    maps = [value for value in world.networks.extract("recognition", images).values() if value.dim() == 4]
    found: dict[tuple[str, ...], Tensor] = {("generator", sort, "embedding"): world.embed(images)}
    if maps:
        found["generator", sort, "pooled"] = maps[-1].mean(dim=(2, 3))
    return found


def figures(columns: Columns) -> list[Figure]:
    """Distance of samples to renders and of one half of the renders to the other, all sets of one size."""
    found = []
    for space, title in SPACES.items():
        if ("generator", "renders", space) not in columns:
            continue
        samples = torch.from_numpy(columns["generator", "samples", space])
        half, other = torch.from_numpy(columns["generator", "renders", space]).chunk(2)
        for name, some in (("samples to renders", samples), ("renders to renders", other)):
            distance = frechet_distance(gaussian(some), gaussian(half))
            measure = f"Fréchet distance, {name}, {title}"
            found.append(Figure("generator", measure, distance, "", len(samples)))
    return found
