"""How well an embedding tells whether two portraits show the same person."""

from __future__ import annotations

import torch
from torch import Tensor


def verification_figures(embeddings: Tensor, persons: Tensor) -> dict[str, float]:
    """Same-or-other accuracy over all pairs of portraits, as many other pairs as same ones in weight.

    The threshold on the cosine is chosen on one half of the persons and used on the other half, and the other
    way round (as in the protocol of Labeled Faces in the Wild, with two folds).

    Args:
        embeddings: (N, E) unit length.
        persons: (N,) int64.

    Returns:
        accuracy: mean of the right decisions on same and on other pairs, 0 .. 1.
        same, other: mean cosine of the same and of the other pairs.
    """
    cosines = embeddings @ embeddings.T
    same = persons[:, None] == persons[None, :]
    upper = torch.ones_like(same).triu(diagonal=1)
    names = torch.unique(persons)
    first = torch.isin(persons, names[: len(names) // 2])
    folds = [first[:, None] & first[None, :], ~first[:, None] & ~first[None, :]]
    pairs = [(cosines[fold & upper & same], cosines[fold & upper & ~same]) for fold in folds]
    scores = []
    for (chosen_same, chosen_other), (used_same, used_other) in (pairs, pairs[::-1]):
        threshold = _best_threshold(chosen_same, chosen_other)
        scores.append(
            0.5 * ((used_same > threshold).float().mean() + (used_other <= threshold).float().mean())
        )
    return {
        "accuracy": float(torch.stack(scores).mean()),
        "same": float(cosines[upper & same].mean()),
        "other": float(cosines[upper & ~same].mean()),
    }


def _best_threshold(same: Tensor, other: Tensor) -> Tensor:
    thresholds = torch.linspace(-1.0, 1.0, 401)
    rejected = torch.searchsorted(same.sort().values, thresholds, right=True) / max(len(same), 1)
    accepted = 1.0 - torch.searchsorted(other.sort().values, thresholds, right=True) / max(len(other), 1)
    return thresholds[(rejected + accepted).argmin()]
