"""What a configuration composes to, and what a person is told when it is wrong."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
from hydra import compose as hydra_compose
from omegaconf import DictConfig, OmegaConf, flag_override

from pie_framework.composition.compose import CONFIG_NAME, compose, initialised, prepare
from pie_framework.composition.schema import RunConfig, TermConfig, parse
from pie_framework.errors import ConfigError
from pie_framework.plugins import Registry, discover

CONF = Path(__file__).parents[3] / "conf"
#: Every group's options, by the folders.
OPTIONS: dict[str, list[str]] = {}
for _file in sorted(CONF.glob("*/**/*.yaml")):
    OPTIONS.setdefault(_file.parent.relative_to(CONF).as_posix(), []).append(_file.stem)
#: Groups that are composed by themselves: experiments, which choose in the other groups.
ALONE = {"experiment": CONFIG_NAME}
#: The others are composed together, the first options of all, then the second ones, ...: each option once.
TOGETHER = [
    {group: options[i] for group, options in OPTIONS.items() if i < len(options) and group not in ALONE}
    for i in range(max(map(len, OPTIONS.values())))
]
#: How a group is chosen, and where its option is then found, where that is not under the group's own name.
KEYS = {"term": ("+term@terms.chosen", "terms.chosen")}
FIVE = ["synthesis", "identity", "edit", "invariance", "recognition"]


@pytest.fixture(scope="module")
def registry() -> Registry:
    return discover({})


def composed(registry: Registry, *overrides: str) -> RunConfig:
    return parse(compose(overrides, registry))


def test_the_default_is_the_main_command(registry: Registry):
    default, main = composed(registry), composed(registry, "energy=full", "generator=stylegan2")
    assert default == main
    assert list(default.terms) == FIVE
    assert default.components["generator"]["name"] == "stylegan2"
    assert default.blocks == ["rotation", "expression", "illumination"]
    assert [stage.name for stage in default.schedule.stages] == ["w", "w_plus"]


@pytest.mark.parametrize("term", FIVE)
def test_full_without_each_term(registry: Registry, term: str):
    name = "synth" if term == "synthesis" else term
    run = composed(registry, f"energy=full_no_{name}")
    assert list(run.terms) == [other for other in FIVE if other != term]


def test_synth_is_the_first_term_alone(registry: Registry):
    assert list(composed(registry, "energy=synth").terms) == ["synthesis"]


def test_the_papers_schedule(registry: Registry):
    run = composed(registry, "schedule=paper")
    assert [stage.steps for stage in run.schedule.stages] == [2000, 1000]
    assert [stage.space for stage in run.schedule.stages] == ["w", "w_plus"]
    assert run.components["optimizer"]["name"] == "adadelta"
    assert composed(registry, "schedule=paper", "optimizer=adam").components["optimizer"]["name"] == "adam"


@pytest.mark.parametrize("chosen", TOGETHER, ids=lambda chosen: next(iter(chosen.values())))
def test_every_option_of_a_group_composes(registry: Registry, chosen: dict[str, str]):
    """The options are what was chosen, what their files say is what was composed, and with files given it parses."""
    tree = composed_with_choices(registry, CONFIG_NAME, *(f"{_key(g)}={o}" for g, o in chosen.items()))
    for group, option in chosen.items():
        assert_is_composed(tree, group, option)
    with flag_override(tree, "struct", False):
        del tree["hydra"]
        for key in OmegaConf.missing_keys(tree):
            OmegaConf.update(tree, key, "given")
    parse(tree)


@pytest.mark.parametrize(("group", "option"), [(g, option) for g in ALONE for option in OPTIONS[g]])
def test_every_experiment_composes(registry: Registry, group: str, option: str):
    tree = composed_with_choices(registry, ALONE[group], f"{group}={option}")
    assert_is_composed(tree, group, option)


def _key(group: str) -> str:
    return KEYS.get(group, (group, ""))[0]


def assert_is_composed(tree: DictConfig, group: str, option: str) -> None:
    assert tree.hydra.runtime.choices[_key(group).removeprefix("+")] == option
    file = CONF / group / f"{option}.yaml"
    own = OmegaConf.to_container(OmegaConf.load(file))
    assert isinstance(own, dict)
    own.pop("defaults", None)
    whole = file.read_text(encoding="utf-8").startswith("# @package _global_")
    place = KEYS[group][1] if group in KEYS else group.replace("/", ".")
    node = tree if whole else OmegaConf.select(tree, place)
    if own:
        assert_holds(OmegaConf.to_container(node), own, f"{group}/{option}: {place}")


def composed_with_choices(registry: Registry, root: str, *overrides: str) -> DictConfig:
    """As `compose`, with Hydra's own node, which says what was chosen in every group."""
    prepare()
    with initialised():
        return hydra_compose(root, overrides=list(overrides), return_hydra_config=True)


def assert_holds(node: Any, own: Any, where: str) -> None:
    """Every value of `own` is in the node, under the same keys; what must be given is missing or empty."""
    if not isinstance(own, dict):
        assert node == own or (own == "???" and node == ""), where
        return
    for key, value in own.items():
        assert key in node, f"{where}.{key}"
        assert_holds(node[key], value, f"{where}.{key}")


def test_every_weight_is_a_value(registry: Registry):
    run = composed(registry, "terms.edit.weight={w: 2, w_plus: 0}", "terms.edit.parts.landmark=0.25")
    assert run.terms["edit"].weight == {"w": 2, "w_plus": 0}
    assert run.terms["edit"].parts["landmark"] == 0.25
    assert composed(registry, "schedule.stages.1.lr=0.5").schedule.stages[1].lr == 0.5


def test_a_components_own_fields_are_keys_even_when_no_recipe_names_them(registry: Registry):
    run = composed(registry, "features.perceptual.normalize=false", "terms.edit.options.size=32")
    assert run.components["features"]["perceptual"]["normalize"] is False
    assert run.terms["edit"].options["size"] == 32


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("energy=ful", "no option 'ful'.*Did you mean 'full'"),
        ("energyy=full", "Did you mean 'energy'"),
        ("schedule.check_evry=3", "no setting 'schedule.check_evry'.*'check_every'"),
        ("terms.identiti.weight=3", "Did you mean 'identity'"),
        ("features.perceptual.normalise=true", "Did you mean 'normalize'"),
        ("+schedule.check_evry=3", "no setting 'schedule.check_evry'.*'check_every'"),
        ("a b=[", "not KEY=VALUE"),
        ("schedule.stages.w.steps=2", "no setting 'schedule.stages.w.steps': 'w' stands where a list has"),
    ],
)
def test_overrides_that_name_nothing(registry: Registry, override: str, said: str):
    with pytest.raises(ConfigError, match=f"(?s){said}") as caught:
        composed(registry, override)
    assert "\n" not in str(caught.value)


@pytest.fixture(scope="module")
def default_tree(registry: Registry) -> DictConfig:
    return compose((), registry)


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("sed", 3, "no setting 'sed'. Did you mean 'seed'"),
        ("components", {"generator": "x"}, "no setting 'components'"),
        ("term", {"term": "edit"}, r"no setting 'term'. Choose it as \+term@terms.NAME=OPTION"),
        ("energy", {"terms": {}}, "'# @package _global_'"),
        ("generator", 3, "generator: 3 is not a group of settings"),
        ("terms", [1], r"terms: \[1\] is not a group of settings. Each entry has: term, "),
        ("schedule.stages", {"w": {}}, "is not a list. Each entry has: name, "),
        ("schedule.stages.0.lr", float("inf"), "schedule.stages.0.lr: inf is not a finite number"),
        ("seed", 1 << 63, "seed: 9223372036854775808 is too large"),
        ("outputs", None, "outputs: it may not be null"),
        ("blocks", None, "blocks: it may not be null"),
        ("terms.edit.parts", 3, "terms.edit.parts: one value was given where a group is expected"),
        ("terms.synthesis.wieght", 3, "no setting 'terms.synthesis.wieght'. Did you mean 'weight'"),
        ("terms.mine", {"term": "synthesis", "wieght": 2}, "no setting 'terms.mine.wieght'.*'weight'"),
        ("terms.mine", 3, "terms.mine: 3 is not a group of settings"),
        ("terms.mine", {"weight": 3}, "terms.mine.term must be given"),
        ("schedule.check_every", "often", "schedule.check_every: 'often' is not a whole number"),
        ("schedule.stages.0.steps", 1.5, "schedule.stages.0.steps: '1.5' is not a whole number"),
        ("schedule.stages.0.stepps", 1, "no setting 'schedule.stages.0.stepps'. Did you mean 'steps'"),
        ("schedule.stages.0.space", "z", "'z' is not one of its values"),
        ("schedule.stages.1.name", "w", "'w' is there twice"),
        ("schedule.stages", [], "schedule.stages is empty"),
        ("terms.edit.weight", "heavy", "terms.edit.weight: 'heavy' is not a finite number"),
        ("terms.edit.weight", float("nan"), "not a finite number"),
        ("terms.edit.weight", {"w_pls": 1}, "no stage 'w_pls'.*'w_plus'"),
        ("terms.edit.parts.landmark", "x", "'x' is not a number"),
        ("device", "gpu", "auto, cpu, cuda"),
        ("dtype", "float8", "dtype: 'float8'"),
        ("blocks", ["rotation", "rotation"], "'rotation' is there twice"),
        ("prior.per_step", 0, "at least 1"),
        ("paste_back", "perhaps", "paste_back: 'perhaps' is not true or false"),
        ("input", [], "not a path or a list of paths"),
        ("seed", "${nowhere}", "seed"),
    ],
)
def test_values_that_cannot_be(default_tree: DictConfig, key: str, value: Any, said: str):
    tree = copy.deepcopy(default_tree)
    OmegaConf.set_struct(tree, False)
    OmegaConf.update(tree, key, value, merge=False)
    with pytest.raises(ConfigError, match=said) as caught:
        parse(tree)
    assert "\n" not in str(caught.value)


def test_a_term_is_active_when_any_stage_weighs_it():
    assert TermConfig("t", 1).active
    assert TermConfig("t", {"w": 0.0, "w_plus": 0.1}).active
    assert not TermConfig("t", 0.0).active
    assert not TermConfig("t", {"w": 0}).active
