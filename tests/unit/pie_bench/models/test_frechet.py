"""The Fréchet distance against closed forms and a matrix root of another library."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.linalg import sqrtm

from pie_bench.models.frechet import frechet_distance, gaussian


def test_frechet_distance_of_numbers() -> None:
    first = (torch.tensor([1.0]), torch.tensor([[4.0]]))
    second = (torch.tensor([3.0]), torch.tensor([[9.0]]))
    assert frechet_distance(first, second) == pytest.approx(2.0**2 + (2.0 - 3.0) ** 2)
    assert frechet_distance(first, first) == pytest.approx(0.0, abs=1e-12)


def test_frechet_distance_of_covariances_that_do_not_commute() -> None:
    rng = np.random.default_rng(0)
    a, b = (m @ m.T for m in rng.normal(size=(2, 5, 5)))
    shift = rng.normal(size=5)
    root = np.asarray(sqrtm(a @ b)).real
    expected = shift @ shift + np.trace(a) + np.trace(b) - 2 * np.trace(root)
    zero = torch.zeros(5, dtype=torch.float64)
    found = frechet_distance((zero, torch.from_numpy(a)), (torch.from_numpy(shift), torch.from_numpy(b)))
    assert found == pytest.approx(expected, rel=1e-8)


def test_frechet_distance_where_covariances_are_singular() -> None:
    flat = torch.diag(torch.tensor([1.0, 0.0, 0.0]))
    assert frechet_distance((torch.zeros(3), flat), (torch.ones(3), flat)) == pytest.approx(3.0)


def test_gaussian_of_samples() -> None:
    values = torch.tensor([[0.0, 1.0], [2.0, 1.0], [4.0, 4.0]])
    mean, covariance = gaussian(values)
    assert mean.tolist() == [2.0, 2.0]
    assert torch.allclose(covariance, torch.tensor([[4.0, 3.0], [3.0, 3.0]], dtype=torch.float64))
