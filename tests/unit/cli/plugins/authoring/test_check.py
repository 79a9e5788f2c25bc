"""`pie plugins check` passes what is right, names what is wrong, and needs no pytest."""

from __future__ import annotations

import dataclasses
import logging
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hydra.core.global_hydra import GlobalHydra

from pie_framework.api import Asset, Component, Kind
from pie_framework.cli.main import main
from pie_framework.cli.plugins.authoring import declaration
from pie_framework.cli.plugins.authoring.check import Worlds
from pie_framework.cli.plugins.authoring.create import create
from pie_framework.cli.plugins.authoring.outcomes import Outcome, Status
from pie_framework.cli.plugins.authoring.recipes import RECIPES
from pie_framework.errors import AssetError, ComponentError
from pie_framework.plugins import discover
from pie_framework.testing import toy_context

Install = Callable[..., Path]
#: Starts a process; the tests that are not about it do without.
imported = declaration.imported

PLUGIN = """
from dataclasses import dataclass
from pie_framework.api import Component, Kind
from pie_framework.hookspecs import hookimpl

{extra}

@dataclass(frozen=True)
class Settings:
    {settings}


@hookimpl
def pie_components():
    return [Component(Kind.ENERGY, "fog", "fog_term:build", Settings, "Fog.", requires=frozenset({{{requires}}}),
                      api_version=(1, 1))]
"""
TERM = """
class Fog:
    def __init__(self, config, context):
        {init}

    def energy(self, view, target):
        return (view.latent {latent}).square().mean(dim=(1, 2))


build = Fog
"""
DOCUMENTED = '''"""Settings of the fog.

    Attributes:
        depth: of it.
    """

    depth: float = 1.0'''


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(declaration, "imported", lambda module: Outcome(declaration.IMPORT, Status.PASS))
    GlobalHydra.instance().clear()
    yield
    GlobalHydra.instance().clear()


def fog(install: Install, settings: str = DOCUMENTED, **parts: str) -> None:
    """Install a term that is right but for the parts given."""
    plugin = {"extra": "", "requires": "", "settings": settings} | parts
    term = {"init": "pass", "latent": "- 1"} | parts
    install(
        "pie-fog",
        {"fog": "fog_plugin"},
        {"fog_plugin.py": PLUGIN.format(**plugin), "fog_term.py": TERM.format(**term)},
    )


def table(capsys: pytest.CaptureFixture[str]) -> dict[str, str]:
    """The result of each check that was printed."""
    printed = capsys.readouterr().out
    return dict(re.findall(r"^ (\S.*?)  +(pass|FAIL|warn|skip)\b", printed, re.M))


def test_a_good_term(install: Install, capsys: pytest.CaptureFixture[str]) -> None:
    fog(install)
    assert main(["plugins", "check", "fog", "--strict"]) == 0
    results = table(capsys)
    assert len(results) > 18
    assert set(results.values()) == {"pass", "skip"}
    assert results["float32 agrees with float64"] == results["cost"] == "pass"
    assert logging.getLogger("pie_framework").level == logging.NOTSET, "warnings stay off"


#: A hook whose argument does not exist.
MISFIT = """
@hookimpl
def pie_steps_done(step):
    pass
"""
ERROR = "from pie_framework.errors import {0}; raise {0}('no clouds')"


@pytest.mark.parametrize(
    ("parts", "check", "result"),
    [
        ({"extra": MISFIT}, "what the plugin offers", "FAIL"),
        ({"init": "context.get('encoder')"}, "declaration against use", "FAIL"),
        (
            {"init": "self.encoder = context.get('encoder')", "requires": "'encoder'"},
            "declaration against use",
            "pass",
        ),
        ({"init": "raise RuntimeError('thunder')"}, "build", "FAIL"),
        ({"init": "raise SystemExit(3)"}, "build", "FAIL"),
        ({"init": ERROR.format("ComponentError")}, "build", "FAIL"),
        ({"init": ERROR.format("AssetError")}, "conformance", "warn"),
        ({"requires": "'encoder'"}, "uses what it requires", "warn"),
        ({"settings": "depth: float = 1.0"}, "settings documented", "warn"),
        ({"settings": "depth: complex = 1j"}, "settings round trip", "FAIL"),
        ({"settings": "depth: float"}, "conformance", "warn"),
        ({"latent": ".double()"}, "one finite value per portrait", "FAIL"),  # in float32
        ({"latent": ".detach()"}, "gradient equals finite differences", "FAIL"),
        ({"latent": ".mul_(0.5)"}, "changes nothing that it is given", "FAIL"),
    ],
)
def test_what_is_wrong_is_named(
    parts: dict[str, str], check: str, result: str, install: Install, capsys: pytest.CaptureFixture[str]
) -> None:
    fog(install, **parts)
    status = main(["plugins", "check", "fog"])
    results = table(capsys)
    assert results[check] == result
    assert status == ("FAIL" in results.values())
    if result == "warn":
        assert main(["plugins", "check", "fog", "--strict"]) == 1


def test_what_is_imported_with_the_plugin(install: Install) -> None:
    install("pie-fog", {}, {"fog_heavy.py": "import torch", "torch.py": ""})
    assert imported("fog_heavy").status is Status.FAIL
    assert declaration.judged("fog", 0.02, False).status is Status.PASS
    slow = declaration.judged("fog", 1.5, False)
    assert slow.status is Status.WARN
    assert "1.5 s" in slow.reason


@pytest.mark.parametrize("kind", list(RECIPES))
def test_what_new_writes_passes_strictly(
    kind: str, install: Install, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = create("mist", kind, tmp_path / "made", discover())
    files = {
        path.relative_to(folder).as_posix(): path.read_text() for path in folder.rglob("*") if path.is_file()
    }
    entry = re.search(r'^mist = "(.+)"$', files.pop("pyproject.toml"), re.M)
    assert entry is not None
    install("pie-mist", {"mist": entry[1]}, files)
    assert main(["plugins", "check", "mist", "--strict"]) == 0
    results = table(capsys)
    assert len(results) >= 4
    assert set(results.values()) <= {"pass", "skip"}


OBSERVER = """
from pie_framework.hookspecs import hookimpl


@hookimpl
def pie_steps_done(event):
    {body}
"""


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ("pass", 0),
        ("raise RuntimeError", 1),
        ("event.weighted.clear()", 1),
        ("import random; random.random()", 1),
    ],
)
def test_observers(body: str, status: int, install: Install, capsys: pytest.CaptureFixture[str]) -> None:
    install("pie-fog", {"fog": "fog_plugin"}, {"fog_plugin.py": OBSERVER.format(body=body)})
    assert main(["plugins", "check", "fog"]) == status
    assert ("FAIL" in table(capsys).values()) == bool(status)


COMMAND = """
from pie_framework.api import Command
from pie_framework.hookspecs import hookimpl


@hookimpl
def pie_commands():
    return [Command("fog", "fog_plugin:main", "Fog.", (1, 1))]


def main(words):
    {body}
"""


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ("print('usage'); return 0 if words == ['--help'] else 2", 0),
        ("return 0", 1),
        ("print('usage'); return None", 1),
        ("raise RuntimeError", 1),
        ("raise SystemExit(0)", 1),
        ("import argparse; argparse.ArgumentParser().parse_args(words)", 0),
        ("print('usage'); raise SystemExit('not so' if words != ['--help'] else None)", 0),
    ],
)
def test_commands(body: str, status: int, install: Install, capsys: pytest.CaptureFixture[str]) -> None:
    install("pie-fog", {"fog": "fog_plugin"}, {"fog_plugin.py": COMMAND.format(body=body)})
    assert main(["plugins", "check", "fog"]) == status
    assert ("FAIL" in table(capsys).values()) == bool(status)


def test_names(install: Install, capsys: pytest.CaptureFixture[str]) -> None:
    fog(install)
    assert main(["plugins", "check", "PIE_fog", "--kind", "energy", "depth=2.0"]) == 0
    assert "energy fog of pie-fog 1.2.3" in capsys.readouterr().out
    for wrong, words in {
        ("fogg",): "Did you mean 'fog'?",
        ("fog", "--kind", "rig"): "'fog' is no rig. It is: energy.",
        ("pie-fog", "--kind", "rig"): "'pie-fog' offers no rig. It offers: energy.",
        ("fog", "--kind", "enrgy"): "there is no --kind enrgy. Did you mean 'energy'",
        ("fog", "--strikt"): "Did you mean '--strict'?",
        ("pie-fog:rain",): "no plugin offers",
        ("fog", "dept=1"): "Did you mean 'depth'?",
        ("fog", "fog"): "takes one name",
        ("optimizers", "lr=1"): "Name one: 'pie-framework:adadelta' or 'pie-framework:adam'",
        ("deep3d", "weights=1"): "Add --kind encoder.",
        ("perceptual", "--kind", "trainer", "seed=1"): "use none",
        ("fog", "=5"): "'=5' does not say which setting",
        ("fog", "depth={"): "'depth={' cannot be read",
        ("fog", "depth=${x"): "cannot be read",
    }.items():
        assert main(["plugins", "check", *wrong]) == 2
        assert words in capsys.readouterr().err


def test_a_plugin_that_cannot_be_loaded_is_named(
    install: Install, capsys: pytest.CaptureFixture[str]
) -> None:
    install("pie-fog", {"fog": "fog_plugin"}, {"fog_plugin.py": "raise RuntimeError('no view')"})
    assert main(["plugins", "check", "fog"]) == 2
    assert "no view" in capsys.readouterr().err


def test_pytest_is_not_needed() -> None:
    code = (
        "import sys; sys.modules['pytest'] = sys.modules['_pytest'] = None\n"
        "from pie_framework.cli.main import main\n"
        "sys.exit(main(['plugins', 'check', 'adam']))"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "goes on from its state" in done.stdout


def test_without_assertions_it_refuses() -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    done = subprocess.run(
        [sys.executable, "-O", "-m", "pie_framework.cli.main", "plugins", "check", "adam"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "without -O" in done.stderr


@pytest.mark.parametrize(("digest", "status"), [(None, Status.PASS), ("0" * 64, Status.FAIL)])
def test_declared_files(digest: str | None, status: Status) -> None:
    files = (Asset("marker", "pkg://pie_framework/py.typed", digest), Asset("elsewhere", "asset://nothing"))
    component = Component(Kind.RIG, "fog", "fog:build", assets=files, api_version=(1, 1))
    (found,) = declaration.packaged(component)
    assert found.status is status


@dataclass(frozen=True)
class Made(Component):
    """A component whose factory is the function that it is given."""

    factory: Callable[[Any, Any], Any] = lambda config, context: None

    def load(self) -> Callable[[Any, Any], Any]:
        return self.factory


def worlds(
    monkeypatch: pytest.MonkeyPatch, factory: Callable[[Any, Any], Any], requires: Any = frozenset()
) -> Worlds:
    """Where a rig is built, without composing the default run."""
    monkeypatch.setattr("pie_framework.cli.plugins.authoring.check.compose", lambda *_: None)
    monkeypatch.setattr(
        "pie_framework.cli.plugins.authoring.check.Builder", lambda *_: toy_context(blocks=("default",))
    )
    component = Made(Kind.RIG, "fog", "fog:build", requires=requires, api_version=(1, 1), factory=factory)
    return Worlds(component, discover(entry_points=[]), None)


def test_the_fault_of_a_plugin_comes_before_what_only_its_user_has(monkeypatch: pytest.MonkeyPatch) -> None:
    def build(config: Any, context: Any) -> Any:
        if "default" in context.blocks:
            raise AssetError("there are no clouds")
        raise failure

    failure: Exception = RuntimeError("thunder")
    found = worlds(monkeypatch, build).choose()
    assert (found.status, found.error) == (Status.FAIL, failure)
    assert "in the toy world" in found.reason
    failure = ComponentError("the toy world has no fog")
    assert worlds(monkeypatch, build).choose().status is Status.WARN


def test_requires_may_be_any_sequence(monkeypatch: pytest.MonkeyPatch) -> None:
    here = worlds(monkeypatch, lambda config, context: context.encoder(), ["encoder", "generator"])
    assert here.choose().status is Status.PASS
    assert here.requires - here.used == {"generator"}


def test_the_sizes_of_a_rig_are_its_own_or_those_of_its_world(monkeypatch: pytest.MonkeyPatch) -> None:
    here = worlds(monkeypatch, lambda config, context: None)
    generator, model = SimpleNamespace(num_layers=10, latent_dim=512), SimpleNamespace(layout="its layout")
    world: Any = SimpleNamespace(get={Kind.GENERATOR: generator, Kind.FACE_MODEL: model}.__getitem__)
    assert here._shapes(SimpleNamespace(num_layers=3), world) == {"num_layers": 3, "latent_dim": 512}
    editor = dataclasses.replace(here.component, kind=Kind.EDITOR)
    assert Worlds(editor, here.registry, None)._shapes(object(), world)["layout"] == "its layout"
    own = SimpleNamespace(num_layers=3, latent_dim=5)
    assert here._shapes(own, SimpleNamespace(get=None)) == vars(own)  # type: ignore[arg-type]
