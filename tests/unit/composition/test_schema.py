"""What a configuration composes to, and what a person is told when it is wrong."""

from __future__ import annotations

import copy
import re
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hydra import compose as hydra_compose
from omegaconf import DictConfig, OmegaConf, flag_override

from pie_framework.composition.compose import CONFIG_NAME, compose, initialised, prepare
from pie_framework.composition.schema import RunConfig, TermConfig, parse
from pie_framework.errors import LONGEST, ConfigError, PluginError, in_one_line
from pie_framework.plugins import Registry, discover
from pie_framework.settings import check_types, defaults, merge

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


@dataclass(frozen=True)
class Sample:
    count: int = 1
    ratio: float = 0.5
    names: tuple[str, ...] = ("a",)
    pair: tuple[float, float] = (0.0, 1.0)
    path: str | None = None


def test_merge_gives_the_components_own_dataclass():
    made = merge(Sample, OmegaConf.create({"names": ["x", "y"], "pair": [1, 2], "path": "p"}), "sample")
    assert made == Sample(1, 0.5, ("x", "y"), (1.0, 2.0), "p")
    assert merge(Sample, {}) == Sample()


@dataclass(frozen=True)
class Nest:
    sample: Sample = field(default_factory=lambda: Sample(count=4))
    depth: int = 2


def test_frozen_dataclasses_inside_one_another_are_filled():
    assert merge(Nest, {}) == Nest()
    assert merge(Nest, {"sample": {"names": ["z"]}}) == Nest(Sample(4, names=("z",)))
    with pytest.raises(ConfigError, match=r"no setting 'nest.sample.cuont'. Did you mean 'count'"):
        merge(Nest, {"sample": {"cuont": 1}}, "nest")
    with pytest.raises(ConfigError, match=r"nest.sample.pair: 3 values were given, it takes 2"):
        merge(Nest, {"sample": {"pair": [1, 2, 3]}}, "nest")


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"cuont": 1}, "no setting 'sample.cuont'. Did you mean 'count'"),
        ({"count": "many"}, "sample.count: 'many' is not a whole number"),
        ({"names": 3}, "sample.names: one value was given where a list is expected"),
        ({"pair": [1, 2, 3]}, "sample.pair: 3 values were given, it takes 2"),
        ({"count": None}, "sample.count: it may not be null"),
        ({"path": [1]}, "sample.path: a list was given where one value is expected"),
        ({"path": {"a": 1}}, "sample.path: a group was given where one value is expected"),
        ({"count": "a\nb"}, "sample.count: 'a b' is not a whole number"),
        ({"count": "???"}, "sample.count must be given"),
    ],
)
def test_merge_names_what_is_wrong(values: dict[str, Any], said: str):
    with pytest.raises(ConfigError, match=said):
        merge(Sample, values, "sample")


@dataclass(frozen=True)
class Careful:
    amount: int = 1
    inner: Sample | None = None

    def __post_init__(self) -> None:
        if self.amount == 2:
            raise ConfigError("amount is 2")
        if self.amount == 3:
            raise ZeroDivisionError("by three")
        if self.amount == 4:
            raise ValueError("amount is 4")


def test_what_a_dataclass_refuses_is_told_with_its_key():
    with pytest.raises(ConfigError, match=r"^generator: amount is 2$"):
        merge(Careful, {"amount": 2}, "generator")
    with pytest.raises(ConfigError, match=r"^generator: amount is 4$"):
        merge(Careful, {"amount": 4}, "generator")


def test_a_dataclass_that_fails_is_a_fault_of_its_author():
    with pytest.raises(
        PluginError, match=r"^the settings Careful cannot be made: ZeroDivisionError: by three$"
    ):
        merge(Careful, {"amount": 3}, "generator")


def test_an_optional_group_may_be_null():
    assert merge(Careful, {"inner": None}) == Careful()


def test_typed_settings_need_not_be_complete_or_accepted():
    check_types(Sample, {"path": "???"})
    check_types(Careful, {"amount": 3})
    with pytest.raises(ConfigError, match=r"a\.amount: 'x' is not a whole number"):
        check_types(Careful, {"amount": "x"}, "a")
    assert defaults(Nest) == {
        "sample": {"count": 4, "ratio": 0.5, "names": ["a"], "pair": [0.0, 1.0], "path": None},
        "depth": 2,
    }


def test_long_values_lose_their_middle():
    said = str(ConfigError(f"seed: {'x' * 5000} is not a number", "Try " + "y" * 5000))
    assert len(said) <= LONGEST + 2
    assert said.startswith("seed: xxx") and "x is not a number. Try yyy" in said


class Unspeakable(Exception):
    def __str__(self) -> str:
        raise KeyError("no text")


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (KeyError("a\nb"), r"KeyError: 'a\nb'"),
        (ValueError("two\n lines"), "ValueError: two lines"),
        (ValueError(), "ValueError"),
        (Unspeakable(), "Unspeakable: its message cannot be shown"),
        (SystemExit(3), "it exits (3)"),
        (SystemExit(), "it exits (0)"),
        (ConfigError("seed: no", "Try 1."), "seed: no. Try 1."),
    ],
)
def test_any_exception_is_one_line(error: BaseException, said: str) -> None:
    assert in_one_line(error) == said
    assert len(in_one_line(OSError("x" * 5000))) < LONGEST + 20


def test_an_error_is_located_unless_it_begins_with_its_place() -> None:
    for message, expected in {
        "init.count: x": "init.count: x",
        "initial noise": "init: initial noise",
        "a start of init": "init: a start of init",
    }.items():
        error = ConfigError(message)
        error.locate("init")
        error.locate("elsewhere")
        assert str(error) == expected


@dataclass
class Entry:
    name: str
    amount: int = 1
    folder: Path = Path("there")

    def __post_init__(self) -> None:
        if self.amount < 0:
            raise ValueError("amount is negative")


@dataclass
class Listing:
    first: Entry
    entries: list[Entry] = field(default_factory=list)


def test_a_group_that_must_be_given_says_so() -> None:
    assert defaults(Listing) == {"first": "???", "entries": []}
    with pytest.raises(ConfigError, match=r"^a\.first must be given"):
        merge(Listing, {"first": "???"}, "a")
    assert defaults(Entry)["folder"] == "there"


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ({"amount": 2}, "a.entries.1.name must be given"),
        ({"name": "x", "amount": -1}, "a.entries.1: amount is negative"),
        ({"name": "x", "amuont": 1}, "no setting 'a.entries.1.amuont'"),
    ],
)
def test_what_is_wrong_in_a_list_says_where(entry: dict[str, Any], said: str) -> None:
    values = {"first": {"name": "f"}, "entries": [{"name": "ok"}, entry]}
    with pytest.raises(ConfigError, match=re.escape(said)):
        merge(Listing, values, "a")


def test_nothing_in_a_list_need_be_given_where_only_types_are_checked() -> None:
    check_types(Listing, {"entries": [{"amount": -1}]})


@dataclass
class Leaving:
    amount: int = field(default_factory=lambda: sys.exit(0))


@dataclass
class Nowhere:
    amount: "Gone" = 1  # type: ignore[name-defined, assignment]  # noqa: F821, UP037


@pytest.mark.parametrize("schema", [Leaving, Nowhere])
def test_a_dataclass_that_cannot_be_read_is_at_fault(schema: type) -> None:
    for read in (defaults, lambda schema: merge(schema, {"amount": 1})):
        with pytest.raises(PluginError, match=f"^the settings {schema.__name__} cannot be made: "):
            read(schema)
