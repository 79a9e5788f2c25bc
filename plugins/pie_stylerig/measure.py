"""How well a rig does what it is asked, and what it leaves alone, on latents that it was not trained on."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from pie_framework.api import FaceEncoder, FaceModel, Generator, RecognitionNetwork, RigNetwork
from pie_stylerig.losses import landmark_pixels
from pie_stylerig.pool import to_bytes


@torch.no_grad()
def measure_rig(
    rig: RigNetwork,
    generator: Generator,
    encoder: FaceEncoder,
    face_model: FaceModel,
    metric: Tensor,
    latents: Tensor,
    theta: Tensor,
    recognition: RecognitionNetwork | None = None,
    batch: int = 16,
) -> dict[str, float]:
    """Ask every latent for the block of the next one, and read the answer from its image.

    Args:
        rig: asked.
        generator: makes the images.
        encoder: reads them.
        face_model: projects landmarks.
        metric: (P, P), weighs coefficients by the colours that they change.
        latents: (N, L, D).
        theta: (N, P), as the encoder reads them.
        recognition: tells how much of the identity is kept; left out when None.
        batch: latents at a time.

    Returns:
        Means over the latents. `missing`: root of the squared effect of asked minus achieved, over that of asked
        minus given; 1 is a rig that does nothing. `landmark_px`: of the achieved block in the asked face, at 128.
        `others_px`: of what else moved. `reconstruction`: ‖RigNet(w, θ_w^τ) - w‖ / ‖w - mean‖. `pitch_degrees`,
        `yaw_degrees` for a rotation. `identity`: similarity of the embeddings of edit and original.
    """
    layout, block = face_model.layout, rig.block
    asked = theta.roll(-1, 0)
    achieved, similar = [], []
    for rows in torch.split(torch.arange(len(latents)), batch):
        image = generator.synthesize(rig.rig(latents[rows], layout.get(asked[rows], block)))
        achieved.append(encoder.encode(image))
        if recognition is not None:
            before = recognition.embed(generator.synthesize(latents[rows]))
            similar.append((before * recognition.embed(image)).sum(dim=1))
    found = torch.cat(achieved)
    effect = _effect(layout.replace(asked, found, block) - asked, metric)
    given = _effect(layout.replace(asked, theta, block) - asked, metric)
    same = rig.rig(latents, layout.get(theta, block))
    centre = generator.mean_latent()
    figures = {
        "missing": float((effect.mean() / given.mean().clamp_min(1e-12)).sqrt()),
        "landmark_px": float(landmark_pixels(face_model, layout.replace(asked, found, block), asked).mean()),
        "others_px": float(landmark_pixels(face_model, layout.replace(found, theta, block), theta).mean()),
        "reconstruction": float((same - latents).norm() / (latents - centre).norm().clamp_min(1e-12)),
    }
    if block == "rotation":
        degrees = layout.get(found - asked, block).abs().mean(dim=0) * (180 / math.pi)
        figures |= {"pitch_degrees": float(degrees[0]), "yaw_degrees": float(degrees[1])}
    if similar:
        figures["identity"] = float(torch.cat(similar).mean())
    return figures


def _effect(difference: Tensor, metric: Tensor) -> Tensor:
    return ((difference @ metric) * difference).sum(dim=1).clamp_min(0)


@torch.no_grad()
def write_sheet(
    path: Path,
    rigs: dict[str, RigNetwork],
    generator: Generator,
    latents: Tensor,
    theta: Tensor,
    rows: int = 6,
) -> None:
    """A PNG: in each row a sample w, the sample v that is asked for, and each rig's edit of w by v's block."""
    latents, theta = latents[: rows + 1], theta[: rows + 1]
    asked = theta.roll(-1, 0)
    columns = [generator.synthesize(latents), generator.synthesize(latents.roll(-1, 0))]
    for block, rig in rigs.items():
        columns.append(generator.synthesize(rig.rig(latents, rig.layout.get(asked, block))))
    sheet = torch.stack(columns, dim=1)[:rows]
    n, m, _, size, _ = sheet.shape
    pixels = to_bytes(sheet).permute(0, 3, 1, 4, 2).reshape(n * size, m * size, 3)
    part = path.with_name(path.name + ".part")
    Image.fromarray(np.ascontiguousarray(pixels.cpu().numpy())).save(part, format="PNG")
    part.replace(path)
