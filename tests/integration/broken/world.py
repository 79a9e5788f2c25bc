"""The toy world as an installed distribution with its configuration, and one broken plugin beside it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
from PIL import Image

from pie_framework.cli.main import main

Install = Callable[..., Path]

BLOCKS = ("rotation", "expression", "illumination")
ONE = ("generator", "face_model", "encoder", "landmarks", "editor", "inverter")

#: A configuration of the toy world: `+world=toy`.
CONF: dict[str, str] = {
    **{f"conf/{kind}/toy.yaml": "name: toy\n" for kind in ONE},
    "conf/rig/toy.yaml": "".join(f"{block}: {{name: toy, block: {block}}}\n" for block in BLOCKS),
    "conf/features/toy.yaml": "perceptual: {name: toy}\nrecognition: {name: toy, seed: 3}\n",
    "conf/schedule/toy.yaml": (
        "stages:\n"
        "  - {name: w, space: w, steps: 8, lr: 0.05}\n"
        "  - {name: w_plus, space: w_plus, steps: 4, lr: 0.02}\n"
        "check_every: 4\n"
    ),
    "conf/edit/toy.yaml": "requests: {turn: [rotation.yaw=10]}\ncorrections: 0\n",
    "conf/world/toy.yaml": "\n".join(
        [
            "# @package _global_",
            "defaults:",
            *(f"  - override /{group}: toy" for group in (*ONE, "rig", "features", "schedule", "edit")),
            "  - override /aligner: none",
            "  - override /init: mean",
            "  - _self_",
            "device: cpu",
            "prior: {pool: 2}",
            "",
        ]
    ),
}

HEADER = """
from dataclasses import dataclass
from pie_framework.api import Command, Component, Kind
from pie_framework.hookspecs import hookimpl
"""


@dataclass(frozen=True)
class Case:
    """One broken plugin.

    Attributes:
        kind: of the component, or "plugin" for what is wrong with the plugin itself.
        fault: what is wrong, in a few words.
        files: of the distribution `odd-dist`; its entry point is `odd.plugin`.
        words: of the command line, behind `pie`; a run of the toy world where none are given.
        status: the exit status.
        said: a fragment of what is printed on the error stream.
        kept: outcome of the run that is kept; "" where no run is.
    """

    kind: str
    fault: str
    files: Mapping[str, str]
    words: tuple[str, ...] = ()
    status: int = 1
    said: str = ""
    kept: str = ""


@dataclass
class Result:
    """What came of a case.

    Attributes:
        status: the exit status.
        out, err: what was printed.
        outcome: of the run that is kept, "" where none is.
        message: in its run.json.
        latent: whether a latent is kept.
    """

    status: int
    out: str
    err: str
    outcome: str = ""
    message: str = ""
    latent: bool = False


RUN = ("run", "+world=toy", "energy=synth")


def execute(case: Case, install: Install, folder: Path, capsys: pytest.CaptureFixture[str]) -> Result:
    """Install the toy world and the broken plugin, and run the case's command in this process."""
    install(
        "toy-world",
        {"toys": "pie_framework.testing.toy_plugin", "toyconf": "toy_conf.plugin"},
        {
            "toy_conf/__init__.py": "",
            "toy_conf/plugin.py": HEADER
            + '\n\n@hookimpl\ndef pie_config_paths():\n    return ["toy_conf.conf"]\n',
            **{f"toy_conf/{name}": text for name, text in CONF.items()},
        },
    )
    install("odd-dist", {"odd": "odd.plugin"}, {"odd/__init__.py": "", **case.files}, version="1.0")
    Image.new("RGB", (16, 16), "gray").save(folder / "photo.png")
    outputs = folder / "outputs"
    words = [word.replace("OUTPUTS", str(outputs)) for word in case.words or RUN]
    if words[0] == "run" and not any(word.startswith("--") for word in words):
        words += [f"input={folder / 'photo.png'}", f"outputs={outputs}"]
    capsys.readouterr()
    status = main(words)
    shown = capsys.readouterr()
    result = Result(status, shown.out, shown.err)
    for path in sorted(outputs.iterdir()) if outputs.is_dir() else []:
        manifest = json.loads((path / "run.json").read_text(encoding="utf-8"))
        result.outcome, result.message = manifest["outcome"], manifest["message"]
        result.latent = (path / "latent.safetensors").is_file()
    return result
