"""Training Ψ: persons told apart whatever the pose, expression, light, blur and surroundings.

    pie train recognition dataset=TRAIN heldout=HELDOUT out=recognition.safetensors

Two losses act on the unit embedding of each portrait: a margin softmax in which each person's other portrait must win
over the other persons of the batch, and the squared error of reading the person's coefficients (those columns of θ
that all portraits of a person share).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from pie_features.margin_softmax import KINDS, margin_softmax_loss
from pie_features.recognition import KIND, RecognitionNetwork
from pie_features.settings import RecognitionTraining
from pie_features.verification import verification_figures
from pie_framework.api import BuildContext
from pie_framework.errors import ConfigError
from pie_training import PortraitReader
from pie_training.augment import degrade, to_unit_range
from pie_training.blocks import channels_last, folded_state
from pie_training.fit import fit
from pie_training.readers import open_readers
from pie_weights.files import write_weights

CHUNK = 64


class RecognitionHeads(nn.Module):
    """The network with what only its training needs: centring and the reading of coefficients.

    Embeddings are centred and scaled by batch normalisation before they are brought to unit length, as in ArcFace:
    otherwise all of them share one large direction, and telling persons apart starts slowly. Weight files hold it
    folded into the projection.
    """

    def __init__(self, network: RecognitionNetwork, described: int) -> None:
        super().__init__()
        self.network = network
        embedding = network.architecture["embedding"]
        self.centring = nn.BatchNorm1d(embedding, affine=False)
        self.description = nn.Linear(embedding, described)

    def embed(self, last: Tensor) -> Tensor:
        """The last stage's maps -> unit embeddings, (B, E)."""
        return functional.normalize(self.centring(self.network.project(last.float())), dim=1)

    def folded(self) -> dict[str, Tensor]:
        """The network's weights without normalisation layers."""
        state = folded_state(self.network)
        mean, variance = self.centring.running_mean, self.centring.running_var
        assert mean is not None and variance is not None
        scale = (variance + self.centring.eps).rsqrt()
        state["projection.weight"] = state["projection.weight"] * scale[:, None]
        state["projection.bias"] = (state["projection.bias"] - mean) * scale
        return state


class RecognitionRecipe:
    """What the training loop trains.

    Args:
        settings: how.
        data: portraits to train on, several of each person.
        heldout: portraits of persons not among them.
        network: the network to train, built with `folded=False`; the default one if None.
    """

    def __init__(
        self,
        settings: RecognitionTraining,
        data: PortraitReader,
        heldout: PortraitReader,
        network: RecognitionNetwork | None = None,
    ) -> None:
        if settings.margin_kind not in KINDS:
            raise ConfigError(f"margin_kind is '{settings.margin_kind}'; known: {', '.join(KINDS)}")
        self.settings, self.data, self.heldout = settings, data, heldout
        _, self.labels = np.unique(data.person(np.arange(len(data))), return_inverse=True)
        self.shots = portraits_by_label(self.labels)
        if min(len(rows) for rows in self.shots) < 2:
            raise ConfigError("recognition needs at least two portraits of every person")
        theta = data.theta(np.arange(len(data)))
        columns = shared_columns(theta, self.shots)
        described = theta[[rows[0] for rows in self.shots]][:, columns]
        self.described = torch.from_numpy((described - described.mean(0)) / described.std(0))
        torch.manual_seed(settings.seed)
        network = RecognitionNetwork(folded=False) if network is None else network
        self.module = RecognitionHeads(channels_last(network), len(columns))

    def loss(self, rng: torch.Generator) -> Tensor:
        settings = self.settings
        persons = torch.randperm(len(self.shots), generator=rng)[: settings.batch // 2]
        first, second = self._two_portraits_each(persons, rng)
        images = self._images(np.concatenate([first, second]), rng)
        with torch.autocast("cpu", torch.bfloat16, enabled=settings.bf16):
            last = self.module.network.maps(images)["stage4"]
        embeddings = self.module.embed(last)
        kind, scale, margin = settings.margin_kind, settings.scale, settings.margin
        one, other = embeddings.chunk(2)
        own = torch.arange(len(persons))
        loss = 0.5 * margin_softmax_loss(one @ other.T, own, scale, margin, kind)
        loss = loss + 0.5 * margin_softmax_loss(other @ one.T, own, scale, margin, kind)
        read = self.module.description(embeddings * embeddings.shape[1] ** 0.5)
        described = (read - self.described[persons.repeat(2)]).square().mean()
        total: Tensor = loss + settings.description_weight * described
        return total

    def evaluate(self) -> Mapping[str, float]:
        """Verification among the held-out persons, of clean and of half-resolution portraits (`blurred_`)."""
        rows = np.arange(len(self.heldout))
        persons = torch.from_numpy(self.heldout.person(rows))
        figures = verification_figures(self._embed(rows, lambda image: image), persons)
        blurred = verification_figures(self._embed(rows, half_resolution), persons)
        return {**figures, "blurred_accuracy": blurred["accuracy"]}

    def save(self, path: Path, figures: Mapping[str, float]) -> None:
        network = self.module.network
        notes = {"figures": dict(figures), "persons": len(self.shots), "seed": self.settings.seed}
        write_weights(path, KIND, network.architecture, self.module.folded(), notes)

    def _embed(self, rows: NDArray[Any], treat: Callable[[Tensor], Tensor]) -> Tensor:
        parts = [rows[start : start + CHUNK] for start in range(0, len(rows), CHUNK)]
        with torch.autocast("cpu", torch.bfloat16, enabled=self.settings.bf16):
            lasts = [
                self.module.network.maps(treat(to_unit_range(self.heldout.images(p))))["stage4"]
                for p in parts
            ]
        return self.module.embed(torch.cat(lasts))

    def _two_portraits_each(self, persons: Tensor, rng: torch.Generator) -> tuple[NDArray[Any], NDArray[Any]]:
        chosen = []
        for person in persons.tolist():
            rows = self.shots[person]
            chosen.append(rows[torch.randperm(len(rows), generator=rng)[:2].numpy()])
        first, second = np.stack(chosen).T
        return first, second

    def _images(self, rows: NDArray[Any], rng: torch.Generator) -> Tensor:
        """Augmented portraits in random order of treatment, (B, 3, S, S)."""
        order = torch.randperm(len(rows), generator=rng)
        rows = rows[order.numpy()]
        images = to_unit_range(self.data.images(rows))
        regions = torch.from_numpy(self.data.regions(rows))
        outside, loose = (
            torch.isin(regions, torch.tensor(labels, dtype=regions.dtype))
            for labels in (self.settings.surroundings, self.settings.loose)
        )
        outside |= loose & (torch.rand(len(rows), 1, 1, generator=rng) < 0.5)
        images = replace_surroundings(images, outside, self.settings.masked, rng)
        flipped = torch.rand(len(rows), generator=rng) < 0.5
        images = torch.where(flipped[:, None, None, None], images.flip(-1), images)
        return degrade(images, rng)[torch.argsort(order)]


def portraits_by_label(labels: NDArray[Any]) -> list[NDArray[Any]]:
    """The rows of each label 0 .. n-1."""
    order = np.argsort(labels, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(labels[order])) + 1)


def shared_columns(theta: NDArray[np.float32], shots: list[NDArray[Any]]) -> NDArray[Any]:
    """Columns of θ (N, P) that are equal in all portraits of a person and differ between persons."""
    within = np.stack([np.ptp(theta[rows], axis=0) for rows in shots]).max(axis=0)
    between = theta.std(axis=0)
    columns: NDArray[Any] = np.flatnonzero((within <= 1e-6) & (between > 1e-6))
    return columns


def replace_surroundings(images: Tensor, outside: Tensor, fraction: float, rng: torch.Generator) -> Tensor:
    """Give some portraits other surroundings: another portrait's pixels, or one plain colour.

    Args:
        images: (B, 3, S, S) in [-1, 1].
        outside: (B, S, S) bool, the pixels to replace.
        fraction: of the portraits that are changed; half of them get a plain colour.
        rng: source of the draws.
    """
    n = len(images)
    choice = torch.rand(n, 1, 1, 1, generator=rng)
    plain = torch.rand(n, 3, 1, 1, generator=rng) * 2.0 - 1.0
    other = images[torch.randperm(n, generator=rng)]
    filling = torch.where(choice < 0.5 * fraction, plain, other)
    return torch.where(outside[:, None] & (choice < fraction), filling, images)


def half_resolution(images: Tensor) -> Tensor:
    """Averaged to half the size and interpolated back."""
    lower = functional.interpolate(images, scale_factor=0.5, mode="area")
    return functional.interpolate(lower, images.shape[-2:], mode="bilinear", align_corners=False)


def run(config: RecognitionTraining, context: BuildContext | None) -> list[dict[str, float]]:
    """Train Ψ and write its weights; returns the curve's rows."""
    data, heldout = open_readers(config)
    return fit(RecognitionRecipe(config, data, heldout), config)
