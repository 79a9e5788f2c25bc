"""How well a rig does what it is asked, and what it leaves alone, on latents that it was not trained on."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from pie_framework.api import FaceEncoder, FaceModel, Generator, Layout, RecognitionNetwork, RigNetwork
from pie_framework.rendering.illumination import shading
from pie_stylerig.losses import landmark_pixels
from pie_stylerig.pairs import Edits
from pie_stylerig.pool import at_once, from_bytes, shrink
from pie_training.sheets import grid

if TYPE_CHECKING:
    from jaxtyping import Float

#: Degrees of yaw that a rotation is measured over.
TURN = 20.0


@torch.no_grad()
def measure_rig(
    rig: RigNetwork,
    generator: Generator,
    encoder: FaceEncoder,
    face_model: FaceModel,
    metric: Float[Tensor, "P P"],
    latents: Float[Tensor, "N L D"],
    theta: Float[Tensor, "N P"],
    recognition: RecognitionNetwork | None = None,
    batch: int = 16,
) -> dict[str, float]:
    """Ask every latent for the block of the next one, and read the answer from its image.

    Args:
        rig: asked.
        generator: makes the images.
        encoder: reads them.
        face_model: projects landmarks.
        metric: weighs coefficients by the colours that they change.
        latents: asked, each for the block of the next.
        theta: as the encoder reads them.
        recognition: tells how much of the identity is kept; left out when None.
        batch: latents at a time.

    Returns:
        Means over the latents. `missing`: root of the squared effect of asked minus achieved, over that of asked
        minus given; 1 is a rig that does nothing. `landmark_px`: of the achieved block in the asked face, at 128.
        `others_px`: of what else moved. `reconstruction`: ‖RigNet(w, θ_w^τ) - w‖ / ‖w - mean‖. `pitch_degrees`,
        `yaw_degrees` for a rotation, for which yaws over ±20 degrees are asked. `light`: of an illumination, as
        `light_error`. `identity`: similarity of the embeddings of edit and original.
    """
    layout, block = face_model.layout, rig.block
    asked = _asked(layout, block, theta)
    achieved, similar = [], []
    for rows in torch.split(torch.arange(len(latents)), batch):
        image = generator.synthesize(rig.rig(latents[rows], layout.get(asked[rows], block)))
        achieved.append(encoder.encode(image))
        if recognition is not None:
            before = recognition.embed(generator.synthesize(latents[rows]))
            similar.append((before * recognition.embed(image)).sum(dim=1))
    read = torch.cat(achieved)
    effect = _effect(layout.replace(asked, read, block) - asked, metric)
    given = _effect(layout.replace(asked, theta, block) - asked, metric)
    same = rig.rig(latents, layout.get(theta, block))
    centre = generator.mean_latent()
    figures = {
        "missing": float((effect.mean() / given.mean().clamp_min(1e-12)).sqrt()),
        "landmark_px": float(landmark_pixels(face_model, layout.replace(asked, read, block), asked).mean()),
        "others_px": float(landmark_pixels(face_model, layout.replace(read, theta, block), theta).mean()),
        "reconstruction": float((same - latents).norm() / (latents - centre).norm().clamp_min(1e-12)),
    }
    if similar:
        figures["identity"] = float(torch.cat(similar).mean())
    return figures | _of_block(layout, block, read, asked)


def _of_block(layout: Layout, block: str, read: Tensor, asked: Tensor) -> dict[str, float]:
    """Figures in the units of a block: degrees of a rotation, the light of an illumination; none of others."""
    if block == "rotation":
        degrees = layout.get(read - asked, block).abs().mean(dim=0) * (180 / math.pi)
        named = zip(layout.names(block), degrees.tolist(), strict=True)
        return {f"{name}_degrees": value for name, value in named if name in ("pitch", "yaw")}
    if block == "illumination" and layout.block(block).size == 27:
        return {"light": float(light_error(layout.get(read, block), layout.get(asked, block)).mean())}
    return {}


def _asked(layout: Layout, block: str, theta: Float[Tensor, "N P"]) -> Float[Tensor, "N P"]:
    """The coefficients of the next latent; of a rotation with yaws over ±`TURN` degrees."""
    asked = theta.roll(-1, 0)
    if block == "rotation" and "yaw" in layout.names("rotation"):
        turned = torch.linspace(-TURN, TURN, len(theta)) * (math.pi / 180)
        asked = asked.clone()
        asked[:, layout.index("rotation", "yaw")] = turned.to(asked)
    return asked


@torch.no_grad()
def measure_edits(
    rig: RigNetwork,
    generator: Generator,
    encoder: FaceEncoder,
    face_model: FaceModel,
    edits: Edits,
    batch: int = 16,
) -> dict[str, float]:
    """Ask for the true edits that are not trained on, by the true change of the block.

    Args:
        rig: asked.
        generator: makes the images.
        encoder: reads them.
        face_model: projects landmarks.
        edits: among them those that are held.
        batch: edits at a time.

    Returns:
        `true_missing`: root of the squared difference of the change of the picture to the true change, over that of
        the true change; 1 is a rig that does nothing, and details that the generator cannot show count too.
        `inverted_missing`: the same of the latents that the inverter finds for the true edits. `true_px`: mean
        distance of the block's landmarks at 128 pixels, as read from the edit and from the latent of the true edit.
    """
    layout, block = face_model.layout, rig.block
    before, after = edits.chosen(block, held=True).T
    asked = layout.get(edits.theta[before] + edits.known[after] - edits.known[before], block)
    achieved, wrong, inverted, whole = [], 0.0, 0.0, 1e-12
    for rows in torch.split(torch.arange(len(before)), batch):
        w, v = before[rows], after[rows]
        image = generator.synthesize(rig.rig(edits.latents[w], asked[rows]))
        achieved.append(encoder.encode(image))
        start, end, first, last = (
            from_bytes(images, image)
            for images in (edits.images[w], edits.images[v], edits.portraits[w], edits.portraits[v])
        )
        truth = last - first
        wrong += float((shrink(image, start.shape[-1]) - start - truth).square().sum())
        inverted += float((end - start - truth).square().sum())
        whole += float(truth.square().sum())
    found = layout.replace(edits.theta[after], torch.cat(achieved), block)
    return {
        "true_missing": math.sqrt(wrong / whole),
        "inverted_missing": math.sqrt(inverted / whole),
        "true_px": float(landmark_pixels(face_model, found, edits.theta[after]).mean()),
    }


def light_error(gamma: Float[Tensor, "B 27"], reference: Float[Tensor, "B 27"]) -> Float[Tensor, "B"]:
    """Root mean square of the difference in shading over that of the reference's shading.

    Over three colours and normals spread over the half sphere that faces the viewer.
    """
    index = torch.arange(200, dtype=torch.float64) + 0.5
    z, turn = 1 - index / 200, index * (math.pi * (3 - math.sqrt(5)))
    ring = (1 - z.square()).sqrt()
    normals = torch.stack([ring * turn.cos(), ring * turn.sin(), z], dim=1).to(gamma)[None]
    wrong, right = (
        shading(normals, x).square().mean(dim=(1, 2)).sqrt() for x in (gamma - reference, reference)
    )
    return wrong / right.clamp_min(1e-6)


def _effect(difference: Float[Tensor, "N P"], metric: Float[Tensor, "P P"]) -> Float[Tensor, "N"]:
    return ((difference @ metric) * difference).sum(dim=1).clamp_min(0)


@torch.no_grad()
def rig_sheet(
    rigs: dict[str, RigNetwork],
    generator: Generator,
    latents: Float[Tensor, "N L D"],
    theta: Float[Tensor, "N P"],
    rows: int = 6,
) -> Float[Tensor, "3 H W"]:
    """A picture in [-1, 1]: in each row a sample w, the sample v that is asked for, and each rig's edit of w
    by v's block."""
    latents, theta = latents[: rows + 1], theta[: rows + 1]
    wanted, asked = latents.roll(-1, 0)[:rows], theta.roll(-1, 0)[:rows]
    latents = latents[:rows]
    shown = [latents, wanted]
    shown += [rig.rig(latents, rig.layout.get(asked, block)) for block, rig in rigs.items()]
    count = at_once(generator)
    return grid(
        [torch.cat([generator.synthesize(p).cpu() for p in torch.split(part, count)]) for part in shown]
    )
