"""What the face encoder reads from a made portrait, against what it reads from the true one.

Pixels hardly tell an open mouth from a closed one at the size of a few pixels; the encoder does. A generator and an
inverter trained with this loss make what MoFA can see, so that a rig has something to move.
"""

from __future__ import annotations

import torch
from torch import Tensor

from pie_framework.api import FaceEncoder, FaceModel

#: Side in which landmarks are measured: distances are in hundredths of the image's side.
SIDE = 100
#: Weights of the landmarks that expression moves, of all landmarks, and of the light.
EXPRESSION, LANDMARKS, LIGHT = 1.0, 0.25, 0.1


def reading_loss(encoder: FaceEncoder, face_model: FaceModel, image: Tensor, target: Tensor) -> Tensor:
    """How differently two portraits are read; a scalar, mean over the batch.

    The sum of: the mean distance of the landmarks of [θ'^τ̄, θ^τ] and θ' for τ the expression, that of the landmarks
    of θ and θ', both in hundredths of the image side, and the squared difference of the illumination relative to its
    own square, weighted by `EXPRESSION`, `LANDMARKS` and `LIGHT`.

    Args:
        encoder: frozen.
        face_model: places the landmarks.
        image: made, (B, 3, S, S) in [-1, 1]; carries the gradient to θ.
        target: true, (B, 3, S, S); read as θ', without gradient.
    """
    with torch.autocast(image.device.type, torch.bfloat16):
        with torch.no_grad():
            wanted = encoder.encode(target)
        found = encoder.encode(image)
    layout, wanted, found = face_model.layout, wanted.float(), found.float()
    mixed = layout.replace(wanted, found, "expression")
    points = face_model.landmarks(torch.cat([wanted, found, mixed]), SIDE)
    true, whole, expression = points.chunk(3)
    light, light_true = layout.get(found, "illumination"), layout.get(wanted, "illumination")
    relative = (light - light_true).square().sum(dim=1) / light_true.square().sum(dim=1).clamp_min(1e-6)
    return (
        EXPRESSION * _distance(expression, true)
        + LANDMARKS * _distance(whole, true)
        + LIGHT * relative.mean()
    )


def _distance(points: Tensor, others: Tensor) -> Tensor:
    """Mean Euclidean distance of landmarks (B, K, 2), smooth at 0; a scalar."""
    return ((points - others).square().sum(dim=-1) + 1e-4).sqrt().mean()
