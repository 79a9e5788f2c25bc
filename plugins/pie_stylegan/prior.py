"""Giving a trained synthesis network its prior: isotropic codes, and a mapping network whose w are distributed as they.

The autoencoder learns synthesis and inversion without a prior. Two steps make a StyleGAN of it: `whiten` changes the
basis of w exactly (images and inversions stay as they were), and `fit_mapping` fits z -> w to the codes.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from pie_framework.errors import ConfigError

from .inverter import Inverter
from .layers import LRELU_SLOPE, FullyConnected
from .mapping import MappingNetwork
from .stylegan2 import StyleGAN2, SynthesisBlock


def moments(codes: Tensor) -> tuple[Tensor, Tensor]:
    """Mean (D,) and covariance (D, D) of codes (N, D)."""
    mean = codes.mean(dim=0)
    centred = codes - mean
    return mean, centred.t() @ centred / max(1, len(codes) - 1)


def covariance_roots(covariance: Tensor) -> tuple[Tensor, Tensor]:
    """The symmetric square root of a covariance (D, D), and its inverse."""
    values, vectors = torch.linalg.eigh(covariance.double())
    values = values.clamp_min(float(values.max()) * 1e-9)
    root = (vectors * values.sqrt()) @ vectors.t()
    inverse = (vectors * values.rsqrt()) @ vectors.t()
    return root, inverse


@torch.no_grad()
def whiten(generator: StyleGAN2, inverter: Inverter, codes: Tensor) -> Tensor:
    """Change the basis of w so that the codes have mean zero and unit covariance.

    The inverse map is folded into the affine layers of the generator and the map into the last layer of the
    inverter, so that G(E(image)) does not change. The mapping network is not touched: fit it afterwards.

    Args:
        codes: (N, D), what the inverter gives for the training portraits, plus noise as in training, so that no
            direction that the generator ignores is blown up.

    Returns:
        The codes in the new basis, (N, D).
    """
    mean, covariance = moments(codes.double())
    root, inverse = covariance_roots(covariance)
    affines: list[FullyConnected] = []
    for block in generator.blocks:
        assert isinstance(block, SynthesisBlock)
        affines += [layer.affine for layer in (block.conv0, block.conv1, block.torgb) if layer is not None]
    for affine in affines:
        weight = affine.weight.double()
        affine.bias.add_((weight @ mean * affine.weight_gain).to(affine.bias.dtype))
        affine.weight.copy_(weight @ root)
    last = inverter.out
    last.weight.copy_(inverse @ last.weight.double())
    last.bias.copy_(inverse @ (last.bias.double() - mean))
    return ((codes.double() - mean) @ inverse).to(codes.dtype)


@torch.no_grad()
def initialise_linear(generator: StyleGAN2, mean: Tensor, root: Tensor) -> None:
    """Make the mapping network compute exactly w = mean + root @ z for z of unit mean square.

    Two leaky-ReLU layers can be the identity: with slope a, lrelu(-lrelu(-x) / a) = x. So the depth must be even.

    Args:
        mean: (D,).
        root: (D, Z).
    """
    layers = [layer for layer in generator.mapping.layers if isinstance(layer, FullyConnected)]
    if len(layers) % 2:
        raise ConfigError(
            f"a mapping network of {len(layers)} layers cannot be fitted", "Use an even mapping_layers."
        )
    root_half = math.sqrt(0.5)
    for index, layer in enumerate(layers):
        dim = layer.weight.shape[0]
        matrix = torch.eye(dim, dtype=torch.float64) if index else root.double()
        factor = -root_half / LRELU_SLOPE if index % 2 else -root_half
        layer.weight.copy_(matrix * (factor / layer.weight_gain))
        layer.bias.zero_()
        if index == 0:
            layer.bias.copy_(mean.double() * (factor / layer.bias_gain))


def sliced_wasserstein(x: Tensor, y: Tensor, directions: Tensor) -> Tensor:
    """Mean squared distance between the sorted projections of x and y, both (N, D), on directions (P, D); a scalar."""
    a = (x @ directions.t()).sort(dim=0).values
    b = (y @ directions.t()).sort(dim=0).values
    return (a - b).square().mean()


def _directions(codes: Tensor, count: int, rng: torch.Generator) -> Tensor:
    """Unit vectors (count, D): half of them random, half along differences between pairs of codes."""
    half = count // 2
    random = torch.randn(half, codes.shape[1], generator=rng)
    pairs = torch.randint(len(codes), (2, count - half), generator=rng)
    both = torch.cat([random, codes[pairs[0]] - codes[pairs[1]]])
    return functional.normalize(both, dim=1)


def fit_mapping(
    generator: StyleGAN2,
    codes: Tensor,
    rng: torch.Generator,
    *,
    seconds: float = 120.0,
    steps: int = 0,
    batch: int = 1024,
    step_size: float = 2e-4,
    report: Callable[[str], None] | None = None,
) -> dict[str, float]:
    """Fit the mapping network to the distribution of the codes, and set w_avg.

    It starts as the linear map that gives the codes' mean and covariance, and is refined by the sliced Wasserstein
    distance to the codes (Bonneel et al. 2015) until the budget ends.

    Args:
        generator: its mapping network is changed; prior_dim must equal latent_dim.
        codes: (N, D) in the generator's latent space.
        rng: source of every draw.
        seconds: time for the refinement; ignored when steps > 0.
        steps: if above 0, exactly this many steps.
        batch: samples of either side in a step.
        step_size: change of an effective weight in one step at the start, relative to the codes' spread.

    Returns:
        mean_error (root mean square, relative to the codes' spread), covariance_error (Frobenius norm, relative),
        distance_linear and distance (sliced Wasserstein distance, root, of the linear start and of the result) and
        distance_floor (between two halves of the codes).
    """
    if generator.prior_dim != generator.latent_dim:
        raise ConfigError("fitting the mapping network needs prior_dim = latent_dim")
    codes = codes.float()
    mean, covariance = moments(codes)
    root, _ = covariance_roots(covariance)
    initialise_linear(generator, mean, root)
    mapping = generator.mapping
    linear = _distance(generator, codes)
    spread = float(covariance.diagonal().mean().sqrt())
    optimiser = _optimiser(mapping)
    begun, step = time.monotonic(), 0
    while True:
        progress = step / steps if steps > 0 else (time.monotonic() - begun) / max(seconds, 1e-9)
        if progress >= 1:
            break
        for group in optimiser.param_groups:
            group["lr"] = spread * step_size / group["gain"] * 0.5 * (1 + math.cos(math.pi * progress))
        made = mapping(generator.sample_z(batch, rng))
        real = codes[torch.randint(len(codes), (batch,), generator=rng)]
        loss = sliced_wasserstein(made, real, _directions(codes, 256, rng))
        optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        step += 1
        if report is not None and step % 100 == 0:
            report(f"mapping: step {step}  sliced distance {math.sqrt(float(loss.detach())):.4f}")
    made = _set_mean(generator, rng)
    return {"steps": float(step), "distance_linear": linear, **_errors(generator, codes, made)}


@torch.no_grad()
def _set_mean(generator: StyleGAN2, rng: torch.Generator) -> Tensor:
    """Set w_avg to the mean of latents of the prior, (20480, D), which are returned."""
    made = torch.cat([generator.mapping(generator.sample_z(2048, rng)) for _ in range(10)])
    generator.mapping.w_avg.copy_(made.mean(dim=0))
    return made


def _errors(generator: StyleGAN2, codes: Tensor, made: Tensor) -> dict[str, float]:
    """How far latents of the prior (M, D) are from the codes (N, D), in the figures of `fit_mapping`."""
    (mean, covariance), (got_mean, got_covariance) = moments(codes), moments(made)
    spread = covariance.diagonal().mean().sqrt()
    return {
        "mean_error": float((got_mean - mean).square().mean().sqrt()) / float(spread),
        "covariance_error": float((got_covariance - covariance).norm() / covariance.norm()),
        "distance": _distance(generator, codes),
        "distance_floor": _floor(codes),
    }


@torch.no_grad()
def _distance(generator: StyleGAN2, codes: Tensor) -> float:
    """Root of the sliced Wasserstein distance of the generator's prior to the codes; the same draws every time."""
    n, fixed = min(len(codes), 4096), torch.Generator().manual_seed(0)
    directions = _directions(codes, 512, fixed)
    made = generator.mapping(generator.sample_z(n, fixed))
    real = codes[torch.randperm(len(codes), generator=fixed)[:n]]
    return math.sqrt(float(sliced_wasserstein(made, real, directions)))


def _floor(codes: Tensor) -> float:
    """Root of the sliced Wasserstein distance between two halves of the codes."""
    half = len(codes) // 2
    directions = _directions(codes, 512, torch.Generator().manual_seed(0))
    return math.sqrt(float(sliced_wasserstein(codes[:half], codes[half : 2 * half], directions)))


def _optimiser(mapping: MappingNetwork) -> torch.optim.Adam:
    """Adam over the layers, each with the gain that its step size is divided by."""
    groups = []
    for layer in mapping.layers:
        assert isinstance(layer, FullyConnected)
        layer.requires_grad_(True)
        groups.append({"params": [layer.weight], "gain": layer.weight_gain})
        groups.append({"params": [layer.bias], "gain": layer.bias_gain})
    return torch.optim.Adam(groups, lr=1.0, betas=(0.5, 0.99))
