"""Who is told apart, and by which threshold."""

from __future__ import annotations

import numpy as np
import pytest

from pie_bench.models import recognition


def test_persons_that_differ_are_told_apart() -> None:
    embeddings = np.repeat(np.eye(6)[:, None], 3, axis=1)
    found = recognition.verification(embeddings)
    assert found["accuracy"].tolist() == [1.0, 1.0]
    assert found["same"].size == found["other"].size == 6 * 3


def test_noise_is_not_told_apart() -> None:
    noise = np.random.default_rng(1).normal(size=(400, 2, 32))
    found = recognition.verification(noise / np.linalg.norm(noise, axis=2, keepdims=True))
    assert found["accuracy"].mean() == pytest.approx(0.5, abs=0.06)


def test_the_threshold_comes_from_the_other_half() -> None:
    """In the second half all cosines are higher: each half's threshold is wrong for one sort of the other's pairs."""
    same, other = np.array([[0.4]]), np.array([[0.0]])
    threshold = recognition.best_threshold(same, other)
    assert threshold == pytest.approx(0.2)
    assert recognition.accuracy(same + 0.5, other + 0.5, threshold) == 0.5
    assert recognition.accuracy(same, other, threshold) == 1.0


def test_other_pairs_are_of_different_persons() -> None:
    embeddings = np.repeat(np.eye(3)[:, None], 2, axis=1)
    same, other = recognition.pairs(embeddings)
    assert same.tolist() == [[1.0]] * 3 and other.tolist() == [[0.0]] * 3
