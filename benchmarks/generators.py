"""Time and peak memory of a generator of published size with random weights.

    python benchmarks/generators.py stylegan2 stylegan3-t stylegan3-r --resolution 1024
    python benchmarks/generators.py stylegan2 --checkpointing --features bfloat16 --device cuda

Each one runs in a process of its own: an image without, then an image with its gradient with respect to W+. Seconds are
of the processor, with one thread, or of the clock on a GPU; memory is the most that the process ever held there.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
KINDS = ("stylegan2", "stylegan3-t", "stylegan3-r")

if __name__ == "__main__":
    sys.path[:0] = [str(ROOT), str(ROOT / "plugins")]


def measure(
    kind: str,
    *,
    resolution: int = 1024,
    checkpointing: bool = False,
    features: str = "same",
    device: str = "cpu",
    gradient_only: bool = False,
) -> dict[str, Any]:
    """What one generator took, measured in this process.

    Returns:
        parameters, layers (of W+), build, forward, forward_backward (seconds), peak_gib, gradient (its length).
    """
    import torch

    from pie_stylegan.component import FEATURE_DTYPES
    from pie_stylegan.stylegan2 import StyleGAN2, StyleGAN2Config
    from pie_stylegan.stylegan3 import StyleGAN3, StyleGAN3Config

    cuda = torch.device(device).type == "cuda"

    def now() -> float:
        if cuda:
            torch.cuda.synchronize()
        return time.perf_counter() if cuda else time.process_time()

    torch.manual_seed(0)
    dtype, started = FEATURE_DTYPES[features], now()
    generator: StyleGAN2 | StyleGAN3
    if kind == "stylegan2":
        generator = StyleGAN2(StyleGAN2Config.standard(resolution), compute_dtype=dtype)
    else:
        config = StyleGAN3Config.t(resolution) if kind == "stylegan3-t" else StyleGAN3Config.r(resolution)
        generator = StyleGAN3(config, compute_dtype=dtype)
    generator.checkpointing = checkpointing
    generator.to(device).freeze()
    latent = generator.sample(1, torch.Generator().manual_seed(0))
    times = [now()]
    if not gradient_only:
        with torch.no_grad():
            generator.synthesize(latent)
    times.append(now())
    latent = latent.clone().requires_grad_()
    image = generator.synthesize(latent)
    image.square().mean().backward()
    times.append(now())
    assert image.shape == (1, 3, resolution, resolution) and latent.grad is not None
    peak = (
        torch.cuda.max_memory_allocated()
        if cuda
        else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    )
    return {
        "parameters": sum(p.numel() for p in generator.parameters()),
        "layers": generator.num_layers,
        "build": times[0] - started,
        "forward": times[1] - times[0],
        "forward_backward": times[2] - times[1],
        "peak_gib": peak / 2**30,
        "gradient": float(latent.grad.norm()),
    }


def in_a_process(kind: str, *options: str, timeout: float | None = None) -> dict[str, Any]:
    """`measure` in a fresh process of one thread, so that the peak is its own."""
    command = [sys.executable, str(Path(__file__).resolve()), kind, "--json", *options]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        command, capture_output=True, text=True, env=environment, timeout=timeout, check=False
    )
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} failed:\n{done.stderr}")
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("kinds", nargs="+", choices=KINDS)
    parser.add_argument("--resolution", type=int, default=1024)
    parser.add_argument("--checkpointing", action="store_true", help="compute blocks again for the gradient")
    parser.add_argument("--features", default="same", choices=("same", "float32", "bfloat16"))
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--gradient-only", action="store_true", help="leave out the image without a gradient")
    parser.add_argument(
        "--json", action="store_true", help="print one line of JSON, measured in this process"
    )
    arguments = parser.parse_args()
    if arguments.json:
        values = vars(arguments)
        kind = values.pop("kinds")[0]
        del values["json"]
        print(json.dumps(measure(kind, **values)))
        return
    rest = sys.argv[1 + len(arguments.kinds) :] if sys.argv[1] in KINDS else []
    print(f"{'':<14}{'parameters':>12}{'image':>9}{'and gradient':>14}{'peak memory':>13}")
    for kind in arguments.kinds:
        found = in_a_process(kind, *rest)
        print(
            f"{kind:<14}{found['parameters']:>12,}{found['forward']:>8.1f}s{found['forward_backward']:>13.1f}s"
            f"{found['peak_gib']:>9.2f} GiB",
            flush=True,
        )


if __name__ == "__main__":
    main()
