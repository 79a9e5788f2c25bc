"""A bench in the toy world: everything exact and fast."""

from __future__ import annotations

from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

from pie_bench import methods
from pie_bench.jobs import Plan
from pie_bench.methods import Method, MethodConfig
from pie_bench.settings import BenchConfig, parse
from pie_framework.composition.schema import RunConfig
from pie_framework.composition.schema import parse as parse_run
from pie_framework.plugins import Registry, discover
from pie_framework.testing.toy_plugin import TOYS

BLOCKS = ("rotation", "expression", "illumination")


def registry() -> Registry:
    names = ("energies", "optimizers", "starts", "alignment")
    points = [EntryPoint(name=n, value=f"pie_{n}.plugin", group="pie_framework") for n in names]
    return discover(entry_points=[*points, TOYS])


def toy_run(terms: tuple[str, ...] = ("synthesis",), **changes: Any) -> RunConfig:
    tree: dict[str, Any] = {
        "terms": {name: {"term": name, "weight": 1.0} for name in terms},
        **{kind: {"name": "toy"} for kind in ("generator", "face_model", "encoder", "landmarks", "editor")},
        "rig": {block: {"name": "toy", "block": block} for block in BLOCKS},
        "features": {"perceptual": {"name": "toy"}, "recognition": {"name": "toy", "seed": 3}},
        "aligner": {"name": "none"},
        "optimizer": {"name": "adam"},
        "schedule": {
            "stages": [{"name": "w_plus", "space": "w_plus", "steps": 6, "lr": 0.05}],
            "check_every": 2,
        },
        "prior": {"pool": 2},
        "device": "cpu",
    }
    return parse_run({**tree, **changes})


def toy_bench(folder: Path, **changes: Any) -> BenchConfig:
    tree: dict[str, Any] = {
        "set": "toys",
        "methods": ["synth"],
        "portraits": 3,
        "chunk": 2,
        "pictures": 1,
        "scenes": {"name": "toy"},
        "workers": 1,
        "edits": {
            "turn": ["rotation.yaw+=10"],
            "smile": ["expression.smile=0.8"],
            "light_of_another": ["source=another", "source_blocks=[illumination]"],
        },
        "outputs": str(folder),
    }
    return parse({**tree, **changes})


def toy_method(name: str, run: RunConfig, edits: bool = True) -> Method:
    return methods.make(name, MethodConfig(f"what {name} is", [], edits), run, registry())


def toy_plan(folder: Path, *made: Method, **changes: Any) -> Plan:
    bench = toy_bench(folder, **{"methods": [method.name for method in made], **changes})
    return Plan(bench, made, toy_run())
