"""`pie convert`: what it says, what it writes, and what it leaves alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from pie_assets.convert import find
from pie_framework.cli.main import main
from pie_framework.plugins import discover
from pie_stylegan.io import load_generator
from pie_weights.untrusted import read_safetensors
from tests.unit.pie_weights.untrusted.calls import CALLS
from tests.unit.pie_weights.untrusted.kinds import ADA, GOLDEN

FILES = (
    "stylegan2/ada_skip_64.pkl",
    "stylegan2/ada_fp16clamp_32.pkl",
    "stylegan3/sg2_from_sg3repo_64.pkl",
    "rosinality/ros_16.pt",
)


@pytest.mark.parametrize("name", FILES)
def test_the_converted_file_gives_the_same_images(tmp_path: Path, name: str, capsys: Any) -> None:
    out = tmp_path / "deeper" / "out.safetensors"
    assert main(["convert", str(GOLDEN / name), str(out)]) == 0
    said = capsys.readouterr().out
    first, second = load_generator(GOLDEN / name), load_generator(out)
    latent = first.sample(2, torch.Generator().manual_seed(0))
    for weight, value in first.state_dict().items():
        assert torch.equal(second.state_dict()[weight], value), weight
    torch.testing.assert_close(second.synthesize(latent), first.synthesize(latent), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(second.mean_latent(), first.mean_latent())
    assert f"{first.resolution} px" in said and "float32, written as float32" in said
    assert f"{sum(t.numel() for t in first.state_dict().values()):,}" in said
    assert f"generator=stylegan2 generator.weights={out}" in said
    assert [p.name for p in out.parent.iterdir()] == [out.name]
    header = json.loads(read_safetensors(out).metadata["pie"])
    assert header["notes"]["source"] in said


def test_half_stores_float16(tmp_path: Path, capsys: Any) -> None:
    out = tmp_path / "out.safetensors"
    assert main(["convert", str(ADA), str(out), "half=true"]) == 0
    assert {t.dtype for t in read_safetensors(out).tensors.values()} == {torch.float16}
    assert "written as float16" in capsys.readouterr().out


def test_nothing_is_written_over_without_being_asked(tmp_path: Path, capsys: Any) -> None:
    out = tmp_path / "out.safetensors"
    out.write_text("mine")
    assert main(["convert", str(ADA), str(out)]) == 2
    assert "is already there" in capsys.readouterr().err
    assert out.read_text() == "mine"
    assert main(["convert", str(ADA), str(out), "force=true"]) == 0
    assert main(["convert", str(out), str(out), "force=true"]) == 2
    assert "is the file to read" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["IN"], "required: OUT"),
        (["IN", "out.pkl"], r"does not end in .safetensors"),
        (["missing.pkl", "OUT"], "missing.pkl"),
        (["IN", "OUT", "half=maybe"], "'maybe' is neither true nor false"),
        (["IN", "OUT", "halve=true"], "unrecognized arguments: halve=true"),
        (["TEXT", "OUT"], "is not in a format that is read here"),
        (["NPZ", "OUT"], "is a npz file that no converter knows"),
        (["EVIL", "OUT"], "asks for 'os.system'"),
    ],
)
def test_mistakes_are_one_line(tmp_path: Path, words: list[str], said: str, capsys: Any) -> None:
    marker = tmp_path / "marker"
    names = {
        "IN": ADA,
        "OUT": tmp_path / "out.safetensors",
        "TEXT": Path(__file__),
        "NPZ": GOLDEN / "stylegan2" / "ada_skip_64.npz",
        "EVIL": tmp_path / "evil.pkl",
    }
    names["EVIL"].write_bytes(CALLS[0].make(f"touch {marker}"))
    assert main(["convert", *(str(names.get(word, word)) for word in words)]) == 2
    error = capsys.readouterr().err
    assert said in error and error.startswith("pie: error: ") and error.count("\n") == 1
    assert not (tmp_path / "out.safetensors").exists() and not marker.exists()


def test_help_lists_the_converters(capsys: Any) -> None:
    assert main(["convert", "--help"]) == 0
    said = capsys.readouterr().out
    assert "half=true" in said and "stylegan2 " in said


BROKEN = """
from pie_framework.api import Component, Kind
from pie_framework.hookspecs import hookimpl

@hookimpl
def pie_components():
    return [
        Component(Kind.CONVERTER, "a_crash", "broken_plugin:crash", api_version=(1, 1)),
        Component(Kind.CONVERTER, "an_absence", "broken_plugin:nothing", api_version=(1, 1)),
    ]

def crash(path, kind):
    raise SystemExit(0)
"""


def test_a_broken_converter_is_named_and_the_others_go_on(install: Any, capsys: Any) -> None:
    install("broken-dist", {"broken": "broken_plugin"}, {"broken_plugin.py": BROKEN})
    assert find(ADA, discover()).format
    said = capsys.readouterr().err.splitlines()
    assert [line.partition("-dist 1.2.3 ")[2][:20] for line in said] == [
        "failed: it exits (0)",
        "cannot be loaded fro",
    ]
    assert all(line.startswith("pie: warning: the converter 'a") for line in said)
