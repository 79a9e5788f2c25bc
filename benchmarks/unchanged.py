"""Do runs come out bit for bit as they did at another commit? For changes that move walls and should move nothing else.

    python benchmarks/unchanged.py REVISION             # the runs of both, compared
    python benchmarks/unchanged.py REVISION --keep DIR  # the folders of both stay; those of the revision are made once

Each run of the set is made by the code of the working tree and by that of the revision, in processes of one thread on
this machine, and everything that they leave is compared: latents and checkpoints bit for bit, pictures by pixel, tables
and records without times, paths and versions. Floating point differs between machines; nothing is compared across them.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from safetensors import safe_open

ROOT = Path(__file__).resolve().parent.parent
SHORT = (
    "schedule.stages.0.steps=3",
    "schedule.stages.1.steps=2",
    "prior.pool=3",
    "schedule.check_every=2",
    "device=cpu",
)

#: Name -> the words behind `pie`; RUN stands for the folder of the first run.
RUNS: dict[str, tuple[str, ...]] = {
    "default": ("run", "energy=full", "generator=stylegan2", *SHORT, "checkpoint_every=2", "paste_back=true"),
    "edit": ("edit", "RUN", "rotation.yaw=-10:10:3", "expression.smile=0.5", "name=turning"),
    "synth": ("run", "energy=synth", "init=mean", "edit=none", "seed=3", *SHORT),
    "paper": ("run", "experiment=paper", *(word for word in SHORT if "pool" not in word)),
    "together": ("run", "input=[example:1,example:2]", "optimizer=adadelta", "edit=none", *SHORT),
    "torch": (
        "run",
        "optimizer=torch",
        "optimizer.name=NAdam",
        "init=nearest",
        "init.candidates=5",
        "edit=none",
        *SHORT,
    ),
    "search": (
        "run",
        "init=encoder_search",
        "init.candidates=5",
        "editor=linear",
        "prior.blocks_per_step=0",
        *SHORT,
    ),
    "double": (
        "run",
        "dtype=float64",
        "edit=none",
        "blocks=[rotation]",
        "prior.pool=0",
        *SHORT[:2],
        "device=cpu",
    ),
}
#: What a record says of when, where and with which versions it was made.
PASSING = ("timings", "versions", "created", "seconds", "order")


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("revision")
    parser.add_argument("--keep", type=Path, help="where the folders of both stay")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="unchanged-") as temporary:
        place = (options.keep or Path(temporary)).resolve()
        other = place / "code"
        if not other.exists():
            check_out(options.revision, other)
        shutil.rmtree(place / "after", ignore_errors=True)
        sides = {"before": other, "after": ROOT}
        made = {
            name: [make(sides[s], place / s / name, words) for s in sides] for name, words in RUNS.items()
        }
        wrong = {name: list(differences(*folders)) for name, folders in made.items()}
    for name, found in wrong.items():
        print(f"{name}: {'the same' if not found else '; '.join(found[:5])}")
    return int(any(wrong.values()))


def check_out(revision: str, folder: Path) -> None:
    """The files of a revision."""
    folder.mkdir(parents=True)
    packed = subprocess.run(["git", "archive", revision], cwd=ROOT, capture_output=True, check=True)
    with tarfile.open(fileobj=io.BytesIO(packed.stdout)) as archive:
        archive.extractall(folder, filter="data")


def make(code: Path, folder: Path, words: Sequence[str]) -> Path:
    """Do one run with some code; the folder it left."""
    first = next((folder.parent / "default").glob("outputs/*"), folder)
    if folder.exists():
        return next(folder.glob("outputs/*"), first)
    folder.mkdir(parents=True)
    command = [
        sys.executable,
        "-m",
        "pie_framework.cli.main",
        *(str(first) if w == "RUN" else w for w in words),
    ]
    paths = os.pathsep.join(map(str, (code, code / "plugins")))
    environment = {**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed in {folder}:\n{done.stderr[-2000:]}")
    return next(folder.glob("outputs/*"), first)


def differences(before: Path, after: Path) -> Iterator[str]:
    """What tells two folders apart, file by file."""
    names = [sorted(str(p.relative_to(f)) for p in f.rglob("*") if p.is_file()) for f in (before, after)]
    for name in sorted(set(names[0]) ^ set(names[1])):
        yield f"{name} is in one of them alone"
    for name in sorted(set(names[0]) & set(names[1])):
        if content(before / name) != content(after / name):
            yield f"{name} differs"


def content(path: Path) -> object:
    """What a file says: pixels, values, or bytes; nothing for the page, whose pictures and figures are compared."""
    if path.suffix == ".html":
        return None
    if path.suffix == ".png":
        with Image.open(path) as picture:
            return picture.size, np.asarray(picture).tobytes()
    if path.suffix == ".json":
        return lasting(json.loads(path.read_text(encoding="utf-8")))
    if path.suffix == ".safetensors":
        with safe_open(path, "numpy") as file:
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - it is no mapping
            return {name: (str(a.dtype), a.shape, a.tobytes()) for name, a in arrays.items()}, file.metadata()
    return path.read_bytes()


def lasting(value: Any) -> Any:
    """Values without what passes: times, paths and versions."""
    if isinstance(value, dict):
        return {key: lasting(item) for key, item in value.items() if key not in PASSING}
    if isinstance(value, list):
        return [lasting(item) for item in value]
    return re.sub(r"\S*/\S*", "PATH", value) if isinstance(value, str) else value


if __name__ == "__main__":
    sys.exit(main())
