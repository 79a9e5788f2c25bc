"""Generators of published size, with random weights: they are built, and run forwards and backwards, in bounded memory.

StyleGAN2 config F at 1024 px runs always. StyleGAN3 runs with its published widths at 16 px, and at 1024 px where
PIE_FULL_SIZE is set: a minute (T) or three (R) on one core.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from benchmarks import fullsize
from benchmarks.generators import in_a_process
from pie_facemodels.bfm import BfmFaceModel
from pie_facemodels.bfm_file import read_bfm
from pie_stylegan.formats.reading import read_generator

WHOLE = pytest.mark.skipif(
    not os.environ.get("PIE_FULL_SIZE"), reason="takes minutes: set PIE_FULL_SIZE=1 to run it"
)


def test_stylegan2_config_f_at_1024_pixels() -> None:
    """18 layers, 30.4 million parameters; about 11 s on one core, 2.4 GiB."""
    found = in_a_process("stylegan2", "--gradient-only", timeout=600)
    assert (found["parameters"], found["layers"]) == (30_370_060, 18)
    assert found["peak_gib"] < 3.5
    assert 0 < found["gradient"] < float("inf")


@pytest.mark.parametrize("kind", ["stylegan3-t", "stylegan3-r"])
def test_stylegan3_of_published_widths(kind: str) -> None:
    found = in_a_process(kind, "--resolution", "16", "--gradient-only", timeout=600)
    assert found["layers"] == 16
    assert found["peak_gib"] < 3.5
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


def test_what_the_benchmark_writes_is_what_real_files_hold(tmp_path: Path) -> None:
    """`benchmarks/fullsize.py`: the made-up face model has the published size, and its face is in the picture."""
    layers, width = fullsize.write_stylegan2(tmp_path / "g.pkl", 16)
    found = read_generator(tmp_path / "g.pkl")
    assert (
        (layers, width) == (6, 512) and found.format == "NVIDIA pickle" and found.config.mapping_layers == 8
    )
    savemat = pytest.importorskip("scipy.io").savemat
    savemat(tmp_path / "face.mat", fullsize.face())
    model = BfmFaceModel(read_bfm(tmp_path / "face.mat"), window=(0.5, 0.5897, 0.88368))
    theta = torch.zeros(1, model.layout.size)
    theta[:, model.layout.slice("rotation")] = torch.tensor([0.05, 0.2, -0.05])
    mesh = model.mesh(theta)
    assert mesh.vertices.shape == (1, 35_709, 3) and len(mesh.faces) > 70_000
    theta.requires_grad_()
    rendering = model.render(theta, 1024)
    assert 0.1 < float(rendering.mask.mean()) < 0.8
    rendering.image.square().mean().backward()
    assert theta.grad is not None and bool(theta.grad.isfinite().all()) and bool(theta.grad.any())


@WHOLE
def test_energy_full_at_1024_pixels(tmp_path: Path) -> None:
    command = [sys.executable, str(Path(fullsize.__file__)), "--json", str(tmp_path / "figures.json")]
    subprocess.run(command, check=True)
    figures = fullsize.json.loads((tmp_path / "figures.json").read_text())["float32"]
    assert len(figures["energy"]) == 3 and figures["peak_gib"] < 8
