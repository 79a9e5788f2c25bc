"""Writing is atomic: what was there stays until the new file is whole."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from pie_framework.errors import RunError
from pie_framework.files.io import (
    atomic_path,
    load_tensors,
    read_csv,
    read_json,
    save_png,
    save_tensors,
    to_pil,
    write_csv,
    write_json,
    write_text,
)


def test_a_failing_write_leaves_the_old_file(tmp_path: Path) -> None:
    file = tmp_path / "a.txt"
    write_text(file, "old")

    def fail() -> None:
        with atomic_path(file) as temporary:
            temporary.write_text("half")
            raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        fail()
    assert file.read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]


def test_a_folder_that_cannot_be_written_to(tmp_path: Path) -> None:
    write_text(tmp_path / "file", "x")
    with pytest.raises(RunError, match="cannot write"):
        write_text(tmp_path / "file" / "b.txt", "y")


def test_json_holds_only_what_json_has(tmp_path: Path) -> None:
    file = tmp_path / "deep" / "a.json"
    value = {
        "nan": float("nan"),
        "path": Path("x"),
        "pair": (1, 2),
        3: np.float32(0.5),
        "t": torch.ones(2),
        "b": True,
    }
    write_json(file, value)
    assert json.loads(file.read_text()) == {
        "nan": None,
        "path": "x",
        "pair": [1, 2],
        "3": 0.5,
        "t": [1.0, 1.0],
        "b": True,
    }
    assert read_json(file)["pair"] == [1, 2]


def test_json_errors_name_file_and_line(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="no file"):
        read_json(tmp_path / "none.json")
    (tmp_path / "bad.json").write_text('{\n"a": ,}')
    with pytest.raises(RunError, match=r"bad\.json.*line 2"):
        read_json(tmp_path / "bad.json")


def test_csv_round_trip(tmp_path: Path) -> None:
    write_csv(tmp_path / "a.csv", ["x", "y"], [{"x": 1, "y": "a,b"}, {"x": 2}])
    assert read_csv(tmp_path / "a.csv") == [{"x": "1", "y": "a,b"}, {"x": "2", "y": ""}]


def test_tensors_keep_bits_and_metadata(tmp_path: Path) -> None:
    tensors = {"a": torch.randn(3, 2, generator=torch.Generator().manual_seed(1)).T, "b": torch.tensor([7])}
    save_tensors(tmp_path / "a.safetensors", tensors, {"k": "v"})
    loaded, metadata = load_tensors(tmp_path / "a.safetensors")
    assert metadata == {"k": "v"}
    assert all(torch.equal(loaded[name], tensors[name]) for name in tensors)
    (tmp_path / "b.safetensors").write_bytes(b"not tensors")
    with pytest.raises(RunError, match="damaged"):
        load_tensors(tmp_path / "b.safetensors")


def test_pictures(tmp_path: Path) -> None:
    image = torch.tensor([-1.0, 1.0, 0.0]).reshape(1, 3, 1, 1).expand(1, 3, 2, 5)
    picture = to_pil(image)
    assert picture.size == (5, 2)
    assert picture.getpixel((0, 0)) in ((0, 255, 127), (0, 255, 128))
    assert to_pil(torch.full((3, 1, 1), float("nan"))).getpixel((0, 0)) == (0, 0, 0)
    assert to_pil(torch.full((3, 1, 1), 9.0)).getpixel((0, 0)) == (255, 255, 255)
    with pytest.raises(ValueError, match="batch of 2"):
        to_pil(torch.zeros(2, 3, 1, 1))
    save_png(tmp_path / "a.png", image)
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
