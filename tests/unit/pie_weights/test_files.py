"""The one reader and the one writer of weight files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from pie_framework.errors import AssetError
from pie_weights.files import holds, load_network, read_weights, write_weights


def test_what_is_written_is_read(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "w.safetensors"
    state = {"weight": torch.tensor([0.5, 2.0]), "count": torch.tensor(3), "phases": torch.tensor([0.1])}
    write_weights(path, "line", {"size": 2}, state, {"error": 0.5}, exact=("phases",))
    found = read_weights(path, "line")
    assert (found.architecture, found.notes) == ({"size": 2}, {"error": 0.5})
    assert {name: t.dtype for name, t in found.state.items()} == {
        "weight": torch.float16,
        "count": torch.int64,
        "phases": torch.float32,
    }
    assert torch.equal(found.state["phases"], state["phases"])
    assert [p.name for p in path.parent.iterdir()] == ["w.safetensors"]
    assert holds(path, "line") and not holds(path, "circle")


def test_files_of_earlier_releases_are_read(tmp_path: Path) -> None:
    metadata = {"kind": "line", "architecture": '{"in_features": 2, "out_features": 1}', "notes": '{"a": 1}'}
    save_file(nn.Linear(2, 1).half().state_dict(), tmp_path / "w.safetensors", metadata)
    assert read_weights(tmp_path / "w.safetensors", "line").notes == {"a": 1}
    network = load_network(tmp_path / "w.safetensors", "line", nn.Linear, torch.device("cpu"), torch.float64)
    assert network.weight.dtype == torch.float64 and not network.weight.requires_grad


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        ({}, "does not say which network"),
        ({"kind": "line"}, "does not say which network"),
        ({"kind": "line", "architecture": "[" * 100_000}, "does not say which network"),
        ({"kind": "circle", "architecture": "{}"}, "holds 'circle', not 'line'. Draw it."),
        ({"kind": "arc", "architecture": "{}"}, "holds 'arc', not 'line'. Choose another"),
        ({"pie": json.dumps({"format": "line", "version": 2, "config": {}})}, "has version 2"),
        ({"pie": json.dumps({"format": "line", "version": 1, "config": 3})}, "does not say which network"),
    ],
)
def test_other_headers_are_refused(tmp_path: Path, metadata: dict[str, str], message: str) -> None:
    save_file({"a": torch.zeros(1)}, tmp_path / "w.safetensors", metadata)
    with pytest.raises(AssetError, match=message):
        read_weights(tmp_path / "w.safetensors", "line", {"circle": "Draw it."})


def test_values_that_cannot_be_stored_are_refused(tmp_path: Path) -> None:
    with pytest.raises(AssetError, match="float16 cannot store"):
        write_weights(tmp_path / "w.safetensors", "line", {}, {"a": torch.tensor(1e6)})
    with pytest.raises(AssetError, match="not finite"):
        write_weights(tmp_path / "w.safetensors", "line", {}, {"a": torch.tensor(float("nan"))}, half=False)
    assert not list(tmp_path.iterdir())
