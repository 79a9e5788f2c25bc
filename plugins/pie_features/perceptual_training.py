"""Training Φ: dense labels of a portrait, which cost nothing where portraits are rendered.

    pie train perceptual dataset=TRAIN heldout=HELDOUT out=perceptual.safetensors

From the four scales a light decoder labels every pixel's region (sharp at the outlines of eyes, lips and
hair), finds the landmarks, and from the coarsest scale reads θ, so that the features know pose, expression,
light and person.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from pie_features.perceptual import KIND, LAYERS, PerceptualNetwork
from pie_features.settings import PerceptualTraining
from pie_framework.api import BuildContext
from pie_training import PortraitReader
from pie_training.augment import degrade, draw, to_unit_range
from pie_training.blocks import ConvBlock, channels_last, folded_state
from pie_training.fit import fit
from pie_training.readers import open_readers
from pie_weights.files import write_weights

DECODER_WIDTH = 32
LANDMARK_STRIDE = 4
FIRST_STRIDE = 2
POOLED = 4
CHUNK = 32
SAMPLE = 512
#: Rare regions (eyes, lips) weigh up to this many times the commonest.
RARITY_LIMIT = 12.0


class PerceptualHeads(nn.Module):
    """The network with what only its training needs: the decoder and the reading of θ."""

    def __init__(self, network: PerceptualNetwork, regions: int, landmarks: int, described: int) -> None:
        super().__init__()
        self.network = network
        widths = network.architecture["widths"]
        self.lateral = nn.ModuleList(nn.Conv2d(width, DECODER_WIDTH, 1) for width in widths)
        self.smooth = nn.ModuleList(
            ConvBlock(DECODER_WIDTH, DECODER_WIDTH, folded=False) for _ in range(len(widths) - 1)
        )
        self.regions = nn.Sequential(
            nn.Conv2d(DECODER_WIDTH, regions * FIRST_STRIDE**2, 3, padding=1), nn.PixelShuffle(FIRST_STRIDE)
        )
        self.landmarks = nn.Conv2d(DECODER_WIDTH, landmarks, 1)
        self.description = nn.Sequential(
            ConvBlock(widths[-1], widths[-1], folded=False),
            nn.AdaptiveAvgPool2d(POOLED),
            nn.Flatten(),
            nn.Linear(widths[-1] * POOLED**2, described),
        )

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(B, 3, S, S) -> region logits (B, R, S, S), landmark logits (B, K, S/4, S/4), θ (B, described)."""
        maps = self.network.maps(image)
        lateral = [layer(maps[name]) for layer, name in zip(self.lateral, LAYERS, strict=True)]
        x = lateral[-1]
        landmarks = x
        for level in range(len(lateral) - 2, -1, -1):
            x = functional.interpolate(x, scale_factor=2.0, mode="nearest") + lateral[level]
            x = self.smooth[level](x)
            if FIRST_STRIDE * 2**level == LANDMARK_STRIDE:
                landmarks = self.landmarks(x)
        return self.regions(x), landmarks, self.description(maps[LAYERS[-1]])


class PerceptualRecipe:
    """What the training loop trains.

    Args:
        settings: how.
        data: portraits to train on.
        heldout: other portraits.
        network: the network to train, built with `folded=False`; the default one if None.
    """

    def __init__(
        self,
        settings: PerceptualTraining,
        data: PortraitReader,
        heldout: PortraitReader,
        network: PerceptualNetwork | None = None,
    ) -> None:
        self.settings, self.data, self.heldout = settings, data, heldout
        sample = np.linspace(0, len(data) - 1, min(SAMPLE, len(data))).astype(np.int64)
        counts = np.bincount(data.regions(sample).ravel()).astype(np.float64)
        self.region_weights = rarity_weights(torch.from_numpy(counts).float())
        theta = torch.from_numpy(data.theta(sample))
        self.columns = torch.nonzero(theta.std(0) > 1e-6)[:, 0]
        self.mean, self.deviation = theta.mean(0)[self.columns], theta.std(0)[self.columns]
        torch.manual_seed(settings.seed)
        network = PerceptualNetwork(folded=False) if network is None else network
        points = data.landmarks(sample[:1]).shape[1]
        self.module = channels_last(PerceptualHeads(network, len(counts), points, len(self.columns)))

    def loss(self, rng: torch.Generator) -> Tensor:
        settings = self.settings
        rows = draw(len(self.data), settings.batch, rng)
        images = degrade(to_unit_range(self.data.images(rows)), rng)
        wanted_regions = torch.from_numpy(self.data.regions(rows)).long()
        with torch.autocast("cpu", torch.bfloat16, enabled=settings.bf16):
            regions, landmarks, theta = self.module(images)
        cells = landmark_cells(torch.from_numpy(self.data.landmarks(rows)), landmarks.shape[-1])
        found = functional.cross_entropy(landmarks.float().flatten(0, 1).flatten(1), cells.flatten())
        labelled = functional.cross_entropy(regions.float(), wanted_regions, self.region_weights)
        described = (theta.float() - self._standard_theta(self.data, rows)).square().mean()
        loss: Tensor = labelled + settings.landmark_weight * found + settings.description_weight * described
        return loss

    def evaluate(self) -> Mapping[str, float]:
        """Held-out figures: pixels rightly labelled, mean intersection over union, explained part of θ."""
        count = len(self.region_weights)
        both = torch.zeros(count, count)
        errors = []
        for start in range(0, len(self.heldout), CHUNK):
            rows = np.arange(start, min(start + CHUNK, len(self.heldout)))
            with torch.autocast("cpu", torch.bfloat16, enabled=self.settings.bf16):
                regions, _, theta = self.module(to_unit_range(self.heldout.images(rows)))
            wanted = torch.from_numpy(self.heldout.regions(rows)).long()
            pairs = wanted.flatten() * count + regions.argmax(dim=1).flatten()
            both += torch.bincount(pairs, minlength=count * count).view(count, count)
            target = (
                torch.from_numpy(self.heldout.theta(rows))[:, self.columns] - self.mean
            ) / self.deviation
            errors.append((theta.float() - target).square().mean(dim=1))
        right = both.diagonal()
        union = both.sum(0) + both.sum(1) - right
        return {
            "pixel_accuracy": float(right.sum() / both.sum()),
            "mean_iou": float((right / union.clamp_min(1.0))[both.sum(1) > 0].mean()),
            "theta_explained": float(1.0 - torch.cat(errors).mean()),
        }

    def _standard_theta(self, data: PortraitReader, rows: NDArray[Any]) -> Tensor:
        """θ of some portraits, the columns that vary, at mean 0 and deviation 1, (n, described)."""
        return (torch.from_numpy(data.theta(rows))[:, self.columns] - self.mean) / self.deviation

    def save(self, path: Path, figures: Mapping[str, float]) -> None:
        network = self.module.network
        notes = {"figures": dict(figures), "seed": self.settings.seed}
        write_weights(path, KIND, network.architecture, folded_state(network), notes)


def rarity_weights(counts: Tensor) -> Tensor:
    """Weight of each region from its pixels (R,): the root of its rarity, at most 12, 0 if absent."""
    present = counts > 0
    weights = (counts.max() / counts.clamp_min(1.0)).sqrt().clamp_max(RARITY_LIMIT)
    return weights * present


def landmark_cells(landmarks: Tensor, cells: int) -> Tensor:
    """Number of the cell that holds each landmark: (B, K, 2) pixels -> (B, K) int64 below cells²."""
    places = (landmarks / LANDMARK_STRIDE).floor().long().clamp(0, cells - 1)
    return places[..., 1] * cells + places[..., 0]


def run(config: PerceptualTraining, context: BuildContext | None) -> list[dict[str, float]]:
    """Train Φ and write its weights; returns the curve's rows."""
    data, heldout = open_readers(config)
    return fit(PerceptualRecipe(config, data, heldout), config)
