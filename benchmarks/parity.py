"""Parity with the reference implementations: every array of the golden files against what this code computes.

Run:  python benchmarks/parity.py [WORD ...]      only the files whose name has one of the words

Prints file, array and the relative error max |a - b| / max |b|, and ends with 1 if one is above its limit (1e-4 for
outputs, 1e-3 for gradients). A further family of files is one more function in `SOURCES` that yields rows.
"""

from __future__ import annotations

import math
import sys
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

ROOT = Path(__file__).resolve().parents[1]
GOLDEN = ROOT / "tests" / "golden"
OUTPUT, GRADIENT = 1e-4, 1e-3

if __name__ == "__main__":
    sys.path[:0] = [str(ROOT), str(ROOT / "plugins")]


@dataclass(frozen=True)
class Row:
    """One array: where it is from, the largest relative error, and how large that may be."""

    file: str
    array: str
    error: float
    limit: float

    @property
    def ok(self) -> bool:
        return self.error <= self.limit


def relative(ours: Tensor, reference: np.ndarray[Any, Any]) -> float:
    """max |a - b| / max |b|; infinite where the shapes differ."""
    b = torch.from_numpy(np.asarray(reference)).double()
    a = ours.detach().cpu().double()
    return float((a - b).abs().max() / b.abs().max()) if a.shape == b.shape else float("inf")


def generator_rows(file: str, generator: Any) -> Iterator[Row]:
    """Rows of a StyleGAN's golden file, for every array that it has.

    Args:
        file: such as "stylegan2/ada_skip_64", beside whose checkpoint the .npz lies.
        generator: has `map(z, truncation=, cutoff=)`, `synthesize(latent[, noise_mode=])`, `mean_latent()`.
    """
    data = np.load(GOLDEN / f"{file}.npz", allow_pickle=False)
    z, wplus = torch.from_numpy(data["z"]), torch.from_numpy(data["wplus"])
    with torch.no_grad():
        latent = generator.map(z)
    outputs: dict[str, Callable[[], Tensor]] = {
        "ws": lambda: latent,
        "w": lambda: latent[:, 0],
        "ws_psi07": lambda: generator.map(z, truncation=0.7),
        "ws_psi05_cut4": lambda: generator.map(z, truncation=0.5, cutoff=4),
        "w_avg": generator.mean_latent,
        "latent_avg": lambda: generator.mean_latent()[None],
        "img": lambda: generator.synthesize(latent),
        "img_const": lambda: generator.synthesize(latent),
        "img_none": lambda: generator.synthesize(latent, noise_mode="none"),
        "img_psi07": lambda: generator.synthesize(generator.map(z, truncation=0.7)),
        "img_wplus": lambda: generator.synthesize(wplus),
        "img_wplus_const": lambda: generator.synthesize(wplus),
    }
    for name in data.files:
        if name in outputs:
            with torch.no_grad():
                yield Row(file, name, relative(outputs[name](), data[name]), OUTPUT)
    if "grad_wplus" in data.files:
        leaf = wplus.clone().requires_grad_()
        image = generator.synthesize(leaf)
        (image * torch.linspace(-1, 1, image.numel()).reshape(image.shape)).sum().backward()
        assert leaf.grad is not None
        yield Row(file, "grad_wplus", relative(leaf.grad, data["grad_wplus"]), GRADIENT)


STYLEGAN2 = (
    "stylegan2/ada_skip_64.pkl",
    "stylegan2/ada_fp16clamp_32.pkl",
    "stylegan3/sg2_from_sg3repo_64.pkl",
    "rosinality/ros_16.pt",
)


def stylegan2() -> Iterator[Row]:
    """The StyleGAN2 checkpoints, frozen as a run uses them."""
    from pie_stylegan.io import load_generator

    for name in STYLEGAN2:
        yield from generator_rows(name.rpartition(".")[0], load_generator(GOLDEN / name).freeze())


def stylegan3() -> Iterator[Row]:
    """The StyleGAN3 checkpoint, frozen as a run uses it."""
    from pie_stylegan.stylegan3_io import load_stylegan3

    name = "stylegan3/sg3_t_32"
    yield from generator_rows(name, load_stylegan3(GOLDEN / f"{name}.pkl").freeze())


def deep3d_face_model() -> Iterator[Row]:
    """The Basel Face Model's layout: geometry, albedo and, through our shading, colours of stored coefficients."""
    from pie_facemodels.bfm import BfmFaceModel
    from pie_facemodels.bfm_file import read_bfm
    from pie_framework.rendering import euler_to_matrix, shade

    file = "deep3d/face_model"
    data = np.load(GOLDEN / f"{file}.npz", allow_pickle=False)
    model = BfmFaceModel(read_bfm(GOLDEN / "deep3d/BFM_model_front.mat", "whole"), window=(0.5, 0.5, 1.0))
    theta = model.from_deep3d(torch.from_numpy(data["coeffs"]))
    vertices = model.mesh(theta).vertices
    seen = torch.cat((vertices[..., :2], 10.0 - vertices[..., 2:]), dim=-1)  # theirs are seen from the camera
    rotation = euler_to_matrix(model.layout.get(theta, "rotation"))
    albedo = torch.from_numpy(data["albedo"])
    colours = shade(albedo, model.normals(vertices), model.layout.get(theta, "illumination"))
    marks = np.delete(data["landmarks68"], (60, 64), axis=1)
    marks[..., 1] = 224.0 - marks[..., 1]  # theirs are counted upwards
    yield Row(file, "vertices_camera", relative(seen, data["vertices_camera"]), OUTPUT)
    yield Row(file, "rotation", relative(rotation.transpose(1, 2), data["rotation"]), OUTPUT)
    yield Row(file, "albedo", relative(model.mesh(theta).colours, data["albedo"].clip(0, 1)), OUTPUT)
    yield Row(file, "color", relative(colours, data["color"]), OUTPUT)
    yield Row(file, "landmarks68", relative(model.landmarks(theta, 224), marks), OUTPUT)


def deep3d_network() -> Iterator[Row]:
    """The coefficient network, frozen as a run uses it, with weights by the rule of the golden files' README."""
    from pie_mofa.deep3d.network import CoefficientNetwork

    network = CoefficientNetwork()
    state = {}
    for name, like in network.state_dict().items():
        drawn = torch.randn(like.shape, generator=torch.Generator().manual_seed(zlib.crc32(name.encode())))
        if name.endswith("running_var"):
            drawn = 1 + 0.1 * drawn.abs()
        elif name.endswith(("running_mean", "bias")):
            drawn = 0.1 * drawn
        elif like.dim() == 1:
            drawn = 1 + 0.1 * drawn
        elif like.dim():
            drawn = drawn * math.sqrt(2 / like[0].numel())
        state[name] = drawn if like.dim() else like
    network.load_state_dict(state)
    picture = torch.rand(2, 3, 224, 224, generator=torch.Generator().manual_seed(11))
    with torch.no_grad():
        found = network.freeze()(picture)
    reference = np.load(GOLDEN / "deep3d/recon_net.npz", allow_pickle=False)["coeffs"]
    yield Row("deep3d/recon_net", "coeffs", relative(found, reference), OUTPUT)


#: One function for each family of golden files.
SOURCES: list[Callable[[], Iterable[Row]]] = [stylegan2, stylegan3, deep3d_face_model, deep3d_network]


def main(words: list[str]) -> int:
    """Print the table; returns 1 when a row is above its limit."""
    print(f"{'file':<34}{'array':<24}{'relative error':>15}{'limit':>9}")
    bad = 0
    for source in SOURCES:
        for row in source():
            if not words or any(word in row.file for word in words):
                mark = "" if row.ok else "  ABOVE"
                print(f"{row.file:<34}{row.array:<24}{row.error:>15.2e}{row.limit:>9.0e}{mark}")
                bad += not row.ok
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
