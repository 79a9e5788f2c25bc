"""Training the landmark detector on portraits whose landmarks are known.

    pie train landmarks dataset=TRAIN heldout=HELDOUT out=landmarks.safetensors

The loss is the distance of the soft-argmax from the landmark and, so that each heat map has one sharp peak,
the cross-entropy with a Gaussian of one cell around it.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from pie_alignment.landmark_network import KIND, LandmarkNetwork, soft_argmax
from pie_alignment.landmark_settings import LandmarkTraining
from pie_framework.api import BuildContext
from pie_training import PortraitReader
from pie_training.augment import degrade, draw, mirror, move, to_unit_range
from pie_training.blocks import channels_last, folded_state
from pie_training.fit import fit
from pie_training.readers import open_readers
from pie_weights.files import write_weights

CHUNK = 32
#: The figures are given in pixels of a portrait of this side.
REFERENCE_SIDE = 128


class LandmarkRecipe:
    """What the training loop trains.

    Args:
        settings: how.
        data: portraits to train on.
        heldout: portraits of other persons.
        network: the network to train, built with `folded=False`; the default one if None.
    """

    def __init__(
        self,
        settings: LandmarkTraining,
        data: PortraitReader,
        heldout: PortraitReader,
        network: LandmarkNetwork | None = None,
    ) -> None:
        self.settings, self.data, self.heldout = settings, data, heldout
        torch.manual_seed(settings.seed)
        self.module = channels_last(LandmarkNetwork(folded=False) if network is None else network)

    def loss(self, rng: torch.Generator) -> Tensor:
        settings = self.settings
        rows = draw(len(self.data), settings.batch, rng)
        images, landmarks = to_unit_range(self.data.images(rows)), torch.from_numpy(self.data.landmarks(rows))
        images, landmarks = mirror(images, landmarks, torch.rand(len(rows), generator=rng) < 0.5)
        images, landmarks = move(images, landmarks, rng, settings.degrees, settings.scale, settings.shift)
        wanted = landmarks / images.shape[-1]
        with torch.autocast("cpu", torch.bfloat16, enabled=settings.bf16):
            heat = self.module.heat_maps(degrade(images, rng))
        return landmark_training_loss(heat.float(), wanted, settings.heat_weight)

    def evaluate(self) -> Mapping[str, float]:
        """Held-out errors in pixels of a side of 128: mean, 95th percentile, mean at half resolution."""
        clean, blurred = [], []
        for start in range(0, len(self.heldout), CHUNK):
            rows = np.arange(start, min(start + CHUNK, len(self.heldout)))
            images, wanted = (
                to_unit_range(self.heldout.images(rows)),
                torch.from_numpy(self.heldout.landmarks(rows)),
            )
            lower = functional.interpolate(images, scale_factor=0.5, mode="area")
            lower = functional.interpolate(lower, images.shape[-2:], mode="bilinear", align_corners=False)
            unit = REFERENCE_SIDE / images.shape[-1]
            clean.append((self.module.detect(images) - wanted).norm(dim=-1) * unit)
            blurred.append((self.module.detect(lower) - wanted).norm(dim=-1) * unit)
        errors = torch.cat(clean)
        return {
            "pixels": float(errors.mean()),
            "pixels_95": float(errors.flatten().quantile(0.95)),
            "blurred_pixels": float(torch.cat(blurred).mean()),
        }

    def save(self, path: Path, figures: Mapping[str, float]) -> None:
        notes = {"figures": dict(figures), "seed": self.settings.seed}
        write_weights(path, KIND, self.module.architecture, folded_state(self.module), notes)


def landmark_training_loss(heat: Tensor, wanted: Tensor, heat_weight: float) -> Tensor:
    """Distance in cells, plus `heat_weight` times the heat maps' cross-entropy; both means over B and K.

    Args:
        heat: (B, K, h, h) logits.
        wanted: (B, K, 2) as fractions of the side; those outside the image count for nothing.
        heat_weight: see above.
    """
    cells = heat.shape[-1]
    inside = ((wanted > 0.0) & (wanted < 1.0)).all(dim=-1).float()
    distance = functional.smooth_l1_loss(
        soft_argmax(heat) * cells, wanted * cells, reduction="none", beta=0.5
    )
    axis = torch.arange(cells, dtype=heat.dtype) + 0.5
    along = torch.exp(-0.5 * (axis - wanted[..., None] * cells).square())
    target = (along[..., 1, :, None] * along[..., 0, None, :]).flatten(2)
    target = target / target.sum(dim=-1, keepdim=True).clamp_min(1e-6)
    entropy = -(target * heat.flatten(2).log_softmax(dim=-1)).sum(dim=-1)
    return ((distance.sum(dim=-1) + heat_weight * entropy) * inside).mean()


def run(config: LandmarkTraining, context: BuildContext | None) -> list[dict[str, float]]:
    """Train the detector and write its weights; returns the curve's rows."""
    data, heldout = open_readers(config)
    return fit(LandmarkRecipe(config, data, heldout), config)
