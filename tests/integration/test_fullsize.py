"""Generators of published size, with random weights: they are built, and run forwards and backwards, in bounded memory.

StyleGAN2 config F at 1024 px runs always. StyleGAN3 runs with its published widths at 64 px, and at 1024 px where
PIE_FULL_SIZE is set: a minute (T) or three (R) on one core.
"""

from __future__ import annotations

import os

import pytest

from benchmarks.generators import in_a_process

WHOLE = pytest.mark.skipif(
    not os.environ.get("PIE_FULL_SIZE"), reason="takes minutes: set PIE_FULL_SIZE=1 to run it"
)


def test_stylegan2_config_f_at_1024_pixels() -> None:
    """18 layers, 30.4 million parameters; about 11 s on one core, 2.4 GiB."""
    found = in_a_process("stylegan2", timeout=600)
    assert (found["parameters"], found["layers"]) == (30_370_060, 18)
    assert found["peak_gib"] < 3.5
    assert 0 < found["gradient"] < float("inf")


@pytest.mark.parametrize("kind", ["stylegan3-t", "stylegan3-r"])
def test_stylegan3_of_published_widths(kind: str) -> None:
    found = in_a_process(kind, "--resolution", "64", timeout=600)
    assert found["layers"] == 16
    assert found["peak_gib"] < 2.0
    assert 0 < found["gradient"] < float("inf")


@WHOLE
@pytest.mark.parametrize(
    ("kind", "parameters", "peak"), [("stylegan3-t", 22_313_167, 6.0), ("stylegan3-r", 15_093_151, 11.0)]
)
def test_stylegan3_at_1024_pixels(kind: str, parameters: int, peak: float) -> None:
    found = in_a_process(kind, timeout=1800)
    assert found["parameters"] == parameters
    assert found["peak_gib"] < peak
    assert 0 < found["gradient"] < float("inf")
