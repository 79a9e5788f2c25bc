"""Every setting of a chosen component may be given and is there, whatever chose the component."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest
from omegaconf import DictConfig, OmegaConf

from pie_framework.api import Component, Kind
from pie_framework.composition.components import complete, opened
from pie_framework.errors import ConfigError, PieError
from pie_framework.hookspecs import hookimpl
from pie_framework.plugins import Registry, discover


class Colour(enum.Enum):
    RED = 1


@dataclass(frozen=True)
class Inner:
    depth: int = 2
    width: int = 3


@dataclass(frozen=True)
class Settings:
    weights: str = ""
    level: float = 0.5
    sizes: tuple[int, ...] = (1, 2)
    inner: Inner = field(default_factory=Inner)
    colour: Colour = Colour.RED
    folder: Path = Path("here")


@dataclass(frozen=True)
class Named:
    name: str = "Adam"
    parameters: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Strict:
    path: str
    amount: int = 1

    def __post_init__(self) -> None:
        raise AssertionError("settings of what a run may not need are not made")


@dataclass(frozen=True)
class Broken:
    what: Gone = 1  # type: ignore[name-defined]  # noqa: F821


DEFAULTS = {
    "weights": "",
    "level": 0.5,
    "sizes": [1, 2],
    "inner": {"depth": 2, "width": 3},
    "colour": "RED",
    "folder": "here",
}


@hookimpl
def pie_components() -> list[Component]:
    return [
        Component(kind, name, "nowhere:nothing", schema, api_version=(1, 1))
        for kind, name, schema in (
            (Kind.GENERATOR, "mine", Settings),
            (Kind.GENERATOR, "other", Strict),
            (Kind.OPTIMIZER, "torch", Named),
            (Kind.RIG, "mine", Settings),
            (Kind.FEATURES, "mine", Settings),
            (Kind.ENERGY, "mine", Settings),
            (Kind.SCENES, "mine", Settings),
            (Kind.ENCODER, "mine", Settings),
            (Kind.ENCODER, "broken", Broken),
        )
    ]


@pytest.fixture(scope="module")
def registry() -> Registry:
    """This module is the plugin."""
    return discover(entry_points=[EntryPoint(name="mine", value=__name__, group="pie_framework")])


def completed(registry: Registry, values: Any, *overrides: str, before: Any = None) -> dict[str, Any]:
    config = OmegaConf.create(values)
    OmegaConf.set_struct(config, True)  # as Hydra gives it

    def composed(words: Sequence[str]) -> DictConfig:
        assert before is not None, "it was composed again for nothing"
        return OmegaConf.create(before)

    complete(config, registry, overrides, composed)
    plain = OmegaConf.to_container(config)
    assert isinstance(plain, dict)
    return {str(key): value for key, value in plain.items()}


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("generator.weights=x", "++generator.weights=x"),
        ("generator.weights=a,b", "++generator.weights=a,b"),
        ("features.recognition.seed=3", "++features.recognition.seed=3"),
        ("optimizer.parameters.betas=[0.9,0.95]", "++optimizer.parameters.betas=[0.9,0.95]"),
        ("terms.mine.options.level=2", "++terms.mine.options.level=2"),
        ("scenes.hair=false", "++scenes.hair=false"),
        ("generator=mine", "generator=mine"),
        ("features/recognition=mine", "features/recognition=mine"),
        ("term@terms.a.b=mine", "term@terms.a.b=mine"),
        ("generator@my.place=mine", "generator@my.place=mine"),
        ("terms.mine=3", "terms.mine=3"),
        ("terms.mine.weight=3", "++terms.mine.weight=3"),
        ("terms.mine.weight.w=3", "++terms.mine.weight.w=3"),
        ("terms.mine.parts.l3=1", "terms.mine.parts.l3=1"),
        ("terms.mine.term=edit", "terms.mine.term=edit"),
        ("rig.rotation.name=mine", "++rig.rotation.name=mine"),
        ("rig.name=mine", "rig.name=mine"),
        ("features.weights=x", "features.weights=x"),
        ("schedule.check_every=3", "schedule.check_every=3"),
        ("+generator.weights=x", "+generator.weights=x"),
        ("~generator.weights", "~generator.weights"),
        ("generators.weights=x", "generators.weights=x"),
        ("outputs=generator.weights=x", "outputs=generator.weights=x"),
        ("-m", "-m"),
    ],
)
def test_only_overrides_of_settings_may_add_a_key(word: str, expected: str) -> None:
    assert opened([word]) == [expected]


@pytest.mark.parametrize(
    ("values", "key"),
    [
        ({"generator": {"name": "mine"}}, "generator"),
        ({"generator": "mine"}, "generator"),
        ({"rig": {"rotation": {"name": "mine"}}}, "rig.rotation"),
        ({"features": {"any": "mine"}}, "features.any"),
        ({"scenes": {"name": "mine"}}, "scenes"),
        ({"judge": {"name": "mine"}}, "judge"),
    ],
)
def test_a_name_alone_gets_all_settings(registry: Registry, values: Any, key: str) -> None:
    found = OmegaConf.select(OmegaConf.create(completed(registry, values)), key)
    assert found == {"name": "mine", **DEFAULTS}


def test_what_is_given_stays_and_groups_are_filled(registry: Registry) -> None:
    given = {"name": "mine", "level": 2, "sizes": [7], "inner": {"depth": 9}, "weights": "${outputs}/w"}
    found = completed(registry, {"outputs": "o", "generator": given})["generator"]
    assert found == {
        **DEFAULTS,
        **given,
        "inner": {"depth": 9, "width": 3},
    }


def test_a_term_gets_the_settings_of_its_component(registry: Registry) -> None:
    values = {"terms": {"a": {"term": "mine", "weight": 0}, "b": {"term": "mine", "options": {"level": 3}}}}
    terms = completed(registry, values)["terms"]
    assert terms["a"] == {"term": "mine", "weight": 0, "options": DEFAULTS}
    assert terms["b"]["options"] == {**DEFAULTS, "level": 3}


def test_a_setting_called_name_is_not_the_components_name(registry: Registry) -> None:
    given = {"component": "torch", "name": "NAdam"}
    assert completed(registry, {"optimizer": given})["optimizer"] == {**given, "parameters": {}}
    expected = {"component": "torch", "name": "Adam", "parameters": {}}
    assert completed(registry, {"optimizer": "torch"})["optimizer"] == expected
    assert completed(registry, {"optimizer": {"name": "torch"}})["optimizer"] == expected


def test_what_must_be_given_is_shown_and_not_asked_for(registry: Registry) -> None:
    assert completed(registry, {"generator": "other"})["generator"] == {
        "name": "other",
        "path": "???",
        "amount": 1,
    }
    given = {"name": "mine", "weights": "???"}
    assert completed(registry, {"generator": given})["generator"]["weights"] == "???"


@pytest.mark.parametrize("node", [None, {}, 3, [1], {"name": "unknown", "x": 1}, {"name": "none"}])
def test_what_chooses_nothing_that_is_known_is_left_alone(registry: Registry, node: Any) -> None:
    assert completed(registry, {"generator": node, "terms": node})["generator"] == node


def test_a_dataclass_that_cannot_be_read_is_told_of(
    registry: Registry, caplog: pytest.LogCaptureFixture
) -> None:
    node = {"name": "broken", "what": 3}
    assert completed(registry, {"encoder": node})["encoder"] == node
    (said,) = caplog.messages
    assert said.startswith(
        "the encoder 'broken' of unknown distribution unknown version: the settings Broken"
    )
    assert "name 'Gone' is not defined" in said and "\n" not in said


@pytest.mark.parametrize(
    ("values", "overrides", "said"),
    [
        ({"generator": {"name": "mine", "wieghts": 1}}, [], "no setting 'generator.wieghts'. Did you mean 'weights'"),
        ({"generator": {"name": "other", "amuont": 1}}, [], "no setting 'generator.amuont'. Did you mean 'amount'"),
        ({"generator": {"name": "mine", "level": "x"}}, [], "generator.level: 'x' is not a number"),
        ({"generator": {"name": "mine", "inner": {"dept": 1}}}, [], "'generator.inner.dept'. Did you mean 'depth'"),
        ({"generator": {"name": "mine", "inner": 3}}, [], "generator.inner: 3 is not a group of settings"),
        ({"generator": {"name": "mine", "level": "${no}"}}, [], "generator.level: Interpolation key 'no' not found"),
        ({"rig": {"a": {"name": "mine", "x": 1}}}, [], "no setting 'rig.a.x'"),
        ({"terms": {"a": {"term": "mine", "weight": 0, "options": {"x": 1}}}}, [], "no setting 'terms.a.options.x'"),
        ({"features": {"recognition": {"name": "mine"}, "recogniton": {"level": 1}}}, [],
         "no setting 'features.recogniton'. Did you mean 'recognition'"),
        ({"features": {"a": {"level": 1}}}, [], "features.a does not say which component it is. Give features.a.name="),
        ({"generator": {"weights": "x"}}, [], "generator does not say which component it is"),
        ({"inverter": {"name": "none", "weights": "x"}}, [], "no setting 'inverter.weights': inverter is none"),
        ({"terms": {"edit": {"term": "mine"}, "edt": {"weight": 1}}}, ["++terms.edt.weight=1"],
         "no setting 'terms.edt'. Did you mean 'edit'"),
        ({"terms": {"edit": {"term": "mine"}, "edt": {"weight": 1}}}, [], "terms.edt.term must be given"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_one_line(registry: Registry, values: Any, overrides: list[str], said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        completed(registry, values, *overrides)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


ROTATION = {"rotation": {"name": "mine"}}
RECOGNITION = {"recognition": {"name": "mine"}}


@pytest.mark.parametrize(
    ("values", "overrides", "before", "said"),
    [
        ({"rig": {**ROTATION, "rotaton": {"name": "mine"}}}, ["rig.rotaton.name=mine"], {"rig": ROTATION},
         "no setting 'rig.rotaton': the run has no block 'rotaton'. Did you mean 'rotation'?"),
        ({"rig": {**ROTATION, "rotaton": {"level": 1}}}, ["rig.rotaton.level=1"], None,
         "no setting 'rig.rotaton': the run has no block 'rotaton'. Did you mean 'rotation'?"),
        ({"rig": {**ROTATION, "name": "mine"}}, ["+rig.name=mine"], {"rig": ROTATION},
         "no setting 'rig.name': the run has no block 'name'. Give rig.BLOCK.name=NAME."),
        ({"rig": {"rotation": {"level": 1}}}, ["rig.rotation.level=1"], None, "Give rig.rotation.name=NAME."),
        ({"features": {**RECOGNITION, "recogniton": {"name": "mine"}}}, ["features.recogniton.name=mine"],
         {"features": RECOGNITION}, "no setting 'features.recogniton'. Did you mean 'recognition'?"),
        ({"features": {**RECOGNITION, "recogniton": {"name": "mine"}}}, ["++features.recogniton.name=mine"],
         {"features": RECOGNITION}, "no setting 'features.recogniton'. Did you mean 'recognition'?"),
        ({"features": {**RECOGNITION, "depth": {"level": 1}}}, ["features.depth.level=1"], None,
         "no setting 'features.depth'. Known: recognition. A role is added with +features.depth.name=NAME."),
        ({"seed": 0, "generator": {"name": "mine"}, "scenes": {"size": 64}}, ["scenes.size=64"], None,
         "no setting 'scenes'. Did you mean 'seed'?"),
        ({"scenes": {"name": "mine"}, "generator": {"level": 1}}, ["generator.level=1"], None,
         "no setting 'generator'. Known: blocks, scenes."),
        ({"generator": {"name": "mine"}, "encoder": {"level": 1}}, ["encoder.level=1"], None,
         "encoder does not say which component it is. Give encoder.name=NAME."),
        ({"encoder": {"name": "mind"}}, ["encoder.name=mind"], {"encoder": {"name": "mine"}},
         "there is no encoder named 'mind'. Did you mean 'mine'?"),
        ({"terms": {"a": {"term": "mind", "weight": 0}}}, ["terms.a.term=mind"], None,
         "there is no energy named 'mind'. Did you mean 'mine'?"),
    ],
)  # fmt: skip
def test_what_overrides_give_must_have_its_place(
    registry: Registry, values: Any, overrides: list[str], before: Any, said: str
) -> None:
    with pytest.raises(PieError) as caught:
        completed(registry, {"blocks": ["rotation"], **values}, *overrides, before=before)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("values", "overrides", "before"),
    [
        ({"rig": ROTATION}, ["rig.rotation.name=mine"], {"rig": {}}),
        ({"rig": {"rotation": {"name": "mine", "level": 2}}}, ["rig.rotation.level=2"], None),
        ({"rig": {"light": {"name": "mine"}}}, ["rig.light.name=mine"], {"rig": {"light": {"name": "other"}}}),
        ({"features": {"depth": {"name": "mine"}}}, ["+features.depth.name=mine"], {"features": {}}),
        ({"features": {"depth": {"name": "mine", "level": 2}}},
         ["+features.depth.name=mine", "features.depth.level=2"], {"features": {"depth": {"level": 2}}}),
        ({"features": RECOGNITION}, ["features.recognition.name=mine"], {"features": RECOGNITION}),
    ],
)  # fmt: skip
def test_what_has_its_place_is_taken(
    registry: Registry, values: Any, overrides: list[str], before: Any
) -> None:
    found = completed(registry, {"blocks": ["rotation"], **values}, *overrides, before=before)
    ((kind, nodes),) = [(kind, nodes) for kind, nodes in found.items() if kind != "blocks"]
    (role,) = nodes
    assert nodes[role] == {**DEFAULTS, **values[kind][role]}


def test_a_component_chosen_by_name_has_none_of_another_s_settings(registry: Registry) -> None:
    option = {"generator": {"name": "old", "weights": "old.pt", "old_setting": 3, "level": 1}}
    config = {"generator": {**option["generator"], "name": "mine", "level": 2}}
    words = ["generator.name=mine", "generator.level=2"]
    found = completed(registry, config, *words, before=option)
    assert found["generator"] == {"name": "mine", **DEFAULTS, "level": 2}


def test_the_name_that_was_chosen_anyway_changes_nothing(registry: Registry) -> None:
    option = {"generator": {"name": "mine", "weights": "w.pt"}}
    found = completed(registry, option, "++generator.name=mine", before=option)
    assert found["generator"] == {"name": "mine", **DEFAULTS, "weights": "w.pt"}
    torch = {"optimizer": {"component": "torch", "name": "NAdam", "parameters": {"a": 1}}}
    before = {"optimizer": {"component": "torch", "name": "Adam", "parameters": {"a": 1}}}
    assert completed(registry, torch, "optimizer.name=NAdam", before=before) == torch
