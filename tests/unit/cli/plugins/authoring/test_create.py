"""What `pie plugins new` writes is a plugin as it stands; what it cannot write it refuses, and leaves nothing."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pie_framework.api import API_VERSION
from pie_framework.cli.main import main
from pie_framework.cli.plugins.authoring.create import TEMPLATES, check_name, create, next_commands
from pie_framework.cli.plugins.authoring.recipes import RECIPES
from pie_framework.errors import ConfigError
from pie_framework.plugins import discover
from pie_framework.settings import merge

ROOT = Path(__file__).parents[5]


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a plugin of each kind, `pie-my_KIND`."""
    folder = tmp_path_factory.mktemp("written")
    registry = discover()
    for kind in RECIPES:
        create(f"my_{kind}", kind, folder, registry)
    return folder


def python(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """A module of Python that sees all the plugins."""
    paths = [*map(str, folder.glob("pie-*")), *(path for path in sys.path if path)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [sys.executable, "-m", *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_every_kind_has_its_templates_and_nothing_is_left_to_fill_in(written: Path) -> None:
    assert {path.name for path in TEMPLATES.iterdir()} == {"common", "component", *RECIPES}
    for kind, recipe in RECIPES.items():
        folder = written / f"pie-my_{kind}"
        files = [path for path in folder.rglob("*") if path.is_file()]
        names = {path.relative_to(folder).as_posix() for path in files}
        assert {
            "pyproject.toml",
            "README.md",
            f"pie_my_{kind}/plugin.py",
            f"tests/test_my_{kind}.py",
        } <= names
        assert {f"pie_my_{kind}/conf/{group}/my_{kind}.yaml" for group in recipe.groups} <= names
        if kind != "observer":
            assert f"api_version={API_VERSION!r}" in (folder / f"pie_my_{kind}/plugin.py").read_text()
        assert not [p for p in files if "$" in p.read_text() or "NAME" in p.read_text() or ".tmpl" in p.name]


@pytest.mark.parametrize(
    ("kind", "given"),
    [
        ("energy", {"margin": -0.1}),
        ("encoder", {"shift": 0}),
        ("features", {"levels": 0}),
        ("optimizer", {"momentum": 1.0}),
        ("rig", {"block": "hair"}),
        ("aligner", {"zoom": 0.5}),
    ],
)
def test_their_settings_check_their_ranges(
    kind: str, given: dict[str, object], written: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(written / f"pie-my_{kind}")
    module = importlib.import_module(f"pie_my_{kind}.settings")
    (settings,) = (made for name, made in vars(module).items() if name.endswith("Settings"))
    merge(settings, {})
    with pytest.raises(ConfigError, match=f"^a.{next(iter(given))}: "):
        merge(settings, given, "a")


def test_their_own_tests_pass(written: Path) -> None:
    folders = sorted(path.name for path in written.glob("pie-*"))
    done = python(written, "pytest", "-q", "-n", "0", "-p", "no:cacheprovider", *folders)
    assert done.returncode == 0, done.stdout[-3000:]
    assert " passed" in done.stdout and "warning" not in done.stdout


def test_they_are_clean(written: Path) -> None:
    rules = "E,F,W,I,B,UP,SIM,C4,RUF,PT,PTH"
    for folder in sorted(written.glob("pie-*")):
        checked = python(folder, "ruff", "check", "--select", rules, "--ignore", "RUF001,RUF002,RUF003", ".")
        assert checked.returncode == 0, checked.stdout
        formatted = python(folder, "ruff", "format", "--check", ".")
        assert formatted.returncode == 0, formatted.stdout


def test_their_types_hold(written: Path) -> None:
    packages = [str(path) for path in sorted(written.glob("pie-*/pie_*"))]
    done = python(written, "mypy", "--strict", "--cache-dir", str(ROOT / ".mypy_cache"), *packages)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    ("name", "kind", "words"),
    [
        ("Glow", "energy", "no name of a plugin"),
        ("1glow", "energy", "no name of a plugin"),
        ("glow_", "energy", "no name of a plugin"),
        ("glow-", "energy", "no name of a plugin"),
        ("glow/../up", "energy", "no name of a plugin"),
        ("g" * 41, "energy", "no name of a plugin"),
        ("class", "energy", "in Python or in YAML"),
        ("none", "aligner", "in Python or in YAML"),
        ("identity", "energy", "an energy term named 'identity' already"),
        ("full", "energy", "an option energy=full already"),
        ("linear", "energy", "an option method=linear already"),
        ("embedded", "features", "an option features/perceptual=embedded already"),
        ("perceptual", "features", "already"),
        ("energies", "energy", "a package 'pie_energies' is installed already"),
        ("framework", "energy", "a package 'pie_framework' is installed already"),
        ("run", "command", "a command 'pie run' already"),
        ("help", "command", "a command 'pie help' already"),
        ("glow", "energi", "Did you mean 'energy'"),
    ],
)
def test_names_that_cannot_be_used(
    name: str, kind: str, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["plugins", "new", name, "--kind", kind, "--folder", str(tmp_path)]) == 2
    error = capsys.readouterr().err
    assert words in error
    assert error.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_there_stays(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "pie-glow").mkdir()
    assert main(["plugins", "new", "glow", "--kind", "energy", f"--folder={tmp_path}"]) == 2
    assert "is there already" in capsys.readouterr().err
    assert list((tmp_path / "pie-glow").iterdir()) == []


def test_nothing_half_written_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(OSError, match="No space"):
        create("glow", "energy", tmp_path, discover())
    assert list(tmp_path.iterdir()) == []


def test_it_says_what_to_do_next(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["plugins", "new", "soft-glow", "--kind", "energy"]) == 0
    printed = capsys.readouterr().out
    assert "'soft-glow' is called 'soft_glow'" in printed
    last = printed.splitlines()[-1].strip()
    assert last == ("pip install -e pie-soft_glow && pie plugins check soft_glow && pie run energy=soft_glow")
    assert next_commands(Path("my plugins/pie-glow"), "glow", "command") == (
        "pip install -e 'my plugins/pie-glow' && pie plugins check glow && pie glow"
    )
    check_name("run", "observer", discover())  # no command


@pytest.mark.parametrize(
    "arguments",
    [
        ["glow"],
        ["--kind", "energy"],
        ["a", "b", "--kind", "energy"],
        ["glow", "--kind"],
        ["glow", "--kid", "x"],
    ],
)
def test_arguments_that_are_wrong(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plugins", "new", *arguments]) == 2
    assert capsys.readouterr().err.startswith("pie: error: ")


def test_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plugins", "new", "--help"]) == 0
    printed = capsys.readouterr().out
    assert all(kind in printed for kind in RECIPES)
