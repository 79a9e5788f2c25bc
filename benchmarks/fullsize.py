"""A run of energy=full at published sizes, with random weights in the foreign formats: time per step and peak memory.

    python benchmarks/fullsize.py                                       3 steps on the processor
    python benchmarks/fullsize.py --steps 200 --device cuda --compare   in float32 and in mixed precision

Writes, into a temporary folder, a NVIDIA pickle of StyleGAN2 config F at 1024 px, `epoch_20.pth` of Deep3DFaceRecon, a
`BFM_model_front.mat` of 35 709 vertices with random bases, VGG-16 in torchvision's layout, VGG-Face, and a rig network
for each block, about 1 GB. Then `pie run` composes and runs them in a process of its own, as it would real
ones. What comes out looks like noise; sizes, formats and the work are what is measured.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import pickle
import resource
import statistics
import subprocess
import sys
import tempfile
import time
import types
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

ROOT = Path(__file__).resolve().parents[1]
BLOCKS = ("rotation", "expression", "illumination")
VERTICES = 35_709

if __name__ == "__main__":
    sys.path[:0] = [str(ROOT), str(ROOT / "plugins")]


# ---- random weights in the foreign formats -------------------------------------------------------------------------


class _Module:
    """A module as NVIDIA's repositories pickle it."""

    def __init__(self, class_name: str, **attributes: Any) -> None:
        self.meta = {
            "type": "class",
            "version": 6,
            "module_src": "",
            "class_name": class_name,
            "state": attributes,
        }

    def __reduce__(self) -> Any:
        return sys.modules["torch_utils.persistence"]._reconstruct_persistent_obj, (self.meta,)


@contextmanager
def _persistence() -> Iterator[None]:
    """Lets pickle write the name torch_utils.persistence._reconstruct_persistent_obj."""

    def reconstruct(meta: dict[str, Any]) -> None: ...

    module = types.ModuleType("torch_utils.persistence")
    reconstruct.__module__, reconstruct.__qualname__ = module.__name__, "_reconstruct_persistent_obj"
    module._reconstruct_persistent_obj = reconstruct  # type: ignore[attr-defined]
    sys.modules["torch_utils"], sys.modules[module.__name__] = types.ModuleType("torch_utils"), module
    try:
        yield
    finally:
        del sys.modules["torch_utils"], sys.modules[module.__name__]


def write_stylegan2(path: Path, resolution: int) -> tuple[int, int]:
    """A snapshot of StyleGAN2 config F; returns L and D."""
    import torch

    from pie_stylegan.stylegan2 import StyleGAN2, StyleGAN2Config

    generator = StyleGAN2(StyleGAN2Config.standard(resolution))
    generator.mapping.w_avg.copy_(generator.mapping.estimate_mean(1000))
    modules: dict[str, dict[str, Any]] = {}
    for name, tensor in generator.state_dict().items():
        name = name.replace("mapping.layers.", "mapping.fc")
        if name.startswith("blocks."):
            _, index, rest = name.split(".", 2)
            name = f"synthesis.b{4 << int(index)}.{rest}"
        place, _, leaf = name.rpartition(".")
        modules.setdefault(place, {})[leaf] = tensor
    fir = torch.tensor([1.0, 3.0, 3.0, 1.0])
    for block in (8 << k for k in range(len(generator.config.channels) - 1)):
        modules.setdefault(f"synthesis.b{block}", {})["resample_filter"] = fir[:, None] * fir / 64

    def module(place: str) -> _Module:
        inside = f"{place}." if place else ""
        direct = {
            p[len(inside) :].partition(".")[0]
            for p in modules
            if p.startswith(inside) and len(p) > len(inside)
        }
        tensors = modules.get(place, {})
        buffers = ("w_avg", "noise_const", "resample_filter")
        own: dict[str, Any] = {
            "_parameters": {k: torch.nn.Parameter(v) for k, v in tensors.items() if k not in buffers},
            "_buffers": {k: v for k, v in tensors.items() if k in buffers},
            "_modules": {name: module(inside + name) for name in sorted(direct)},
        }
        if place.startswith("mapping.fc"):
            own |= {"activation": "lrelu", "bias_gain": 0.01}
        if place.rpartition(".")[2] in ("conv0", "conv1"):
            own |= {"activation": "lrelu", "conv_clamp": None}
        return _Module("Generator" if not place else place.rpartition(".")[2], **own)

    with _persistence(), path.open("wb") as stream:
        pickle.dump({"G": None, "D": None, "G_ema": module("")}, stream, protocol=4)
    return generator.num_layers, generator.latent_dim


def write_deep3d(path: Path) -> None:
    """A training checkpoint of the coefficient network, whose coefficients are small."""
    import torch

    from pie_mofa.deep3d.network import CoefficientNetwork

    network = CoefficientNetwork()
    for layer in network.final_layers:
        assert isinstance(layer, torch.nn.Conv2d)
        torch.nn.init.normal_(layer.weight, std=1e-3)
        torch.nn.init.zeros_(layer.bias if layer.bias is not None else torch.empty(0))
    torch.save({"net_recon": network.state_dict(), "opt_00": {}}, path)


def write_vgg(path: Path, *, faces: bool) -> None:
    """VGG-16 in torchvision's layout (with its classifier left out), or VGG-Face in the layout of VGG_FACE."""
    import torch

    from pie_features.vgg import TORCHVISION, Convolutions
    from pie_features.vggface16 import Network

    network = Network() if faces else Convolutions()
    state = {}
    for name, tensor in network.state_dict().items():
        if tensor.ndim == 4:
            tensor = torch.nn.init.kaiming_normal_(tensor.clone())
        place, _, leaf = name.rpartition(".")
        if faces:
            state[name.replace("conv", "conv_")] = tensor
        else:
            state[f"features.{TORCHVISION[place]}.{leaf}"] = tensor
    torch.save(state, path)


def write_rig(path: Path, block: str, layers: int, width: int, layout: Any) -> None:
    """A rig network that moves latents a little."""
    import torch

    from pie_stylerig.network import RigNet

    rig = RigNet(layout, block, layers, width)
    torch.nn.init.normal_(rig.decoder.weight, std=0.02)
    rig.save(path)


def face() -> dict[str, npt.NDArray[Any]]:
    """The arrays of `BFM_model_front.mat` for a made-up face of 35 709 vertices with smooth random bases."""
    rng = np.random.default_rng(0)
    side = 189
    v, u = np.meshgrid(np.linspace(1, -1, side), np.linspace(-1, 1, side), indexing="ij")
    x, y = 0.72 * u, 0.95 * v
    z = 0.75 * np.sqrt(np.clip(1.9 - u**2 - 0.8 * v**2, 0, None)) + 0.25 * np.exp(
        -((u / 0.18) ** 2) - (v / 0.25) ** 2
    )
    points = np.stack((x, y, z), axis=-1).reshape(-1, 3)[:VERTICES]
    a = (np.arange(side - 1)[:, None] * side + np.arange(side - 1)).reshape(-1)
    tri = np.concatenate((np.stack((a, a + side, a + 1), 1), np.stack((a + 1, a + side, a + side + 1), 1)))
    tri = tri[(tri < VERTICES).all(axis=1)]
    waves = np.stack([np.cos(np.pi * (i * u + p)) * np.cos(np.pi * (j * v + q)) for i in range(6) for j in range(6)
                      for p, q in ((0, 0), (0.5, 0.5))]).reshape(72, -1)[:, :VERTICES]  # fmt: skip

    def basis(count: int, scale: float) -> npt.NDArray[np.float32]:
        mixed = rng.standard_normal((count, 3, len(waves))) @ waves * scale / np.sqrt(len(waves))
        return np.ascontiguousarray(mixed.transpose(2, 1, 0).reshape(-1, count), dtype=np.float32)

    angle = np.linspace(np.pi, 2 * np.pi, 17)
    around = np.linspace(0, 2 * np.pi, 7)[:6]
    marks = [(0.85 * np.cos(t), 0.1 + 0.95 * np.sin(t)) for t in angle]
    marks += [(s * (0.2 + 0.1 * k), 0.45) for s in (-1, 1) for k in range(5)]
    marks += [(0, 0.3 - 0.12 * k) for k in range(4)] + [(0.08 * (k - 2), -0.2) for k in range(5)]
    marks += [(s * 0.4 + 0.12 * np.cos(t), 0.28 + 0.05 * np.sin(t)) for s in (-1, 1) for t in around]
    marks += [(0.28 * np.cos(t), -0.5 + 0.12 * np.sin(t)) for t in np.linspace(0, 2 * np.pi, 13)[:12]]
    marks += [(0.2 * np.cos(t), -0.5 + 0.05 * np.sin(t)) for t in np.linspace(0, 2 * np.pi, 9)[:8]]
    flat = np.stack((u.reshape(-1), v.reshape(-1)), axis=1)[:VERTICES]
    keypoints = [int(((flat - mark) ** 2).sum(axis=1).argmin()) + 1 for mark in marks]
    skin = np.array([205.0, 150.0, 125.0])
    return {
        "meanshape": points.reshape(1, -1).astype(np.float32),
        "idBase": basis(80, 0.02),
        "exBase": basis(64, 0.01),
        "meantex": np.tile(skin, VERTICES)[None].astype(np.float32),
        "texBase": basis(80, 8.0),
        "tri": (tri + 1).astype(np.float64),
        "keypoints": np.array([keypoints], dtype=np.float64),
        "tri_mask2": (tri + 1).astype(np.float64),
    }


@dataclass(frozen=True)
class Files:
    """What was written, as overrides of `pie run`."""

    folder: Path
    overrides: tuple[str, ...]


def write_files(folder: Path, resolution: int) -> Files:
    """Everything that the run loads."""
    import torch
    from PIL import Image
    from scipy.io import savemat

    from pie_facemodels.bfm import BfmFaceModel
    from pie_facemodels.bfm_file import read_bfm
    from pie_framework import Pipeline

    torch.manual_seed(0)
    layers, width = write_stylegan2(folder / "ffhq.pkl", resolution)
    write_deep3d(folder / "epoch_20.pth")
    write_vgg(folder / "vgg16.pth", faces=False)
    write_vgg(folder / "vgg_face.pth", faces=True)
    savemat(folder / "BFM_model_front.mat", face(), do_compression=False)
    layout = BfmFaceModel(read_bfm(folder / "BFM_model_front.mat"), window=(0.5, 0.5897, 0.88368)).layout
    for block in BLOCKS:
        write_rig(folder / f"rig_{block}.safetensors", block, layers, width, layout)
    aligned = Pipeline.compose().portrait("example").aligned.image
    picture: Image.Image = aligned if isinstance(aligned, Image.Image) else Image.fromarray(aligned)
    picture.resize((resolution, resolution), Image.Resampling.BICUBIC).save(folder / "portrait.png")
    return Files(
        folder,
        (
            "energy=full",
            "generator=stylegan2",
            f"generator.weights={folder}/ffhq.pkl",
            "face_model=bfm",
            f"face_model.path={folder}/BFM_model_front.mat",
            "encoder=deep3d",
            f"encoder.weights={folder}/epoch_20.pth",
            "features=vgg",
            f"features.perceptual.weights={folder}/vgg16.pth",
            f"features.recognition.weights={folder}/vgg_face.pth",
            *(f"rig.{block}.weights={folder}/rig_{block}.safetensors" for block in BLOCKS),
            f"input={folder}/portrait.png",
            "aligner=none",
            "inverter=none",
            "init=mean",
            "edit=none",
        ),
    )


# ---- one run, measured ---------------------------------------------------------------------------------------------


def run_here(arguments: Sequence[str], report: Path, threads: int) -> int:
    """`pie run` in this process; writes the seconds of every step and the peak memory to `report`."""
    import torch

    from pie_framework.cli.main import main as pie
    from pie_framework.optimisation.problem import Problem

    torch.set_num_threads(threads)
    steps: list[float] = []
    processor: list[float] = []
    plain = Problem.step

    def timed(problem: Problem, state: Any) -> Any:
        started, busy = time.perf_counter(), time.process_time()
        result = plain(problem, state)
        if result[0].variable.is_cuda:
            torch.cuda.synchronize()
        steps.append(time.perf_counter() - started)
        processor.append(time.process_time() - busy)
        return result

    Problem.step = timed  # type: ignore[method-assign]
    status = int(pie(["run", *arguments]) or 0)
    figures: dict[str, Any] = {
        "steps": steps,
        "processor": processor,
        "peak_gib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20,
    }
    if torch.cuda.is_available():
        figures["cuda_gib"] = torch.cuda.max_memory_allocated() / 2**30
    report.write_text(json.dumps(figures), encoding="utf-8")
    return status


def measure(files: Files, name: str, overrides: Sequence[str], threads: int) -> dict[str, Any]:
    """A run in a process of its own: seconds per step, peak memory, and the energy of every step."""
    report, outputs = files.folder / f"{name}.json", files.folder / name
    command = [
        sys.executable,
        str(Path(__file__).resolve()),
        "--here",
        str(report),
        "--threads",
        str(threads),
    ]
    command += ["--", *files.overrides, *overrides, f"outputs={outputs}"]
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
    subprocess.run(command, check=True, env=environment)
    figures: dict[str, Any] = json.loads(report.read_text(encoding="utf-8"))
    (energies,) = outputs.glob("*/energies.csv")
    with energies.open(encoding="utf-8", newline="") as stream:
        figures["energy"] = [float(row["total"]) for row in csv.DictReader(stream)]
    (manifest,) = outputs.glob("*/run.json")
    figures["timings"] = json.loads(manifest.read_text(encoding="utf-8"))["timings"]
    return figures


def describe(name: str, figures: dict[str, Any]) -> str:
    """One run in a few lines."""
    steps = figures["steps"]
    usual, busy = (statistics.median(figures[key][1:] or figures[key]) for key in ("steps", "processor"))
    lines = [
        f"{name}: {len(steps)} steps, first {steps[0]:.2f} s (which makes the v), "
        f"median of the others {usual:.2f} s ({busy:.2f} s of processor time)",
        f"  peak memory of the process {figures['peak_gib']:.2f} GiB"
        + (f", of the GPU {figures['cuda_gib']:.2f} GiB" if "cuda_gib" in figures else ""),
        f"  E(w) {figures['energy'][0]:.4f} at the first step, {figures['energy'][-1]:.4f} at the last; "
        + ", ".join(f"{phase} {seconds:.1f} s" for phase, seconds in figures["timings"].items()),
    ]
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--steps", type=int, default=3, help="steps of the optimisation, in W+")
    parser.add_argument("--resolution", type=int, default=1024, help="of the generator")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=1, help="of the processor")
    parser.add_argument(
        "--mixed", action="store_true", help="feature maps of generator and encoder in bfloat16"
    )
    parser.add_argument("--compare", action="store_true", help="run in float32 and mixed, and compare E(w)")
    parser.add_argument("--checkpointing", action="store_true", help="generator.checkpointing=true")
    parser.add_argument("--pool", type=int, default=1, help="prior.pool: v that are made once")
    parser.add_argument("--folder", type=Path, help="keep the files here, and use those that are there")
    parser.add_argument("--json", type=Path, help="also write the figures here")
    parser.add_argument("--here", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("overrides", nargs="*", help="further overrides of pie run, after --")
    arguments = parser.parse_args()
    if arguments.here:
        return run_here(arguments.overrides, arguments.here, arguments.threads)
    stage = f"{{name: w_plus, space: w_plus, steps: {arguments.steps}, lr: 0.01}}"
    shared = [
        f"device={arguments.device}",
        f"schedule.stages=[{stage}]",
        "schedule.check_every=1",
        f"prior.pool={arguments.pool}",
        f"generator.checkpointing={str(arguments.checkpointing).lower()}",
        *arguments.overrides,
    ]
    kinds = {"float32": [], "mixed": list(MIXED)}
    wanted = list(kinds) if arguments.compare else ["mixed" if arguments.mixed else "float32"]
    results: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(prefix="pie-fullsize-") as temporary:
        folder = arguments.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        files = write_files(folder.resolve(), arguments.resolution)
        for name in wanted:
            results[name] = measure(
                files, f"{name}-{os.getpid()}", [*shared, *kinds[name]], arguments.threads
            )
            print(describe(name, results[name]), flush=True)
    if arguments.compare:
        pairs = list(zip(results["float32"]["energy"], results["mixed"]["energy"], strict=True))
        print(
            f"largest difference of E(w): {max(abs(a - b) / abs(a) for a, b in pairs):.2%} of E(w) in float32"
        )
    if arguments.json:
        arguments.json.write_text(json.dumps(results), encoding="utf-8")
    return 0


#: What mixed precision means here: weights, latents, colours, coefficients and energies stay in float32.
MIXED = ("generator.features=bfloat16", "encoder.features=bfloat16")


if __name__ == "__main__":
    sys.exit(main())
