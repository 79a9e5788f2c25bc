"""Ridge regression with more inputs than samples, as latents W+ have."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from jaxtyping import Float

RIDGES = (1e-2, 1e-1, 1.0, 10.0)


@torch.no_grad()
def ridge_regression(
    inputs: Float[Tensor, "N I"], targets: Float[Tensor, "N O"], ridges: tuple[float, ...] = RIDGES
) -> tuple[float, Float[Tensor, "O I"], Float[Tensor, "O"]]:
    """A linear map with bias, with the ridge that predicts the last tenth of the samples best.

    Args:
        inputs: normalised.
        targets: normalised.
        ridges: to choose from, relative to the mean squared length of an input.

    Returns:
        Mean squared error on that tenth, in units of the targets; the weight; the bias.
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
