"""How well Ψ tells whether two portraits show the same person, on persons that it has not seen."""

from __future__ import annotations

import itertools

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pie_bench.models.figures import Columns, Figure
from pie_bench.models.world import World
from pie_framework.api import KnownPortraits

Array = NDArray[np.float64]
EMBEDDINGS = ("recognition", "embeddings", "of shots")


@torch.no_grad()
def measure(world: World, portraits: KnownPortraits, shots: int) -> dict[tuple[str, ...], Tensor]:
    """Embeddings (B, shots, E) of portraits that come person after person."""
    if shots < 2 or world.recognition is None:
        return {}
    embeddings = world.embed(portraits.images)
    return {EMBEDDINGS: embeddings.reshape(-1, shots, embeddings.shape[1])}


def pairs(embeddings: Array) -> tuple[Array, Array]:
    """Cosines of same and of other pairs, as many of one as of the other, (persons, pairs of shots) each.

    Every two shots of a person make a same pair; the other pair that goes with it has the same first shot, and the
    second shot of the next person.

    Args:
        embeddings: (persons, shots, E), unit length; at least two of both.
    """
    following = np.roll(embeddings, -1, axis=0)
    same, other = [], []
    for first, second in itertools.combinations(range(embeddings.shape[1]), 2):
        same.append((embeddings[:, first] * embeddings[:, second]).sum(axis=1))
        other.append((embeddings[:, first] * following[:, second]).sum(axis=1))
    return np.stack(same, axis=1), np.stack(other, axis=1)


def accuracy(same: Array, other: Array, threshold: float) -> float:
    """Share of right decisions when a pair above the threshold counts as same."""
    return 0.5 * (float((same > threshold).mean()) + float((other <= threshold).mean()))


def best_threshold(same: Array, other: Array) -> float:
    """The most accurate threshold; of several, the middle of the first gap between cosines that has it."""
    known = np.unique(np.concatenate([same.ravel(), other.ravel()]))
    candidates = np.concatenate([known[:1] - 1e-6, (known[1:] + known[:-1]) / 2, known[-1:] + 1e-6])
    scores = 0.5 * (
        1
        - np.searchsorted(np.sort(same.ravel()), candidates, side="right") / same.size
        + np.searchsorted(np.sort(other.ravel()), candidates, side="right") / other.size
    )
    return float(candidates[scores.argmax()])


def verification(embeddings: Array) -> dict[str, Array]:
    """Accuracy with the threshold of one half of the persons used on the other half, both ways, and the cosines.

    Args:
        embeddings: (persons, shots, E), unit length; at least 4 persons, or the halves are one and the same.
    """
    middle = len(embeddings) // 2
    halves = [embeddings[:middle], embeddings[middle:]] if middle >= 2 else [embeddings, embeddings]
    folds = [pairs(half) for half in halves]
    scores = [accuracy(*used, best_threshold(*chosen)) for chosen, used in (folds, folds[::-1])]
    return {
        "accuracy": np.array(scores),
        "same": np.concatenate([same.ravel() for same, _ in folds]),
        "other": np.concatenate([other.ravel() for _, other in folds]),
    }


def figures(columns: Columns) -> list[Figure]:
    """Verification accuracy, and the mean cosines of same and of other pairs."""
    if EMBEDDINGS not in columns:
        return []
    found = verification(columns[EMBEDDINGS])
    share, same, other = found["accuracy"].mean(), found["same"], found["other"]
    return [
        Figure("recognition", "verification accuracy", float(share), "%", same.size + other.size),
        Figure("recognition", "similarity of same pairs", float(same.mean()), "", same.size),
        Figure("recognition", "similarity of other pairs", float(other.mean()), "", other.size),
    ]
