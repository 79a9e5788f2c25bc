"""The bundled examples: they are what their recipe makes, and their record is true."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from pie_framework.assets import resolve
from pie_synthetic import examples
from pie_synthetic.dataset import WORLD_VERSION
from pie_synthetic.portrait import render_portraits


def test_record_names_the_pictures_and_their_parameters() -> None:
    record = json.loads((examples.FOLDER / "portraits.json").read_text(encoding="utf-8"))
    assert (record["seed"], record["world_version"]) == (examples.SEED, WORLD_VERSION)
    assert [entry["person"] for entry in record["portraits"]] == list(examples.PERSONS)
    for number, entry in enumerate(record["portraits"]):
        path = resolve(f"pkg://pie_synthetic/examples/portrait_{number}.png")
        assert path.name == entry["file"]
        with Image.open(path) as picture:
            assert (picture.mode, picture.size) == ("RGB", (record["size"], record["size"]))


def test_the_recipe_makes_the_first_example_again() -> None:
    record = json.loads((examples.FOLDER / "portraits.json").read_text(encoding="utf-8"))
    portraits = render_portraits([examples.example_scene(examples.PERSONS[0])], size=record["size"])
    theta = torch.tensor(record["portraits"][0]["theta"])
    torch.testing.assert_close(portraits.theta[0], theta, rtol=0, atol=1e-5)
    with Image.open(examples.FOLDER / "portrait_0.png") as picture:
        bundled = np.asarray(picture).astype(np.float32)
    made = (portraits.images[0].permute(1, 2, 0).numpy() + 1.0) * 127.5
    assert np.abs(made - bundled).mean() < 1.0


def test_command_line(tmp_path: Path) -> None:
    assert examples.main([str(tmp_path / "made"), "--size", "16"]) == 0
    record = json.loads((tmp_path / "made" / "portraits.json").read_text(encoding="utf-8"))
    assert record["size"] == 16
    names = sorted(path.name for path in (tmp_path / "made").iterdir())
    assert names == [*(entry["file"] for entry in record["portraits"]), "portraits.json"]
