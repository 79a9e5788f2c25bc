"""The bundled example portraits: chosen persons of a seed that no dataset of ours uses.

    python -m pie_synthetic.examples [FOLDER]

makes the pictures and the record `portraits.json` with the true θ of each; without a folder those of this package.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from pie_synthetic.dataset import WORLD_VERSION
from pie_synthetic.scene import Scene, sample_person, sample_shot
from pie_synthetic.source import render_scenes

#: Where the examples lie in this package.
FOLDER = Path(__file__).parent / "examples"
#: Held out: the recipes' datasets use small seeds.
SEED = 20200917
#: The persons of that seed that are shown, in the order of the examples.
PERSONS = (16, 22, 6, 27, 38, 41, 42, 44)
SIZE = 128


def example_scene(person: int) -> Scene:
    """The first shot of a person of the examples' seed."""
    rng = np.random.default_rng([SEED, person])
    who = sample_person(rng)
    return Scene(who, sample_shot(rng, who))


def write_examples(folder: str | os.PathLike[str] = FOLDER, size: int = SIZE) -> list[Path]:
    """Render the examples.

    Args:
        folder: where `portrait_0.png`, ... and `portraits.json` are written.
        size: height and width, pixels.

    Returns:
        The pictures' paths, in their order.
    """
    root = Path(folder)
    root.mkdir(parents=True, exist_ok=True)
    scenes = [example_scene(person) for person in PERSONS]
    portraits = render_scenes(scenes, size, torch.device("cpu"), torch.float32)
    pixels = ((portraits.images + 1.0) * 127.5).round().clamp(0, 255).byte().permute(0, 2, 3, 1).numpy()
    paths: list[Path] = []
    entries: list[dict[str, Any]] = []
    for number, person in enumerate(PERSONS):
        path = root / f"portrait_{number}.png"
        temporary = path.with_suffix(".png.part")
        Image.fromarray(pixels[number]).save(temporary, format="PNG", optimize=True)
        temporary.replace(path)
        paths.append(path)
        theta = [round(float(value), 6) for value in portraits.theta[number]]
        entries.append({"file": path.name, "person": person, "theta": theta})
    record = {"seed": SEED, "size": size, "world_version": WORLD_VERSION, "portraits": entries}
    temporary = root / "portraits.json.part"
    temporary.write_text(json.dumps(record) + "\n", encoding="utf-8")
    temporary.replace(root / "portraits.json")
    return paths


def main(arguments: Sequence[str] | None = None) -> int:
    """Make the examples from the command line; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="pie_synthetic.examples", description="Render the example portraits."
    )
    parser.add_argument(
        "folder", nargs="?", default=str(FOLDER), help="where to write; this package's own if absent"
    )
    parser.add_argument("--size", type=int, default=SIZE, help="pixels")
    options = parser.parse_args(arguments)
    paths = write_examples(options.folder, options.size)
    print(f"{len(paths)} portraits and their record: {options.folder}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
