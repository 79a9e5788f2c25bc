"""Files in the layouts of the public checkpoints with random weights: full-size measurements without the real ones.

    python benchmarks/random_assets.py FOLDER [NAME ...]

Names are those of `WRITERS`; all of them without names.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


def _saved(state: object, path: Path) -> None:
    """Write a torch file; it appears under its name only when complete."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + ".part")
    torch.save(state, temporary)
    temporary.replace(path)


def _he(shape: Sequence[int], rng: torch.Generator, gain: float = 2.0) -> Tensor:
    """Normal values of variance gain / inputs (He et al. 2015)."""
    return torch.randn(tuple(shape), generator=rng) * math.sqrt(gain / math.prod(shape[1:]))


def _norm(prefix: str, channels: int, scale: float = 1.0) -> dict[str, Tensor]:
    """Batch normalisation as it is before training."""
    return {
        f"{prefix}.weight": torch.full((channels,), scale),
        f"{prefix}.bias": torch.zeros(channels),
        f"{prefix}.running_mean": torch.zeros(channels),
        f"{prefix}.running_var": torch.ones(channels),
        f"{prefix}.num_batches_tracked": torch.tensor(0),
    }


def _vgg16(names: Sequence[str], rng: torch.Generator) -> dict[str, Tensor]:
    """The thirteen convolutions under the given names."""
    widths = [64, 64, 128, 128, 256, 256, 256, 512, 512, 512, 512, 512, 512]
    state: dict[str, Tensor] = {}
    for name, before, width in zip(names, [3, *widths], widths, strict=False):
        state[f"{name}.weight"] = _he((width, before, 3, 3), rng)
        state[f"{name}.bias"] = torch.zeros(width)
    return state


def write_random_vgg16(path: Path, seed: int = 0) -> None:
    """VGG-16 in torchvision's layout without its classifier, 59 MB."""
    places = (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28)
    rng = torch.Generator().manual_seed(seed)
    _saved(_vgg16([f"features.{place}" for place in places], rng), Path(path))


def write_random_lpips_heads(path: Path, seed: int = 0) -> None:
    """LPIPS's heads for VGG-16, 8 kB: non-negative, and of the size that makes distances of the order of one."""
    rng = torch.Generator().manual_seed(seed)
    channels = (64, 128, 256, 512, 512)
    state = {
        f"lin{number}.model.1.weight": torch.rand((1, count, 1, 1), generator=rng)
        for number, count in enumerate(channels)
    }
    _saved(state, Path(path))


def write_random_vggface(path: Path, seed: int = 0) -> None:
    """VGG-Face-16 in the layout of vgg_face_dag.pth, 580 MB."""
    blocks = ((1, 2), (2, 2), (3, 3), (4, 3), (5, 3))
    rng = torch.Generator().manual_seed(seed)
    state = _vgg16([f"conv{block}_{i}" for block, depth in blocks for i in range(1, depth + 1)], rng)
    for name, inputs, outputs in (("fc6", 25088, 4096), ("fc7", 4096, 4096), ("fc8", 4096, 2622)):
        state[f"{name}.weight"] = _he((outputs, inputs), rng)
        state[f"{name}.bias"] = torch.zeros(outputs)
    _saved(state, Path(path))


def write_random_arcface(path: Path, depth: int = 50, seed: int = 0) -> None:
    """IResNet of 18, 34, 50 or 100 layers in insightface's layout: 96, 137, 175 or 261 MB."""
    blocks = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 14, 3), 100: (3, 13, 30, 3)}[depth]
    rng = torch.Generator().manual_seed(seed)
    state = {
        "conv1.weight": _he((64, 3, 3, 3), rng),
        **_norm("bn1", 64),
        "prelu.weight": torch.full((64,), 0.25),
    }
    before = 64
    for stage, (count, width) in enumerate(zip(blocks, (64, 128, 256, 512), strict=True), start=1):
        for number in range(count):
            name = f"layer{stage}.{number}"
            state |= _norm(f"{name}.bn1", before)
            state[f"{name}.conv1.weight"] = _he((width, before, 3, 3), rng)
            state |= _norm(f"{name}.bn2", width)
            state[f"{name}.prelu.weight"] = torch.full((width,), 0.25)
            state[f"{name}.conv2.weight"] = _he((width, width, 3, 3), rng)
            state |= _norm(f"{name}.bn3", width, 0.2)  # otherwise untrained maps double from block to block
            if number == 0:
                state[f"{name}.downsample.0.weight"] = _he((width, before, 1, 1), rng, 1.0)
                state |= _norm(f"{name}.downsample.1", width)
            before = width
    state |= _norm("bn2", 512)
    state["fc.weight"], state["fc.bias"] = _he((512, 25088), rng, 1.0), torch.zeros(512)
    _saved(state | _norm("features", 512), Path(path))


def write_random_bfm(path: Path, vertices: int = 35709, seed: int = 0) -> None:
    """BFM_model_front.mat's layout, 105 MB: a plain face of smooth random bases (80, 64, 80) with 68 landmarks.

    Its landmarks lie where faces have them, in decimetres, so that it can stand in for the real model in pictures and
    in tests; needs scipy.
    """
    from scipy.io import savemat

    arrays = random_bfm(vertices, seed)
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + ".part")
    with temporary.open("wb") as stream:
        savemat(stream, arrays)
    temporary.replace(path)


def random_bfm(
    vertices: int = 35709, seed: int = 0, sizes: tuple[int, int, int] = (80, 64, 80)
) -> dict[str, NDArray[np.generic]]:
    """The arrays of `write_random_bfm`; `sizes` of identity, expression and albedo."""
    from scipy.spatial import Delaunay

    rng = np.random.default_rng(seed)
    marks = _landmarks_68()
    turn = np.arange(vertices) * np.pi * (3.0 - np.sqrt(5.0))
    radius = np.sqrt((np.arange(vertices) + 0.5) / vertices)
    plane = np.stack([0.86 * radius * np.cos(turn), 1.04 * radius * np.sin(turn)], axis=1)
    keypoints = ((marks[:, None, :2] - plane[None]) ** 2).sum(-1).argmin(1)
    points = np.column_stack([plane, _relief(plane, marks)])
    tri = Delaunay(plane).simplices.astype(np.int64)
    a, b, c = (plane[tri[:, i]] for i in range(3))
    area = (b[:, 0] - a[:, 0]) * (c[:, 1] - a[:, 1]) - (b[:, 1] - a[:, 1]) * (c[:, 0] - a[:, 0])
    tri[area < 0] = tri[area < 0][:, ::-1]
    front = np.hypot(plane[:, 0] / 0.76, (plane[:, 1] + 0.08) / 0.85) < 1.0
    identity, expression, albedo = sizes
    mouth = np.exp(-0.5 * ((plane[:, 0] / 0.4) ** 2 + ((plane[:, 1] + 0.4) / 0.35) ** 2))
    skin = np.array([200.0, 155.0, 130.0]) * np.ones((vertices, 3))
    for index in (*range(17, 27), *range(36, 48)):
        dark = np.exp(-0.5 * ((plane - marks[index, :2]) ** 2).sum(1) / 0.035**2)[:, None]
        skin = skin * (1 - 0.6 * dark)
    for index in range(48, 68):
        red = np.exp(-0.5 * ((plane - marks[index, :2]) ** 2).sum(1) / 0.035**2)[:, None]
        skin = skin * (1 - red) + np.array([170.0, 90.0, 90.0]) * red
    faces_of = np.full((vertices, 8), len(tri) + 1, dtype=np.int64)
    count = np.zeros(vertices, dtype=np.int64)
    for number, corners in enumerate(tri):
        for corner in corners:
            if count[corner] < 8:
                faces_of[corner, count[corner]] = number + 1
                count[corner] += 1
    return {
        "meanshape": points.reshape(1, -1).astype(np.float32),
        "idBase": _waves(plane, identity, 0.035, rng),
        "exBase": _waves(plane, expression, 0.035, rng) * np.repeat(mouth, 3)[:, None].astype(np.float32),
        "meantex": skin.reshape(1, -1).astype(np.float32),
        "texBase": _waves(plane, albedo, 8.0, rng),
        "tri": tri + 1,
        "point_buf": faces_of,
        "tri_mask2": tri[front[tri].all(1)] + 1,
        "frontmask2_idx": np.flatnonzero(front)[:, None] + 1,
        "skinmask": front.astype(np.float64)[None],
        "keypoints": keypoints[None] + 1,
    }


def _landmarks_68() -> NDArray[np.float64]:
    """(68, 3) landmarks of a plain face in decimetres, the eyes at y = 0.29 and the mouth's corners at y = -0.38."""
    from pie_facemodels.conventions import neutral_landmarks

    own = neutral_landmarks()
    own = np.insert(own, [60, 63], own[[48, 54]] * np.array([0.85, 1.0, 1.0]), axis=0)
    eyes, mouth = own[36:48].mean(0), own[[48, 54]].mean(0)
    return np.asarray((own - eyes) * (0.67135 / (eyes - mouth)[1]) + np.array([0.0, 0.29, 0.13]))


def _relief(plane: NDArray[np.float64], marks: NDArray[np.float64]) -> NDArray[np.float64]:
    """(V,) heights of a smooth face through the landmarks."""

    def dome(at: NDArray[np.float64]) -> NDArray[np.float64]:
        inside = 1.0 - (at[:, 0] / 1.0) ** 2 - (at[:, 1] / 1.3) ** 2
        return np.asarray(0.9 * np.sqrt(np.maximum(inside, 0.05)) - 0.55)

    def bumps(at: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(np.exp(-0.5 * ((at[:, None] - marks[None, :, :2]) ** 2).sum(-1) / 0.12**2))

    weights = np.linalg.solve(
        bumps(marks[:, :2]) + 0.1 * np.eye(len(marks)), marks[:, 2] - dome(marks[:, :2])
    )
    return dome(plane) + bumps(plane) @ weights


def _waves(
    plane: NDArray[np.float64], count: int, size: float, rng: np.random.Generator
) -> NDArray[np.float32]:
    """(3V, count) smooth random fields whose size falls from `size` as modes of a principal component analysis do."""
    basis = np.empty((len(plane), 3, count), dtype=np.float32)
    for mode in range(count):
        for axis in range(3):
            direction = rng.normal(size=2) * (1.0 + 0.06 * mode)
            wave = np.cos(plane @ direction + rng.uniform(0.0, 2.0 * np.pi))
            basis[:, axis, mode] = size * rng.normal() / (1.0 + 0.2 * mode) * wave
    return basis.reshape(-1, count)


def write_random_deep3d(path: Path, seed: int = 0) -> None:
    """Deep3DFaceRecon's epoch_20.pth, 96 MB: ResNet-50 whose random coefficients stay near the mean face."""
    from pie_mofa.deep3d.network import NETWORK_KEY, CoefficientNetwork

    rng = torch.Generator().manual_seed(seed)
    state: dict[str, Tensor] = {}
    for name, like in CoefficientNetwork().state_dict().items():
        if name.startswith("final_layers"):
            state[name] = 0.002 * torch.randn(like.shape, generator=rng)
        elif like.dim() == 4:
            state[name] = _he(like.shape, rng)
        elif name.endswith("bn3.weight"):
            state[name] = torch.full_like(like, 0.2)  # otherwise untrained maps double from block to block
        else:
            state[name] = like
    _saved({NETWORK_KEY: state, "opt_00": {}, "sched_00": {}}, Path(path))


#: What each name writes, and into which file.
WRITERS: dict[str, tuple[str, Callable[[Path], None]]] = {
    "vgg16": ("vgg16.pth", write_random_vgg16),
    "lpips": ("lpips_vgg.pth", write_random_lpips_heads),
    "vggface": ("vgg_face_dag.pth", write_random_vggface),
    "arcface": ("arcface_r50.pth", write_random_arcface),
    "bfm": ("BFM_model_front.mat", write_random_bfm),
    "deep3d": ("epoch_20.pth", write_random_deep3d),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the files that are asked for; returns the exit status."""
    words = sys.argv[1:] if arguments is None else list(arguments)
    unknown = [name for name in words[1:] if name not in WRITERS]
    if not words or unknown:
        print(
            f"usage: python benchmarks/random_assets.py FOLDER [{' | '.join(WRITERS)} ...]", file=sys.stderr
        )
        return 2
    for name in words[1:] or WRITERS:
        file, write = WRITERS[name]
        write(Path(words[0]) / file)
        print(Path(words[0]) / file)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
