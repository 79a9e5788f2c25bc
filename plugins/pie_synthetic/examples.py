"""The bundled example portraits: chosen persons of a seed that no dataset of ours uses.

`write_examples` makes the pictures and the record `portraits.json` with the true θ of each.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from pie_synthetic.dataset import WORLD_VERSION
from pie_synthetic.portrait import render_portraits
from pie_synthetic.scene import Scene, sample_person, sample_shot

#: Where the examples lie in this package.
FOLDER = Path(__file__).parent / "examples"
#: Held out: the recipes' datasets use small seeds.
SEED = 20200917
#: The persons of that seed that are shown, in the order of the examples.
PERSONS = (54, 46, 39, 48, 19, 53, 31, 11)
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
    portraits = render_portraits([example_scene(person) for person in PERSONS], size=size)
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
