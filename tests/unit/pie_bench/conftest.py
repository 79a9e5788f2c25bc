"""A bench's folder with made-up rows and pictures, for the tests of its report."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from pie_bench.columns import COLUMNS
from pie_bench.results import write_rows
from pie_framework.files.io import write_json

EDITS = {
    "yaw_plus_10": ("rotation", ["rotation.yaw+=10"]),
    "smile": ("expression", ["expression.smile=0.8"]),
    "light_left": ("illumination", ["illumination.from=left"]),
}
#: Method -> how large its errors are beside those of `synth`, and its reconstruction PSNR.
METHODS = {"full": (0.25, 27.0), "synth": (1.0, 28.0), "unedited": (2.0, 28.0)}


def _row(method: str, portrait: int, edit: str, seed: int = 0) -> dict[str, Any]:
    scale, quality = METHODS[method]
    error = scale * (1.1 if portrait % 2 else 0.9)
    measures: dict[str, Any] = {}
    for name, column in COLUMNS.items():
        if name.startswith("psnr"):
            measures[name] = quality if edit == "reconstruction" else 20.0 - error
        else:
            measures[name] = 1 - 0.1 * error if column.higher else error
    measures["ssim_background"] = float("nan")
    block = EDITS[edit][0] if edit in EDITS else "none"
    about = {"method": method, "seed": seed, "portrait": portrait, "edit": edit, "block": block}
    return {**about, "seconds": 1.5 if edit in EDITS else 30.0, **measures}


@pytest.fixture
def make_row() -> Callable[..., dict[str, Any]]:
    """(method, portrait, edit, seed) -> a row; errors are 0.9 and 1.1 for even and odd portraits, times a scale."""
    return _row


@pytest.fixture
def make_bench(tmp_path: Path) -> Callable[..., Path]:
    """(methods, portraits) -> a folder with the rows of every method and the first portrait's pictures."""

    def make(methods: tuple[str, ...] = ("full", "synth"), portraits: int = 2) -> Path:
        folder = tmp_path / "bench"
        about = {
            "set": "smoke",
            "methods": {name: {"summary": f"what {name} is", "edits": True} for name in methods},
            "edits": {name: {"block": block, "controls": words} for name, (block, words) in EDITS.items()},
            "seeds": [0],
        }
        write_json(folder / "bench.json", about)
        for method in methods:
            for portrait in range(portraits):
                rows = [_row(method, portrait, edit) for edit in ("reconstruction", *EDITS)]
                write_rows(folder / "rows" / f"{method}.0.{portrait}.jsonl", rows)
        for index, of in enumerate(("truth", *(f"{name}.0" for name in methods))):
            for edit in ("reconstruction", *EDITS):
                path = folder / "pictures" / of / f"0.{edit}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.new("RGB", (16, 16), (100 + 10 * index, 100, 100)).save(path)
        return folder

    return make
