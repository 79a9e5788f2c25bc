"""What encoder, judge and landmark detector read in held-out portraits, against the known coefficients."""

from __future__ import annotations

import torch
from torch import Tensor

from pie_bench.measure import LANDMARK_SIZE, angle_error, expression_px, light_error
from pie_bench.models.world import World
from pie_framework.api import FaceModel, KnownPortraits


def errors_of(theta: Tensor, portraits: KnownPortraits, face_model: FaceModel) -> dict[str, Tensor]:
    """Errors (B,) of estimated coefficients (B, P): absolute angles in degrees, pixels at 128, relative light."""
    layout, truth = face_model.layout, portraits.theta
    found = {name: angle_error(theta, truth, name, layout) for name in ("yaw", "pitch", "roll")}
    points = face_model.landmarks(theta, LANDMARK_SIZE)
    found["landmarks"] = _distance(points, portraits, LANDMARK_SIZE)
    found["expression"] = expression_px(theta, truth, truth, face_model)
    found["light"] = light_error(layout.get(theta, "illumination"), layout.get(truth, "illumination"))
    return found


def _distance(points: Tensor, portraits: KnownPortraits, size: int) -> Tensor:
    """Mean distance (B,), pixels at 128, of landmarks (B, K, 2) in pixels of pictures of `size`."""
    wanted = portraits.landmarks * (LANDMARK_SIZE / portraits.images.shape[-1])
    distance: Tensor = (points * (LANDMARK_SIZE / size) - wanted).norm(dim=-1).mean(dim=1)
    return distance


@torch.no_grad()
def measure(world: World, portraits: KnownPortraits) -> dict[tuple[str, ...], Tensor]:
    """Errors (B,) of the encoder, of the judge where it is another one, and of the landmark detector."""
    networks, judge, images = world.networks, world.judge, portraits.images
    found: dict[tuple[str, ...], Tensor] = {}
    if networks.encoder is not None and networks.face_model is not None:
        for name, reader in (("encoder", networks), ("judge", judge)):
            if reader is not None and (name == "encoder" or reader is not networks):
                errors = errors_of(reader.encode(images), portraits, networks.face_model)
                found |= {(name, error): value for error, value in errors.items()}
    if networks.landmarks is not None:
        found["landmarks", "landmarks"] = _distance(networks.detect(images), portraits, images.shape[-1])
    return found
