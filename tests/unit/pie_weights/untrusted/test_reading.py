"""Good files come back as they were written, by whichever program and protocol."""

from __future__ import annotations

import argparse
import io
import json
import pickle
import subprocess
import sys
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from pie_framework.errors import AssetError
from pie_weights.untrusted import (
    Record,
    UntrustedFileError,
    build,
    fill,
    read_any,
    read_safetensors,
    sniff,
)
from tests.unit.pie_weights.untrusted import assembly as asm
from tests.unit.pie_weights.untrusted.kinds import ADA, GOLDEN, ROSINALITY

VALUES: dict[str, Any] = {
    "none": None,
    "flags": [True, False],
    "integers": (0, 1, -1, 255, 65536, -(1 << 31), 1 << 62, -(1 << 63)),
    "floats": [0.5, -1e300, float("inf")],
    "text": "Grüße, λ 😀",
    "bytes": b"\x00\xff" * 10,
    "long": bytes(range(256)) * 40,
    "set": {1, "a"},
    "frozen": frozenset({2.5}),
    "ordered": OrderedDict([("b", 1), ("a", [])]),
    "nested": {"a": [({"b": ((),)},)]},
    "scalar": np.float32(1.5),
}


def same(found: Any, expected: Any) -> bool:
    if isinstance(found, memoryview):
        return bytes(found) == expected
    if isinstance(expected, dict):
        return list(found) == list(expected) and all(same(found[k], v) for k, v in expected.items())
    if isinstance(expected, list | tuple):
        return (
            type(found) is type(expected) and all(map(same, found, expected)) and len(found) == len(expected)
        )
    return bool(found == expected)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_values_of_every_protocol(tmp_path: Path, protocol: int) -> None:
    path = tmp_path / "x"
    path.write_bytes(pickle.dumps(VALUES, protocol))
    assert sniff(path) == "pickle"
    assert same(read_any(path), VALUES)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("dtype", ["<f4", ">f8", "i2", "u1", "?", "c8", "<U3", "S2"])
def test_arrays_of_every_protocol(tmp_path: Path, protocol: int, dtype: str) -> None:
    path = tmp_path / "x"
    array = np.arange(6).astype(dtype).reshape(2, 3)
    empty = np.zeros((0, 4), dtype)
    path.write_bytes(pickle.dumps({"a": array, "t": array.T, "again": array, "empty": empty}, protocol))
    found = read_any(path)
    for name, expected in (("a", array), ("t", array.T), ("again", array), ("empty", empty)):
        assert found[name].dtype == expected.dtype
        np.testing.assert_array_equal(found[name], expected)
    assert found["a"] is found["again"]
    found["a"][:] = found["a"]  # writable


def test_python_2_pickles(tmp_path: Path) -> None:
    """Texts of Python 2 are bytes; classes of its day are made by copy_reg."""
    path = tmp_path / "x"
    path.write_bytes(
        b"\x80\x02}q\x00(U\x01aU\x02\xe9bU\x01cccopy_reg\n_reconstructor\nq\x01(cchumpy.ch\nCh\nq\x02"
        b"c__builtin__\nobject\nq\x03Ntq\x04Rq\x05}q\x06U\x01xK\x05sbu."
    )
    found = read_any(path, allow={"chumpy.ch.Ch": None})
    assert found["a"] == "éb"
    record = found["c"]
    assert isinstance(record, Record)
    assert (record.name, record.args, record.state) == ("chumpy.ch.Ch", (), {"x": 5})
    with pytest.raises(UntrustedFileError, match=r"asks for 'chumpy\.ch\.Ch'"):
        read_any(path)


def test_records_and_handlers(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(pickle.dumps(argparse.Namespace(a=1, b=[2])))
    assert read_any(path, allow={"argparse.Namespace": None}).state == {"a": 1, "b": [2]}
    made = read_any(path, allow={"argparse.Namespace": lambda args: {"made": len(args)}})
    assert made == {"made": 0}


STATE = {
    "float32": torch.arange(12.0).reshape(3, 4),
    "transposed": torch.arange(12.0).reshape(3, 4).t(),
    "double": torch.tensor(2.5, dtype=torch.float64),
    "half": torch.ones(3, dtype=torch.float16),
    "bfloat16": torch.ones(3, dtype=torch.bfloat16),
    "long": torch.tensor([1 << 40]),
    "byte": torch.tensor([255], dtype=torch.uint8),
    "bool": torch.tensor([True, False]),
    "empty": torch.zeros(0, 3),
    "parameter": torch.nn.Parameter(torch.ones(2, 2)),
    "expanded": torch.zeros(5)[1:4],
}


@pytest.mark.parametrize("zipped", [True, False])
def test_torch_files(tmp_path: Path, zipped: bool) -> None:
    path = tmp_path / "x"
    state = {
        **STATE,
        "shared": STATE["float32"][1],
        "list": [STATE["half"], {"n": 3}],
        "large": torch.ones(1 << 20),  # more than what is read of a zip file at once
        "size": torch.Size([2, 3]),
        "d": torch.nn.Linear(2, 2),
    }
    state["d"] = state["d"].state_dict()
    torch.save(state, path, _use_new_zipfile_serialization=zipped)
    assert sniff(path) == ("torch-zip" if zipped else "torch-legacy")
    found, expected = read_any(path), torch.load(path, weights_only=True)
    assert list(found) == list(expected)
    for name in STATE:
        assert found[name].dtype == expected[name].dtype
        assert torch.equal(found[name], expected[name])
    assert found["size"] == (2, 3)
    assert torch.equal(found["large"], torch.ones(1 << 20))
    assert torch.equal(found["list"][0], expected["list"][0])
    assert torch.equal(found["d"]["weight"], expected["d"]["weight"])
    found["float32"][1] = -1.0
    assert torch.equal(found["shared"], torch.full((4,), -1.0)), "tensors share their storage"
    assert torch.equal(torch.load(path, weights_only=True)["float32"], expected["float32"]), (
        "the file is not written"
    )


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_tensors_in_plain_pickles(tmp_path: Path, protocol: int) -> None:
    path = tmp_path / "x"
    path.write_bytes(pickle.dumps(STATE, protocol))
    found = read_any(path)
    for name, tensor in STATE.items():
        assert torch.equal(found[name], tensor)


def test_safetensors(tmp_path: Path) -> None:
    path = tmp_path / "x"
    state = {k: v.detach().contiguous() for k, v in STATE.items()}
    save_file(state, path, {"note": "é"})
    assert sniff(path) == "safetensors"
    tensors, metadata = read_safetensors(path)
    assert metadata == {"note": "é"}
    assert all(torch.equal(tensors[k], v) and tensors[k].dtype == v.dtype for k, v in state.items())
    save_file({}, path)
    assert read_safetensors(path).tensors == {}


def test_sniffing_is_by_content(tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as out:
        out.writestr("a.txt", "a")
    arrays = io.BytesIO()
    np.savez(arrays, a=np.zeros(3))
    for data, kind in (
        (ADA.read_bytes(), "pickle"),
        (ROSINALITY.read_bytes(), "torch-zip"),
        (asm.legacy({}), "torch-legacy"),
        (asm.safetensors({}), "safetensors"),
        (arrays.getvalue(), "npz"),
        (archive.getvalue(), "zip"),
        (b"MATLAB 5.0 MAT-file, Platform", "mat5"),
        (b"\x89HDF\r\n\x1a\n\0", "hdf5"),
        (pickle.dumps({"a": 1}, 0), "pickle"),
        (b"text", "unknown"),
        (json.dumps({"a": 1}).encode(), "unknown"),
    ):
        path.write_bytes(data)
        assert sniff(path) == kind
    with pytest.raises(AssetError, match="does not exist"):
        sniff(tmp_path / "none")
    with pytest.raises(AssetError, match="is a folder"):
        sniff(tmp_path)


def test_another_kind_of_file_is_named() -> None:
    with pytest.raises(UntrustedFileError, match="it is a npz file"):
        read_any(GOLDEN / "stylegan2" / "ada_skip_64.npz")


def test_fill_and_build(tmp_path: Path) -> None:
    state = {"weight": torch.ones(2, 3, dtype=torch.float16), "bias": torch.zeros(2)}
    layer = torch.nn.Linear(3, 2)
    fill(layer, state, "x.pt")
    assert torch.equal(layer.weight, torch.ones(2, 3))
    fill(layer, {**state, "steps.total": torch.ones(())}, "x.pt", ignore=("steps.*",))
    assert torch.equal(build(lambda: torch.nn.Linear(3, 2), state, "x.pt").bias, torch.zeros(2))
    for change, message in (
        ({"bias": None}, "'bias' in 'x.pt' is not a tensor"),
        ({"bias": torch.zeros(3)}, r"is \(3,\), not \(2,\)"),
        ({"bias": torch.zeros(2, dtype=torch.int32)}, r"holds torch\.int32"),
        ({"bias": torch.tensor([0.0, torch.inf])}, "not finite"),
        ({"bias": torch.tensor([0.0, 1e300], dtype=torch.float64)}, "not finite"),
        ({"other": torch.zeros(2)}, "first 'other'"),
    ):
        with pytest.raises(UntrustedFileError, match=message):
            fill(layer, {**state, **change}, "x.pt")
    with pytest.raises(UntrustedFileError, match="lacks 1 tensors, first 'bias'"):
        fill(layer, {"weight": state["weight"]}, "x.pt")
    with pytest.raises(UntrustedFileError, match="has no state dict"):
        fill(layer, [], "x.pt")
    with pytest.raises(UntrustedFileError, match=r"is \(2, 3\), not"):
        build(lambda: torch.nn.Linear(1 << 24, 1 << 24), state, "x.pt")  # a petabyte, were it made


ARRAY_WITHOUT_NUMBERS = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85C\x01b\x87R"


@pytest.mark.parametrize("content", [ARRAY_WITHOUT_NUMBERS, b"]" + ARRAY_WITHOUT_NUMBERS + b"a"])
def test_an_array_that_never_gets_its_numbers(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.pkl").write_bytes(b"\x80\x02" + content + b".")
    with pytest.raises(UntrustedFileError, match="never gets its numbers"):
        read_any(tmp_path / "x.pkl")


def test_a_storage_without_a_tensor_is_its_numbers(tmp_path: Path) -> None:
    path = tmp_path / "x.pt"
    path.write_bytes(
        asm.torch_zip(asm.whole(b"}", asm.text("a"), asm.persistent_storage(2), b"s"), {"data/0": bytes(8)})
    )
    assert torch.equal(read_any(path)["a"], torch.zeros(2))


@pytest.mark.parametrize(
    "make", [nn.Linear, lambda *sizes: nn.ReLU()], ids=["layers", "modules without numbers"]
)
def test_a_number_of_a_file_drives_no_long_loop(make: Callable[..., nn.Module]) -> None:
    made = 0

    class Deep(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            for index in range(100_000):
                nonlocal made
                made += 1
                self.add_module(str(index), make(2, 2))

    with pytest.raises(UntrustedFileError, match="asks for many more parts than the file's 1 tensors"):
        build(Deep, {"weight": torch.zeros(2)}, "x.pt")
    assert made < 1000
    assert len(nn.Sequential(*(nn.ReLU() for _ in range(1000)))) == 1000, "afterwards nothing counts"


def test_importing_takes_no_torch() -> None:
    code = (
        "import sys, pie_weights.untrusted; assert 'torch' not in sys.modules and 'numpy' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
