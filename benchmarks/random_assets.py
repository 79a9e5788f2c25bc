"""Files in the layouts of the public checkpoints, with random weights: for full-size measurements without the real ones.

    python benchmarks/random_assets.py FOLDER [NAME ...]

Names are those of `WRITERS`; all of them without names.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
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


#: What each name writes, and into which file.
WRITERS: dict[str, tuple[str, Callable[[Path], None]]] = {
    "vgg16": ("vgg16.pth", write_random_vgg16),
    "lpips": ("lpips_vgg.pth", write_random_lpips_heads),
    "vggface": ("vgg_face_dag.pth", write_random_vggface),
    "arcface": ("arcface_r50.pth", write_random_arcface),
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
