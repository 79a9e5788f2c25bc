"""The picture of the documentation's face models: each neutral, with expressions, turned, in other light, other people.

    python benchmarks/face_models.py OUT.png [ICT_FOLDER]

ICT-FaceKit (https://github.com/ICT-VGL/ICT-FaceKit, MIT) is left out where its folder is not given.
"""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from pie_facemodels import ict
from pie_facemodels.procedural.model import ProceduralFaceModel
from pie_facemodels.settings import IctSettings
from pie_framework.editing.controls import Vocabulary
from pie_framework.editing.edit import combinations_of
from pie_framework.editing.parameters import apply_request
from pie_framework.rendering import directional_light

SIDE, SUPERSAMPLE = 180, 3
#: What is kept of each rendering: rows, columns.
WINDOW = (slice(34, 172), slice(34, 146))
GREY = 0.86
#: Columns: what is asked of each model's neutral face, and the seed of another person.
COLUMNS: tuple[tuple[tuple[str, ...], int], ...] = (
    ((), 0),
    (("expression.smile=1",), 0),
    (("expression.jaw_open=0.7",), 0),
    (("expression.blink_left=1", "expression.brow_raise=1"), 0),
    (("rotation.yaw=30",), 0),
    (("rotation.pitch=-15", "rotation.yaw=-20"), 0),
    (("illumination.from=left",), 0),
    (("illumination.from=below",), 0),
    ((), 1),
    ((), 4),
)


def models(folder: str | None) -> list[Any]:
    """The face models that can be drawn here."""
    found: list[Any] = [ProceduralFaceModel()]
    if folder is not None:
        context: Any = SimpleNamespace(
            dtype=torch.float32, device=torch.device("cpu"), asset=lambda uri, folder: uri
        )
        found.append(ict.build(IctSettings(folder, cache=False), context))
    return found


def person(model: Any, seed: int) -> Tensor:
    """θ (1, P) of the neutral face in soft light, or of another person for a seed above 0."""
    theta = torch.zeros(1, model.layout.size)
    light = directional_light(torch.tensor([[0.3, 0.4, 1.0]]), intensity=0.6, ambient=0.42)
    theta[:, model.layout.slice("illumination")] = light
    if seed:
        generator = torch.Generator().manual_seed(seed)
        for block, spread in (("identity", 0.8), ("albedo", 0.5)):
            where = model.layout.slice(block)
            theta[:, where] = spread * torch.randn(1, where.stop - where.start, generator=generator)
    return theta


def row(model: Any) -> np.ndarray[Any, Any]:
    """The columns of one model side by side, (H, W, 3) uint8."""
    combined = combinations_of(model.layout, model)
    words = Vocabulary(model.layout, combinations=combined)
    pictures = []
    for controls, seed in COLUMNS:
        theta = person(model, seed)
        if controls:
            (request,) = words.parse(list(controls))
            theta = apply_request(words, theta, request)
        shown = model.render(theta, SIDE, SUPERSAMPLE)
        face = (shown.image[0].permute(1, 2, 0) + 1) / 2
        mask = shown.mask[0].permute(1, 2, 0)
        pictures.append((face * mask + GREY * (1 - mask)).clamp(0, 1).numpy()[WINDOW])
    return np.asarray(np.concatenate(pictures, axis=1) * 255 + 0.5, dtype=np.uint8)


def main(arguments: list[str]) -> None:
    out = Path(arguments[0])
    sheet = np.concatenate([row(model) for model in models(arguments[1] if len(arguments) > 1 else None)])
    temporary = out.with_name(f".{out.name}")
    Image.fromarray(sheet).save(temporary, format="PNG", optimize=True)
    temporary.replace(out)


if __name__ == "__main__":
    main(sys.argv[1:])
