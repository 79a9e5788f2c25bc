"""Settings, edits and methods of a bench: composed, checked, with the near names when one is wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pie_bench import methods, settings
from pie_bench.world import parse_edits
from pie_facemodels.procedural.model import ProceduralFaceModel
from pie_framework.errors import ConfigError
from pie_framework.plugins import discover

from .toy_world import toy_bench, toy_method, toy_run

LAYOUT = ProceduralFaceModel().layout
CONF = Path(__file__).parents[3] / "plugins" / "pie_bench" / "conf"
METHODS = sorted(path.stem for path in (CONF / "method").glob("*.yaml"))


@pytest.mark.parametrize("name", ["smoke", "full"])
def test_sets_name_methods_and_edits_that_exist(name: str) -> None:
    bench = settings.load([f"set={name}"], discover())
    assert bench.set == name
    assert bench.outputs == f"outputs/bench_{name}"
    assert set(bench.methods) <= set(METHODS)
    requests = parse_edits(bench.edits, LAYOUT)
    assert {request.blocks[0] for request in requests.values()} == {"rotation", "expression", "illumination"}


def test_the_full_set_has_every_method_and_kind_of_edit() -> None:
    bench = settings.load(["set=full"], discover())
    assert set(bench.methods) == set(METHODS)
    assert len(bench.edits) == 16
    blocks = [request.blocks[0] for request in parse_edits(bench.edits, LAYOUT).values()]
    assert {block: blocks.count(block) for block in blocks} == {
        "rotation": 5,
        "expression": 6,
        "illumination": 5,
    }


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("set=ful", "the group 'set' has no option 'ful'. Did you mean 'full'?"),
        ("portrait=3", "there is no setting 'portrait'. Did you mean 'portraits'"),
        ("portraits=0", "portraits: 0 is too small"),
        ("portraits=many", "portraits: 'many' is not a whole number"),
        ("methods=[full,full]", "methods: 'full' is there twice"),
        ("seeds=[]", "seeds is empty"),
        ("+edits.reconstruction=['rotation.yaw=1']", "cannot be the name of an edit"),
    ],
)
def test_wrong_settings_are_explained(override: str, said: str) -> None:
    with pytest.raises(ConfigError) as error:
        settings.load([override], discover())
    assert said in str(error.value)


@pytest.mark.parametrize(
    ("controls", "said"),
    [
        (["expression.smil=1"], "Did you mean 'expression.smile'"),
        (["rotation.yaw=-5:5:3"], "is a sweep"),
        (["rotation.yaw=5", "expression.smile=1"], "touches rotation and expression"),
        (["source=photo.jpg", "source_blocks=[rotation]"], "It can only be source=another."),
    ],
)
def test_wrong_edits_are_explained(controls: list[str], said: str) -> None:
    with pytest.raises(ConfigError) as error:
        parse_edits({"wrong": controls}, LAYOUT)
    assert str(error.value).startswith("edits.wrong")
    assert said in str(error.value)


def test_a_method_that_does_not_exist_or_compose_is_named(tmp_path: Path) -> None:
    registry = discover()
    with pytest.raises(ConfigError, match=r"no option 'synt'\. Did you mean 'synth'"):
        methods.load(toy_bench(tmp_path, methods=["synt"]), registry)
    with pytest.raises(ConfigError, match="the method 'synth': there is no setting 'sed'"):
        methods.load(toy_bench(tmp_path, methods=["synth"], overrides=["sed=1"]), registry)


def test_missing_weights_are_found_before_anything_runs(tmp_path: Path) -> None:
    overrides = ["generator.weights=pkg://pie_synthetic/weights/gone.safetensors"]
    with pytest.raises(
        ConfigError, match=r"the method 'synth': the asset 'pkg://.*gone\.safetensors' does not"
    ):
        methods.load(toy_bench(tmp_path, methods=["synth"], overrides=overrides), discover())


def test_a_plugin_adds_a_method(install: Any, tmp_path: Path) -> None:
    from hydra.core.global_hydra import GlobalHydra

    body = """
from pie_framework.hookspecs import hookimpl

@hookimpl
def pie_config_paths():
    return ["mine.conf"]
"""
    method = "summary: Mine\noverrides: [energy=synth, init=mean, seed=3]\n"
    files = {"mine/__init__.py": "", "mine/plugin.py": body, "mine/conf/method/mine.yaml": method}
    install("mine", {"mine": "mine.plugin"}, files)
    GlobalHydra.instance().clear()
    (found,) = methods.load(toy_bench(tmp_path, methods=["mine"]), discover())
    assert (found.name, found.summary, found.run.seed) == ("mine", "Mine", 3)
    assert list(found.run.terms) == ["synthesis"]


def test_methods_share_embeddings_exactly_when_only_their_edits_differ() -> None:
    synth = toy_method("synth", toy_run())
    once = toy_method("once", toy_run(edit={"corrections": 0}))
    unedited = toy_method("unedited", toy_run(), edits=False)
    more = toy_method("more", toy_run(("synthesis", "identity")))
    longer = toy_method("longer", toy_run(init="nearest"))
    assert synth.embedding == once.embedding == unedited.embedding
    assert len({synth.embedding, more.embedding, longer.embedding}) == 3
    assert len({m.fingerprint for m in (synth, once, unedited, more, longer)}) == 5
    assert toy_method("same", toy_run(seed=4, outputs="elsewhere")).fingerprint == synth.fingerprint
