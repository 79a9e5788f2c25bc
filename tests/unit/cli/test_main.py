"""The command line: quick, light, and never a traceback for what the person can mend."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pie_framework.cli import main as cli
from pie_framework.cli.main import COMMANDS, main


@pytest.fixture(autouse=True)
def _quiet_logging() -> Iterator[None]:
    """Hydra sets up logging for the whole process: take its handlers away again."""
    root, own = logging.getLogger(), logging.getLogger("hydra")
    before = (root.handlers[:], own.handlers[:], root.level, own.propagate)
    yield
    root.handlers[:], own.handlers[:] = before[:2]
    root.setLevel(before[2])
    own.propagate = before[3]


def run_python(code: str, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True, timeout=300
    )
    return done.stdout


LOADED = """
import json, sys
sys.path[:0] = {path!r}
from pie_framework.cli.main import main
status = main(sys.argv[1:])
print(json.dumps([status, sorted({{name.partition(".")[0] for name in sys.modules}})]))
"""


def loaded_by(*arguments: str) -> set[str]:
    """Top-level packages that a command imports in a fresh interpreter."""
    output = run_python(LOADED.format(path=[entry for entry in sys.path if entry]), *arguments)
    status, modules = json.loads(output.splitlines()[-1])
    assert status == 0
    return set(modules)


@pytest.mark.parametrize("arguments", [["--help"], ["--version"]])
def test_help_imports_nothing_heavy(arguments: list[str]):
    assert not loaded_by(*arguments) & {"torch", "hydra", "omegaconf", "numpy", "rich", "pydantic"}


@pytest.mark.parametrize(
    "arguments", [["plugins", "list"], ["plugins", "show", "synthesis"], ["train", "--help"]]
)
def test_listing_imports_no_torch(arguments: list[str]):
    assert not loaded_by(*arguments) & {"torch", "hydra", "scipy", "cv2"}


def test_help_imports_next_to_nothing():
    """What makes a command slow to start is what it imports; modules can be counted on any machine."""
    before = int(run_python("import json, sys; print(len(sys.modules))"))
    code = LOADED.format(path=[p for p in sys.path if p]) + "print(len(sys.modules))"
    assert int(run_python(code, "--help").splitlines()[-1]) < before + 150


def test_help_names_every_command(capsys: pytest.CaptureFixture[str]):
    assert main(["--help"]) == 0
    text = capsys.readouterr().out
    assert all(name in text for name in COMMANDS)
    assert main([]) == 0


def test_an_unknown_command_suggests_the_near_one(capsys: pytest.CaptureFixture[str]):
    assert main(["plugin", "list"]) == 2
    captured = capsys.readouterr()
    assert captured.err == "pie: error: there is no command 'plugin'. Did you mean 'plugins'?\n"


def test_debug_shows_the_traceback():
    from pie_framework.errors import PieError

    with pytest.raises(PieError):
        main(["plugin", "--debug"])


def test_a_file_that_may_not_be_read_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    def refused(words: list[str]) -> int:
        raise PermissionError(13, "Permission denied", "secret.pkl")

    monkeypatch.setattr(cli, "_dispatch", refused)
    assert main(["run"]) == 2
    assert capsys.readouterr().err == "pie: error: 'secret.pkl': Permission denied\n"
    with pytest.raises(PermissionError):
        main(["run", "--debug"])


def test_an_interrupt_with_nothing_kept_exits_with_130(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    def interrupted(words: list[str]) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "_dispatch", interrupted)
    assert main(["run"]) == 130
    assert "nothing was kept" in capsys.readouterr().err


def test_plugins_list_and_show(capsys: pytest.CaptureFixture[str]):
    assert main(["plugins", "list", "energy"]) == 0
    listed = capsys.readouterr().out
    assert "synthesis" in listed
    assert "pie-framework" in listed
    assert main(["plugins", "show", "energy", "edit"]) == 0
    shown = capsys.readouterr().out
    for text in ("energy edit", "pie-framework", "plugin 'energies'", "requires", "size: int = 64", "assets"):
        assert text in shown


def test_plugins_show_gives_assets_with_licences(install, capsys: pytest.CaptureFixture[str]):
    body = """
from dataclasses import dataclass
from pie_framework.api import Asset, Component, Kind
from pie_framework.hookspecs import hookimpl

@dataclass
class Settings:
    weights: str
    depth: int = 4

@hookimpl
def pie_components():
    asset = Asset("net", "pkg://p/net.bin", "ab" * 32, "CC-BY-4.0")
    return [
        Component(Kind.ENCODER, "mine", "p:build", Settings, "Reads faces.", (asset,), api_version=(1, 1))
    ]
"""
    install("mine-dist", {"mine": "mine_plugin"}, {"mine_plugin.py": body})
    assert main(["plugins", "show", "mine"]) == 0
    shown = capsys.readouterr().out
    for text in ("mine-dist 1.2.3", "Reads faces.", "weights: str = (must be given)", "depth: int = 4"):
        assert text in shown
    for text in ("net: pkg://p/net.bin", "ab" * 32, "CC-BY-4.0"):
        assert text in shown


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["plugins", "show", "synthesys"], "Did you mean 'synthesis'"),
        (["plugins", "lst"], "Did you mean 'list'"),
        (["plugins", "list", "energi"], "Did you mean 'energy'"),
        (["plugins", "show"], "does not take these arguments"),
        (["train", "encodr"], "no trainer named 'encodr'"),
        (["train", "backbon"], "no trainer named 'backbon'. Did you mean 'backbone'?"),
    ],
)
def test_mistakes_are_one_line_and_status_2(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
):
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1


def test_a_broken_plugin_is_listed_and_the_rest_too(install, capsys: pytest.CaptureFixture[str]):
    install("broken-dist", {"broken": "broken_plugin"}, {"broken_plugin.py": "import not_there_at_all"})
    assert main(["plugins", "list"]) == 0
    captured = capsys.readouterr()
    assert "synthesis" in captured.out
    assert "plugin 'broken' of broken-dist 1.2.3: cannot be loaded" in captured.err


def test_plugins_can_be_switched_off(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    monkeypatch.setenv("PIE_PLUGINS", "-energies")
    assert main(["plugins", "list", "energy"]) == 0
    assert "synthesis" not in capsys.readouterr().out


def test_a_shipped_name_that_is_taken_is_a_warning_of_the_listing(
    install, capsys: pytest.CaptureFixture[str]
):
    body = """
from pie_framework.api import Component, Kind
from pie_framework.hookspecs import hookimpl

@hookimpl
def pie_components():
    return [Component(Kind.ENERGY, "synthesis", "p:build", api_version=(1, 1))]
"""
    install("rival-dist", {"rival": "rival_plugin"}, {"rival_plugin.py": body})
    assert main(["plugins", "list"]) == 0
    error = capsys.readouterr().err
    assert error.startswith("pie: warning: ") and "declared twice" in error
    assert "rival-dist 1.2.3" in error
    assert "pie-framework" in error


TRAINER = """
from dataclasses import dataclass
from pie_framework.api import Component, Kind
from pie_framework.hookspecs import hookimpl

@dataclass(frozen=True)
class Recipe:
    \"\"\"A recipe that counts.\"\"\"
    steps: int = 10
    sizes: tuple[int, ...] = (1, 2)

@hookimpl
def pie_components():
    return [
        Component(Kind.TRAINER, "counter", "count_plugin:run", Recipe, "Counts.", api_version=(1, 1))
    ]

def run(settings, context):
    print("trained", settings.steps, settings.sizes, context.device.type, context.dtype)
"""


def test_train_overrides_the_recipes_settings(install, capsys: pytest.CaptureFixture[str]):
    install("count-dist", {"count": "count_plugin"}, {"count_plugin.py": TRAINER})
    assert main(["train", "counter", "steps=3", "sizes=[4]", "device=cpu"]) == 0
    assert "trained 3 (4,) cpu torch.float32" in capsys.readouterr().out
    assert main(["train", "counter", "compose=[dtype=float64,device=cpu]"]) == 0
    assert "cpu torch.float64" in capsys.readouterr().out
    assert main(["train", "counter", "compose=fast"]) == 2
    assert "not a list" in capsys.readouterr().err
    assert main(["train", "counter", "stepps=3"]) == 2
    assert "no setting 'stepps'. Did you mean 'steps'" in capsys.readouterr().err
    assert main(["train", "counter", "--help"]) == 0
    helped = capsys.readouterr().out
    assert "steps=10" in helped
    assert "A recipe that counts." in helped
    assert main(["train", "--help"]) == 0
    assert "counter" in capsys.readouterr().out
    for word in ("steps", "steps={", "sizes=[3"):
        assert main(["train", "counter", word]) == 2
        assert f"'{word}" in capsys.readouterr().err


def test_train_gives_the_other_keys_to_the_composition(install, capsys: pytest.CaptureFixture[str]):
    look = """
def run(settings, context):
    chosen = context.run.components
    print(settings.steps, context.run.seed, chosen["generator"]["weights"], chosen["encoder"], context.dtype)
"""
    text = TRAINER[: TRAINER.index("def run")] + look
    install("count-dist", {"count": "count_plugin"}, {"count_plugin.py": text})
    words = ["steps=3", "seed=7", "dtype=float64", "generator.weights=w.pkl", "encoder=none"]
    assert main(["train", "counter", *words, "compose=[device=cpu]"]) == 0
    assert "3 7 w.pkl {'name': 'none'} torch.float64" in capsys.readouterr().out
    for word, near in (
        ("encodr=none", "'encoder'"),
        ("generator.weigths=x", "'weights'"),
        ("step=3", "'steps'"),
        ("encoder=mofaa", "'mofa'"),
        ("steps.more=3", "steps.more"),
    ):
        assert main(["train", "counter", word]) == 2
        assert near in capsys.readouterr().err


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[dict[str, object]]:
    """Replace the engine and the requirements: what it would have been given."""
    given: list[dict[str, object]] = []

    def run(config: object) -> int:
        from omegaconf import OmegaConf

        given.append(OmegaConf.to_container(config))  # type: ignore[arg-type]
        return 0

    monkeypatch.setattr("pie_framework.cli.run.run", run)
    monkeypatch.chdir(tmp_path)
    return given


def test_run_hands_the_composed_configuration_to_the_engine(engine: list[dict[str, object]], tmp_path: Path):
    assert main(["run", "energy=synth", "seed=7"]) == 0
    assert engine[0]["seed"] == 7
    assert list(engine[0]["terms"]) == ["synthesis"]  # type: ignore[call-overload]
    assert list(tmp_path.iterdir()) == []


def test_multirun_runs_each(engine: list[dict[str, object]], tmp_path: Path):
    assert main(["run", "-m", "energy=full,synth", "outputs=o"]) == 0
    assert [len(config["terms"]) for config in engine] == [5, 1]  # type: ignore[arg-type]


def test_multirun_goes_on_after_a_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd):
    seen: list[int] = []

    def run(config: dict[str, int]) -> int:
        from pie_framework.errors import InputError

        seen.append(config["seed"])
        if config["seed"] == 1:
            raise InputError("the second is wrong")
        return 0

    monkeypatch.setattr("pie_framework.cli.run.run", run)
    monkeypatch.chdir(tmp_path)
    assert main(["run", "-m", "seed=0,1,2", "outputs=o"]) == 2
    assert seen == [0, 1, 2]
    assert "pie: error: the second is wrong" in capfd.readouterr().err


def test_a_run_names_the_plugins_that_are_broken(engine: list[dict[str, object]], install, capsys):
    install("broken-dist", {"broken": "broken_plugin"}, {"broken_plugin.py": "import not_there_at_all"})
    assert main(["run", "energy=synth"]) == 0
    assert "warning: plugin 'broken' of broken-dist 1.2.3: cannot be loaded" in capsys.readouterr().err


def test_warnings_of_a_run_go_to_stderr(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfd):
    def run(config: object) -> int:
        logging.getLogger("pie_framework.plugins.observers").warning("the observer is left out")
        return 0

    monkeypatch.setattr("pie_framework.cli.run.run", run)
    monkeypatch.chdir(tmp_path)
    assert main(["run", "energy=synth"]) == 0
    captured = capfd.readouterr()
    assert "the observer is left out" in captured.err.splitlines()
    assert "left out" not in captured.out


def test_showing_the_configuration_runs_nothing(engine: list[dict[str, object]], capsys):
    assert main(["run", "energy=synth", "--cfg", "job"]) == 0
    assert "synthesis" in capsys.readouterr().out
    assert main(["run", "--help"]) == 0
    helped = capsys.readouterr().out
    assert "energy: full" in helped
    assert "pie run -m energy=full,synth" in helped
    assert main(["run", "--info", "searchpath"]) == 0
    assert engine == []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["energy=ful"], "pie: error: the group 'energy' has no option 'ful'. Did you mean 'full'?\n"),
        (["outpts=1"], "pie: error: there is no setting 'outpts'. Did you mean 'outputs'?\n"),
        (["seed=x"], "pie: error: seed: 'x' is not a whole number\n"),
        (
            ["resume=outputs/run", "seed=1"],
            "pie: error: resume goes on with the run's own configuration, 'seed=1' cannot change it. "
            "Leave it out, or start a new run.\n",
        ),
    ],
)
def test_a_wrong_configuration_is_one_line(
    arguments: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd
):
    monkeypatch.chdir(tmp_path)
    assert main(["run", *arguments]) == 2
    assert capfd.readouterr().err == said
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("pie ", " ".join(COMMANDS)),
        ("pie pl", " ".join(COMMANDS)),
        ("pie run energy=syn", "energy=synth"),
        ("pie run optim", "optimizer"),
        ("pie plugins show syn", "synthesis"),
    ],
)
def test_tab_completion(line: str, expected: str, monkeypatch: pytest.MonkeyPatch, capsys):
    monkeypatch.setenv("COMP_LINE", line)
    monkeypatch.setenv("COMP_POINT", str(len(line)))
    assert main(["-sc", "query=bash"]) == 0
    assert expected in capsys.readouterr().out


def test_every_command_has_its_module():
    import importlib.util

    for module, _ in COMMANDS.values():
        assert importlib.util.find_spec(module) is not None
