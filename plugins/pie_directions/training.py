"""The recipe of the directions: a linear fit from w to θ on the generator's own samples, in closed form."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import Tensor

from pie_directions.directions import LinearEditor
from pie_directions.settings import TrainDirectionsConfig
from pie_framework.api import BuildContext, FaceEncoder, Generator
from pie_training.recipe import settings_as_notes

Report = Callable[[str], None]


def run(config: TrainDirectionsConfig, context: BuildContext) -> None:
    """The trainer component: sample, fit, write the weight file."""
    torch.set_num_threads(config.threads)
    editor, figures = fit_directions(config, context.generator(), context.encoder())
    editor.save(config.out, {"training": settings_as_notes(config, ("out",)), "figures": figures})
    print(Path(config.out))


@torch.no_grad()
def fit_directions(
    config: TrainDirectionsConfig, generator: Generator, encoder: FaceEncoder, report: Report = print
) -> tuple[LinearEditor, dict[str, float]]:
    """Fit every block of the layout.

    Args:
        config: settings; `config.out` is not used.
        generator: G.
        encoder: reads the samples.
        report: called with a line of progress.

    Returns:
        The editor, on the generator's device and in its dtype, and for every block the share of the held-out
        variance that is explained, `explained_BLOCK`, and the ridge chosen for it, `ridge_BLOCK`.
    """
    rng = torch.Generator().manual_seed(config.seed)
    latents = generator.sample(config.samples, rng).mean(dim=1)
    theta = read_samples(generator, encoder, latents, config.batch, report)
    layout = encoder.layout
    editor = LinearEditor(layout, generator.latent_dim).to(latents)
    editor.latent_mean.copy_(latents.mean(dim=0))
    editor.latent_scale.copy_((latents - editor.latent_mean).square().mean().sqrt().clamp_min(1e-6))
    editor.mean.copy_(theta.mean(dim=0))
    editor.scale.copy_(theta.std(dim=0).clamp_min(1e-6))
    inputs = (latents - editor.latent_mean) / editor.latent_scale
    targets = (theta - editor.mean) / editor.scale
    figures: dict[str, float] = {}
    for block in layout.blocks:
        rows = layout.slice(block.name)
        weight, ridge, error = fit_ridge(inputs, targets[:, rows], config.ridges, config.heldout)
        editor.weight[rows] = weight
        figures[f"explained_{block.name}"] = 1 - error
        figures[f"ridge_{block.name}"] = ridge
        report(f"{block.name}: {100 * (1 - error):.1f} % of the held-out variance, ridge {ridge:g}")
    return editor.eval(), figures


def read_samples(
    generator: Generator, encoder: FaceEncoder, latents: Tensor, batch: int, report: Report
) -> Tensor:
    """θ (N, P) that the encoder reads from the pictures of latents (N, D) in W."""
    found: list[Tensor] = []
    count = 0
    for part in torch.split(latents, batch):
        spread = part[:, None].expand(-1, generator.num_layers, -1)
        found.append(encoder.encode(generator.synthesize(spread)))
        tenth = 10 * count // len(latents)
        count += len(part)
        if 10 * count // len(latents) > tenth:
            report(f"{count} of {len(latents)} samples read")
    return torch.cat(found)


def fit_ridge(
    inputs: Tensor, targets: Tensor, ridges: Sequence[float], heldout: float
) -> tuple[Tensor, float, float]:
    """Ridge regression without intercept, computed in float64.

    Args:
        inputs: (N, D), centred.
        targets: (N, n), centred.
        ridges: to choose from, relative to the mean variance of the inputs.
        heldout: share of the samples, the last ones, that chooses; the fit returned is then made on all.

    Returns:
        The matrix (n, D), the ridge, and the mean squared error on the held-out samples before refitting, relative
        to the targets' mean square there.
    """
    x, y = inputs.double(), targets.double()
    first = len(x) - round(heldout * len(x))
    powers = y[first:].square().mean().clamp_min(1e-12)
    best, chosen = float("inf"), ridges[0]
    for ridge in ridges:
        weight = _solve(x[:first], y[:first], ridge)
        error = float((x[first:] @ weight - y[first:]).square().mean() / powers)
        if error < best:
            best, chosen = error, ridge
    return _solve(x, y, chosen).T.to(inputs), chosen, best


def _solve(x: Tensor, y: Tensor, ridge: float) -> Tensor:
    """(D, n): argmin of the mean over the samples of ‖xW - y‖² plus ridge * variance * ‖W‖²."""
    gram = x.T @ x / len(x)
    gram.diagonal().add_(ridge * gram.diagonal().mean())
    return torch.cholesky_solve(x.T @ y / len(x), torch.linalg.cholesky(gram))
