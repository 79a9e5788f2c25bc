"""Ridge regression with more inputs than samples, as latents W+ have."""

from __future__ import annotations

import torch
from torch import Tensor

RIDGES = (1e-2, 1e-1, 1.0, 10.0)


@torch.no_grad()
def ridge_regression(
    inputs: Tensor, targets: Tensor, ridges: tuple[float, ...] = RIDGES
) -> tuple[float, Tensor, Tensor]:
    """A linear map with bias, with the ridge that predicts the last tenth of the samples best.

    Args:
        inputs: (N, I), normalised.
        targets: (N, O), normalised.
        ridges: to choose from, relative to the mean squared length of an input.

    Returns:
        Mean squared error on that tenth, in units of the targets; the weight (O, I); the bias (O,).
    """
    inputs = torch.cat([inputs, inputs.new_ones(len(inputs), 1)], dim=1)
    train = len(inputs) - max(1, len(inputs) // 10)
    kernel = inputs[:train] @ inputs[:train].T
    best = (float("inf"), inputs.new_zeros(inputs.shape[1], targets.shape[1]))
    for ridge in ridges:
        regular = kernel.clone()
        regular.diagonal().add_(ridge * float(kernel.diagonal().mean()))
        weight = inputs[:train].T @ torch.cholesky_solve(targets[:train], torch.linalg.cholesky(regular))
        error = float((inputs[train:] @ weight - targets[train:]).square().mean())
        if error < best[0]:
            best = (error, weight)
    return best[0], best[1][:-1].T, best[1][-1]
