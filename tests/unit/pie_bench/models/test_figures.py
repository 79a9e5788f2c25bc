"""Bars, and means of values."""

from __future__ import annotations

import math

import numpy as np
import pytest

from pie_bench.models.figures import Figure, means


def test_a_bar_is_met_or_missed() -> None:
    assert Figure("encoder", "yaw", 1.5, "deg").met is True
    assert Figure("encoder", "yaw", 1.51, "deg").verdict == "MISSED"
    assert Figure("generator", "projection PSNR", 27.1, "dB").verdict == "met"
    assert Figure("encoder", "yaw", math.nan, "deg").met is False
    assert Figure("encoder", "roll", 1.0, "deg").met is None
    assert Figure("encoder", "light", 0.123, "%").written() == ("12.3 %", "<= 15.0 %")


def test_figures_are_means_or_shares_of_means() -> None:
    values = {
        ("rig", "yaw, single pass"): np.array([1.0, 2.0]),
        ("rig", "identity kept, yaw"): np.array([0.4, 0.6]),
        ("rig", "identity kept, yaw", "over"): np.array([0.5, 0.75]),
        ("rig", "own request, rotation"): np.array([0.1]),
        ("rig", "own request, rotation, samples"): np.array([0.2]),
        ("recognition", "embeddings", "of shots"): np.zeros((2, 2, 3)),
    }
    yaw, kept, own, sampled = means(values)
    assert (yaw.figure, yaw.unit, yaw.count) == (1.5, "deg", 2)
    assert yaw.place is not None and yaw.place[1:] == ("yaw", "single pass")
    assert kept.figure == pytest.approx(0.8) and kept.place is None
    assert own.place is not None and own.place[1:] == ("own request, rotation", "single pass")
    assert sampled.place is not None and sampled.place[1:] == ("own request, rotation", "samples")
