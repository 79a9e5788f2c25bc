"""What a trained encoder is measured by, on portraits whose coefficients are known."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from pie_framework.api import FaceEncoder, FaceModel
from pie_mofa.data import Portraits
from pie_mofa.effects import shading_matrix


def compare(theta: Tensor, truth: Tensor, face_model: FaceModel, size: int = 128) -> dict[str, Tensor]:
    """Errors of estimated coefficients, each (B,).

    Args:
        theta: estimated, (B, P).
        truth: (B, P).
        face_model: projects the landmarks.
        size: image side that pixel errors refer to.

    Returns:
        `pitch_degrees`, `yaw_degrees`, `roll_degrees`: absolute errors. `landmark_px`: mean distance.
        `expression_px`: mean distance when only the expression is the estimate's. `light_relative`: mean
        absolute error of the shading of a front-facing half sphere over the mean of its true shading.
    """
    layout = face_model.layout
    turn = layout.get(theta - truth, "rotation").abs() * (180 / math.pi)
    mixed = layout.replace(truth, theta, "expression")
    real, found, expressed = torch.split(
        face_model.landmarks(torch.cat([truth, theta, mixed]), size), len(theta)
    )
    errors = {
        "pitch_degrees": turn[:, 0],
        "yaw_degrees": turn[:, 1],
        "roll_degrees": turn[:, 2],
        "landmark_px": (found - real).norm(dim=-1).mean(dim=1),
        "expression_px": (expressed - real).norm(dim=-1).mean(dim=1),
    }
    if layout.block("illumination").size % 9 == 0:
        matrix = shading_matrix(layout.block("illumination").size // 9).to(theta)
        shading = layout.get(truth, "illumination") @ matrix.T
        wrong = layout.get(theta - truth, "illumination") @ matrix.T
        errors["light_relative"] = wrong.abs().mean(dim=1) / shading.abs().mean(dim=1).clamp_min(1e-6)
    return errors


@torch.no_grad()
def measure(
    encoder: FaceEncoder, portraits: Portraits, face_model: FaceModel, device: torch.device, batch: int = 50
) -> dict[str, float]:
    """Means of `compare` over all portraits."""
    totals: dict[str, float] = {}
    for rows in torch.split(torch.arange(len(portraits)), batch):
        truth = portraits.theta(rows).to(device)
        theta = encoder.encode(portraits.images(rows).to(device))
        for name, values in compare(theta, truth, face_model).items():
            totals[name] = totals.get(name, 0.0) + float(values.sum())
    return {name: total / len(portraits) for name, total in totals.items()}
