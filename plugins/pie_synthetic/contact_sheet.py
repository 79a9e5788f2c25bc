"""Contact sheets of the embedded world: random portraits, and every named expression control.

    python -m pie_synthetic.contact_sheet OUT.png [--seed N] [--controls OUT2.png]

The first sheet holds 8 x 8 portraits of different persons; the second one person with each named expression
control at -1, 0.5 and 1, everything else neutral.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from pie_synthetic.model import face_model
from pie_synthetic.portrait import render_portraits
from pie_synthetic.scene import Person, Scene, sample_scenes

STRENGTHS = (-1.0, 0.5, 1.0)
SEED, ROWS, COLUMNS, SIZE = 78, 8, 8, 128
CONTROL_COLUMNS, CONTROL_SIZE, CAPTION = 12, 128, 13
COLOURS = 256
_BATCH = 8

Pixels = NDArray[np.uint8]


def portraits_sheet(seed: int, rows: int = ROWS, columns: int = COLUMNS, size: int = SIZE) -> Image.Image:
    """rows x columns portraits of different persons, `size` pixels each, without gaps."""
    pictures = _render(sample_scenes(np.random.default_rng(seed), rows * columns), size)
    grid = pictures.reshape(rows, columns, size, size, 3).transpose(0, 2, 1, 3, 4)
    return Image.fromarray(np.ascontiguousarray(grid).reshape(rows * size, columns * size, 3))


def controls_sheet(
    seed: int, names: Sequence[str] | None = None, columns: int = CONTROL_COLUMNS, size: int = CONTROL_SIZE
) -> Image.Image:
    """The face of one person without beard or glasses, with each of the expression controls at STRENGTHS.

    `names` chooses the controls, all named ones if not given.
    """
    every = face_model().layout.block("expression")
    candidates = sample_scenes(np.random.default_rng(seed), 64)
    person = next((s for s in candidates if _bare(s.person)), candidates[0])
    plain = replace(person.shot, rotation=np.zeros(3, np.float32))
    tiles = [(name, strength) for name in (names or every.names) for strength in STRENGTHS]
    scenes = []
    for name, strength in tiles:
        expression = np.zeros(every.size, np.float32)
        expression[every.names.index(name)] = strength
        scenes.append(Scene(person.person, replace(plain, expression=expression)))
    sheet = Image.new("RGB", (columns * size, -(-len(tiles) // columns) * (size + CAPTION)))
    draw = ImageDraw.Draw(sheet)
    for index, ((name, strength), picture) in enumerate(zip(tiles, _faces(scenes, size), strict=True)):
        x, y = index % columns * size, index // columns * (size + CAPTION)
        sheet.paste(Image.fromarray(picture), (x, y + CAPTION))
        draw.text((x + 2, y), f"{name} {strength:g}", fill=(255, 255, 255))
    return sheet


def save(sheet: Image.Image, path: str | os.PathLike[str]) -> None:
    """Write a PNG with a palette of COLOURS colours, complete or not at all."""
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}.part")
    sheet.quantize(COLOURS, dither=Image.Dither.FLOYDSTEINBERG).save(temporary, format="PNG", optimize=True)
    temporary.replace(target)


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the sheets the command line asks for."""
    parser = argparse.ArgumentParser(prog="python -m pie_synthetic.contact_sheet", description=__doc__)
    parser.add_argument("out", type=Path, help="PNG of random portraits")
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--controls", type=Path, help="PNG of every named expression control")
    chosen = parser.parse_args(arguments)
    save(portraits_sheet(chosen.seed), chosen.out)
    if chosen.controls is not None:
        save(controls_sheet(chosen.seed), chosen.controls)


def _bare(person: Person) -> bool:
    """Whether nothing hides the face."""
    return person.beard is None and person.glasses is None and person.hair.fringe == 0.0


def _faces(scenes: Sequence[Scene], size: int) -> Pixels:
    """(N, size, size, 3) uint8: the middle of larger portraits."""
    whole = size * 3 // 2
    left, top = (whole - size) // 2, (whole - size) * 3 // 5
    return _render(scenes, whole)[:, top : top + size, left : left + size]


def _render(scenes: Sequence[Scene], size: int) -> Pixels:
    """(N, size, size, 3) uint8."""
    batches = [
        render_portraits(scenes[start : start + _BATCH], size).images
        for start in range(0, len(scenes), _BATCH)
    ]
    images = torch.cat(batches).permute(0, 2, 3, 1)
    pictures: Pixels = ((images + 1.0) * 127.5).round().to(torch.uint8).numpy()
    return pictures


if __name__ == "__main__":
    main()
