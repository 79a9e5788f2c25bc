"""From the command line to a configuration: settings that no YAML file names, and one line for whatever is wrong."""

from __future__ import annotations

import logging
import pickle
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.core.global_hydra import GlobalHydra
from omegaconf import OmegaConf

from pie_framework.cli.main import main
from pie_framework.cli.run import FailedJob
from pie_framework.composition.compose import compose, explained
from pie_framework.composition.schema import parse, values
from pie_framework.errors import LONGEST, ConfigError
from pie_framework.plugins import Registry, discover


@pytest.fixture(scope="module")
def registry() -> Registry:
    return discover({})


@pytest.fixture(autouse=True)
def _quiet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Hydra sets up logging for the whole process; runs end where the engine would begin."""
    root, own = logging.getLogger(), logging.getLogger("hydra")
    before = (root.handlers[:], own.handlers[:], root.level, own.propagate)
    monkeypatch.setitem(
        sys.modules, "pie_framework.runs.run", SimpleNamespace(run_from_config=lambda config: 0)
    )
    monkeypatch.chdir(tmp_path)
    yield
    root.handlers[:], own.handlers[:] = before[:2]
    root.setLevel(before[2])
    own.propagate = before[3]


# ---- settings --------------------------------------------------------------------------------------------------


def test_every_setting_of_a_chosen_component_can_be_given(registry: Registry) -> None:
    config = compose(
        [
            "generator.truncation=0.7",
            "features.perceptual.normalize=false",
            "init=nearest",
            "init.candidates=10",
            "optimizer=torch",
            "optimizer.name=NAdam",
            "optimizer.parameters={weight_decay: 0.01}",
            "optimizer.parameters.betas=[0.9,0.95]",
            "terms.edit.options.size=32",
            "+terms.mine={term: invariance, weight: 1}",
            "terms.mine.options.size=16",
            "+terms.mine.parts.photometric=2",
        ],
        registry,
    )
    assert config.generator.truncation == 0.7
    assert config.generator.checkpointing is False
    assert config.features.perceptual.normalize is False
    assert config.init == {"name": "nearest", "candidates": 10}
    assert config.optimizer == {
        "component": "torch",
        "name": "NAdam",
        "parameters": {"weight_decay": 0.01, "betas": [0.9, 0.95]},
    }
    assert config.terms.edit.options.size == 32
    assert (config.terms.mine.term, config.terms.mine.weight) == ("invariance", 1)
    assert config.terms.mine.parts == {"photometric": 2}
    assert config.terms.mine.options.size == 16
    assert values(parse(config))["init"] == {"name": "nearest", "candidates": 10}


def test_a_component_chosen_by_its_name_has_its_own_defaults(registry: Registry) -> None:
    config = compose(["optimizer.name=adadelta", "generator.name=stylegan3"], registry)
    assert config.optimizer == {"name": "adadelta", "rho": 0.9, "eps": 1e-6}
    assert config.generator.weights == ""
    assert compose(["generator.name=stylegan2"], registry).generator.weights.startswith("pkg://")


PLUGIN = """
from dataclasses import dataclass
from pie_framework.api import Component, Kind
from pie_framework.hookspecs import hookimpl

@dataclass(frozen=True)
class Settings:
    weights: str
    level: float = 0.5

@hookimpl
def pie_components():
    return [
        Component(Kind.GENERATOR, "foo", "foo_plugin:f", Settings, api_version=(1, 1)),
        Component(Kind.ENERGY, "glow", "foo_plugin:f", Settings, api_version=(1, 1)),
    ]

@hookimpl
def pie_config_paths():
    return ["foo_conf"]
"""


@pytest.fixture
def foo(install: Any) -> Iterator[Registry]:
    """A generator and a term whose YAML files say their names and nothing else."""
    files = {
        "foo_plugin.py": PLUGIN,
        "foo_conf/__init__.py": "",
        "foo_conf/generator/foo.yaml": "name: foo\n",
        "foo_conf/energy/glow.yaml": "# @package _global_\nterms: {glow: {term: glow}}\n",
    }
    install("foo-dist", {"foo": "foo_plugin"}, files)
    GlobalHydra.instance().clear()
    yield discover({})
    GlobalHydra.instance().clear()


def test_a_file_that_says_only_the_name_is_enough(foo: Registry) -> None:
    words = ["generator=foo", "generator.level=2", "energy=glow", "terms.glow.options.level=3"]
    config = compose(words, foo)
    assert config.generator == {"name": "foo", "weights": "???", "level": 2}
    assert config.terms.glow.options == {"weights": "???", "level": 3}
    assert compose(["generator.name=foo"], foo).generator == {"name": "foo", "weights": "???", "level": 0.5}
    with pytest.raises(ConfigError, match=r"no setting 'generator.levl'\. Did you mean 'level'"):
        compose(["generator=foo", "generator.levl=2"], foo)


def test_the_folders_are_those_of_the_plugins_that_are_given(foo: Registry) -> None:
    with pytest.raises(ConfigError, match="the group 'generator' has no option 'foo'"):
        compose(["generator=foo"], discover({"PIE_PLUGINS": "-foo"}))


def test_cfg_job_shows_the_settings_that_no_file_names(
    foo: Registry, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", "generator=foo", "generator.weights=${outputs}/w", "--cfg", "job"]) == 0
    shown = OmegaConf.create(capsys.readouterr().out)
    assert OmegaConf.to_container(shown)["generator"] == {  # type: ignore[index, call-overload]
        "name": "foo",
        "weights": "${outputs}/w",
        "level": 0.5,
    }
    words = ["run", "generator=foo", "generator.weights=${outputs}/w", "--cfg", "job", "-p", "generator"]
    assert main([*words, "--resolve"]) == 0
    said = capsys.readouterr().out
    assert said == "# @package generator\nname: foo\nweights: outputs/w\nlevel: 0.5\n"
    assert main(["run", "generator=foo", "--cfg", "job", "-p", "generator.level"]) == 0
    assert capsys.readouterr().out == "0.5\n"


def test_help_shows_them_too(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "energy=synth", "--help"]) == 0
    said = capsys.readouterr().out
    assert "truncation_cutoff: null" in said
    assert "energy: full" in said
    assert "settings/" not in said


def test_a_sweep_over_a_setting_makes_a_run_for_each_value(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []
    monkeypatch.setattr("pie_framework.cli.run.run", lambda config: seen.append(config.generator) or 0)
    assert main(["run", "-m", "generator.truncation=0.5,0.7", "energy=synth", "outputs=o"]) == 0
    assert [(node.truncation, node.checkpointing) for node in seen] == [(0.5, False), (0.7, False)]


def test_a_run_composes_once_and_a_configuration_may_ask_for_a_sweep(monkeypatch: pytest.MonkeyPatch) -> None:
    composed: list[Any] = []
    whole = ConfigLoaderImpl.load_configuration
    monkeypatch.setattr(
        ConfigLoaderImpl,
        "load_configuration",
        lambda *a, **k: composed.append(k["overrides"]) or whole(*a, **k),
    )
    seen: list[int] = []
    monkeypatch.setattr("pie_framework.cli.run.run", lambda config: seen.append(config.seed) or 0)
    assert main(["run", "seed=3", "energy=synth"]) == 0
    assert len(composed) == 1 and seen == [3]
    assert main(["run", "seed=4,5", "energy=synth", "outputs=o", "hydra.mode=MULTIRUN"]) == 0
    assert seen == [3, 4, 5]


def test_a_sweep_ends_with_the_status_of_the_run_that_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pie_framework.cli.run.run", lambda config: 1 if config.seed == 1 else 0)
    assert main(["run", "-m", "seed=0,1,2", "energy=synth", "outputs=o"]) == 1


def test_what_a_run_does_not_need_may_lack_its_files(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "energy=synth", "edit=none", "encoder=deep3d"]) == 0
    assert main(["run", "energy=synth", "edit=none", "encoder=deep3d", "encoder.wieghts=x"]) == 2
    assert "Did you mean 'weights'" in capsys.readouterr().err


def test_records_of_older_runs_are_read(registry: Registry) -> None:
    plain = values(parse(compose(["init=inverter"], registry)))
    plain["init"] = "inverter"
    for key in ("optimizer", "editor"):
        del plain[key]
    run = parse(plain)
    assert run.components["init"] == {"name": "inverter"}
    assert run.components["optimizer"] == {"name": "adam"}
    assert run.components["editor"] == {"name": "rig"}


# ---- errors ----------------------------------------------------------------------------------------------------

FILES = {
    "energy/broken.yaml": "a: [1\nb: }\n",
    "energy/tabs.yaml": "a:\n\t- b\n",
    "energy/tag.yaml": "seed: !!python/object/apply:os.system [ls]\n",
    "energy/list.yaml": "- a\n- b\n",
    "energy/circle_a.yaml": "defaults:\n  - circle_b\n",
    "energy/circle_b.yaml": "defaults:\n  - circle_a\n",
    "energy/absent.yaml": "defaults:\n  - nowhere\n",
    "energy/absent_group.yaml": "defaults:\n  - /nogroup: nowhere\n",
    "energy/twice.yaml": "# @package _global_\ndefaults:\n  - /generator: stylegan2\n  - /generator: stylegan3\n",
    "energy/number.yaml": "defaults:\n  - /generator: 3\n",
    "energy/unknown.yaml": "# @package _global_\nterms: {}\nsed: 3\n",
    "energy/itself.yaml": "# @package _global_\na: &x [*x]\n",
    "energy/typo.yaml": "# @package _global_\ngenerator: {wieghts: 3}\n",
    "more/resolver.yaml": "# @package _global_\nseed: ${foo:bar}\n",
    "more/missing.yaml": "# @package _global_\nseed: ${nowhere}\n",
    "more/cycle.yaml": "# @package _global_\nseed: ${outputs}\noutputs: ${seed}\n",
    "more/grammar.yaml": "# @package _global_\nseed: ${un[\n",
    "more/list.yaml": "# @package _global_\nfeatures: [1]\n",
    "more/components.yaml": "# @package _global_\ncomponents: {generator: {name: foo}}\n",
    "more/sub/option.yaml": "a: 3\n",
    "wrong.yaml": "a: b: c\n",
}
BINARY = {"energy/binary.yaml": b"\xff\xfe\x00"}


@pytest.fixture(scope="module")
def mine(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A folder of somebody's own configuration, with every mistake in a file of its own."""
    folder = tmp_path_factory.mktemp("mine")
    for name, content in [*((n, text.encode()) for n, text in FILES.items()), *BINARY.items()]:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return str(folder)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        # Files.
        ("--config-dir MINE energy=broken", "energy/broken.yaml', line 2, is not valid YAML: "),
        ("--config-dir MINE energy=tabs", "energy/tabs.yaml', line 2, is not valid YAML"),
        ("--config-dir MINE energy=tag", "energy/tag.yaml', line 1, is not valid YAML"),
        ("--config-dir MINE energy=binary", "in 'energy/binary': it is not UTF-8 text"),
        ("--config-dir MINE energy=list", "'# @package _global_'"),
        ("--config-dir MINE energy=circle_a", "in a circle: energy/circle_a -> energy/circle_b -> energy/circle_a"),
        ("--config-dir MINE energy=itself", "in 'energy/itself': it refers to itself"),
        ("--config-dir MINE energy=absent", "in 'energy/absent': the group 'energy' has no option 'nowhere'"),
        ("--config-dir MINE energy=absent_group", "in 'energy/absent_group': there is no group 'nogroup'"),
        ("--config-dir MINE energy=twice", "Multiple values for generator"),
        ("--config-dir MINE energy=number", "in 'energy/number': "),
        ("--config-dir MINE energy=unknown", "no setting 'sed'. Did you mean 'seed'"),
        ("--config-dir MINE energy=typo", "no setting 'generator.wieghts'. Did you mean 'weights'"),
        ("--config-dir MINE +more=resolver", "seed: Unsupported interpolation type foo"),
        ("--config-dir MINE +more=missing", "seed: Interpolation key 'nowhere' not found"),
        ("--config-dir MINE +more=cycle", "seed: Recursive interpolation"),
        ("--config-dir MINE +more=grammar", "in 'more/grammar': seed: its interpolation ${...} cannot be read"),
        ("--config-dir MINE +more=list", "in 'more/list': "),
        ("--config-dir MINE +more=components", "no setting 'components'"),
        ("--config-dir MINE +more=sub", "the group 'more' has no option 'sub'"),
        ("--config-dir MINE --config-name wrong", "wrong.yaml', line 1, is not valid YAML"),
        ("--config-dir nowhere", "no folder 'nowhere'"),
        ("--config-name x", "no configuration 'x'"),
        # Groups.
        ("energy@foo=full", "the group 'energy' is not chosen at 'foo'"),
        ("generator=[a,b]", "the group 'generator' has no option 'b'"),
        ("generator=null", "'generator=null' does not choose an option of the group 'generator'"),
        ("schedule=[1]", "'schedule=[1]' does not choose an option of the group 'schedule'"),
        ("+generator=stylegan3", "Multiple values for generator"),
        ("energy.foo=3", "Choose an option of the group: energy=OPTION"),
        ("-m energy=full,ful", "no option 'ful'. Did you mean 'full'"),
        # Settings of components.
        ("generator=stylegan3 generator.feature=1", "no setting 'generator.feature'. Did you mean 'features'"),
        ("optimizer=adadelta optimizer.beta1=1", "no setting 'optimizer.beta1'. Known: eps, rho."),
        ("optimizer.beta1=x", "optimizer.beta1: 'x' is not a number"),
        ("init.candidates=3", "no setting 'init.candidates'. init has no settings"),
        ("init=nearest init.candidates=0", "init.candidates: 0 is too small. It is at least 1."),
        ("generator.weights.a=1", "generator.weights: a group was given where one value is expected"),
        ("aligner.name=mine", "no aligner named 'mine'"),
        ("encoder=deep3d", "encoder.weights must be given"),
        ("features.recogniton.seed=1", "Did you mean 'recognition'"),
        ("terms.edit.options.siz=1", "no setting 'terms.edit.options.siz'. Did you mean 'size'"),
        ("energy=synth terms.edit.weight=1", "no setting 'terms.edit'. Known: synthesis"),
        ("rig.weights=x", "no setting 'rig.weights'. Known: expression, illumination, rotation. Give it for one block"),
        ("terms.synthesis.parts.l3=1", "no setting 'terms.synthesis.parts.l3'. Did you mean 'l2'"),
        ("terms.synthesis.parts.depth=1", "Add it with +terms.synthesis.parts.depth."),
        # Other settings.
        ("schedule=paper schedule.chek_every=1", "no setting 'schedule.chek_every'. Did you mean 'check_every'"),
        ("schedule.stages.9.steps=1", "no setting 'schedule.stages.9': the list is not that long"),
        ("schedule.stages.0.lr=nan", "schedule.stages.0.lr: nan is not a finite number"),
        ("terms.edit=3", "terms.edit: 3 is not a group of settings"),
        ("seed=x", "seed: 'x' is not a whole number"),
        ("seed=1,2", "make a run for each with -m"),
        ("seed=99999999999999999999", "too large"),
        ("seed.x=3", "no setting 'seed.x'. 'seed' has no settings"),
        ("seed=${nowhere}", "seed: Interpolation key 'nowhere' not found"),
        ("-m seed=x", "seed: 'x' is not a whole number"),
        ("+seed=3", "'seed' is there already"),
        ("~sed", "'sed' is not there"),
        ("blocks=rotation", "blocks: one value was given where a list is expected"),
        ("hydra.run=3", "hydra.run: one value was given where a group is expected"),
        # Words.
        ("größe=3", "'größe=3' is not KEY=VALUE. Keys are made of"),
        ("=", "there is no group ''"),
        ("a=", "no setting 'a'"),
        ("EMPTY", "'' is not KEY=VALUE"),
        ("LINES", "is not a whole number"),
        ("LONG_VALUE", "is not a whole number"),
        ("LONG_KEY", "File name too long"),
        ("LONG_OPTION", "yyy"),
        ("-m seed=range(", "'seed=range(' is not KEY=VALUE"),
        ("--nonsense", "unrecognized arguments: --nonsense"),
        ("--cfg job -m", "Only one of --run, --multirun, --cfg"),
        ("--cfg job generator.foo=1", "no setting 'generator.foo'"),
    ],
)  # fmt: skip
def test_whatever_is_wrong_is_one_line(
    words: str, said: str, mine: str, capsys: pytest.CaptureFixture[str]
) -> None:
    special = {
        "EMPTY": "",
        "LINES": "seed='a\nb'",
        "LONG_VALUE": "seed=" + "x" * 5000,
        "LONG_KEY": "x" * 5000 + "=3",
        "LONG_OPTION": "generator=" + "y" * 5000,
        "MINE": mine,
    }
    assert main(["run", *(special.get(word, word) for word in words.split(" "))]) == 2
    error = capsys.readouterr().err
    assert error.startswith("pie: error: ")
    assert error.count("\n") == 1 and error.endswith("\n")
    assert len(error) <= LONGEST + len("pie: error: . \n") < 400
    assert "Traceback" not in error
    assert said in error


def test_other_commands_explain_in_the_same_way(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "scenes.seeed=3"]) == 2
    assert "no setting 'scenes.seeed'" in capsys.readouterr().err
    assert main(["train", "rig", "compose=[generator.weigths=x]"]) == 2
    assert "no setting 'generator.weigths'. Did you mean 'weights'" in capsys.readouterr().err


@pytest.mark.parametrize("fault", [TypeError("Index 'x' (str) is not an int"), SystemExit(0)])
def test_a_fault_of_the_engine_is_not_called_a_wrong_configuration(
    monkeypatch: pytest.MonkeyPatch, fault: BaseException
) -> None:
    def fails(config: object) -> int:
        raise fault

    monkeypatch.setattr("pie_framework.cli.run.run", fails)
    with pytest.raises(type(fault)):
        main(["run", "energy=synth", "--debug"])


def test_a_fault_of_other_code_is_not_called_a_wrong_configuration() -> None:
    with pytest.raises(KeyError), explained("config", ()):
        {}["a bug"]
    with pytest.raises(ConfigError, match="is not readable"), explained("config", ()):
        raise PermissionError("it is not readable")


def test_what_a_job_in_another_process_raised_comes_as_it_is() -> None:
    """Launchers send the traceback as a text."""

    def job() -> None:
        """Of another process."""

    remote = Exception(f'  File "{job.__code__.co_filename}", line 3, in job')
    with pytest.raises(ZeroDivisionError), explained("config", (), job.__code__):
        raise ZeroDivisionError from remote
    assert pickle.loads(pickle.dumps(FailedJob(130))).status == 130
