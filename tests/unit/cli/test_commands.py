"""Sub-commands of plugins, and the last boundary of `pie`: one line that says whose fault it is, never a traceback."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from pie_framework.cli import main as cli
from pie_framework.cli.main import COMMANDS, main
from pie_framework.plugins import blame, discover

PLUGIN = """
from pie_framework.api import Command
from pie_framework.hookspecs import hookimpl

@hookimpl
def pie_commands():
    return [Command("{name}", "{target}", "{summary}", api_version={version})]
"""


def add(
    install,
    body: str = "",
    name: str = "glow",
    distribution: str = "pie-glow",
    target: str = "",
    summary: str = "Glows.",
    version: str = "(1, 1)",
) -> Path:
    package = distribution.replace("-", "_")
    files = {
        f"{package}/__init__.py": "",
        f"{package}/plugin.py": PLUGIN.format(
            name=name, target=target or f"{package}.command:main", summary=summary, version=version
        ),
        f"{package}/command.py": body,
    }
    return install(distribution, {package: f"{package}.plugin"}, files)


def test_a_command_of_a_plugin_runs_with_its_words(install, capsys: pytest.CaptureFixture[str]):
    add(install, "def main(words):\n    print('glowing', words)\n    return 3\n")
    assert main(["glow", "a=1", "--bright"]) == 3
    assert capsys.readouterr().out == "glowing ['a=1', '--bright']\n"
    assert main(["pie-glow:glow"]) == 3


def test_help_and_completion_list_it(install, capsys: pytest.CaptureFixture[str], monkeypatch):
    assert main(["--help"]) == 0
    assert "commands of plugins" not in capsys.readouterr().out
    add(install, "raise RuntimeError('help does not import it')", summary="Makes it\\nglow.")
    assert main(["--help"]) == 0
    assert "commands of plugins:\n  glow     Makes it glow.\n" in capsys.readouterr().out
    assert main(["plugins", "list"]) == 0
    assert "command     glow" in capsys.readouterr().out
    monkeypatch.setenv("COMP_LINE", "pie gl")
    assert main(["-sc", "query=bash"]) == 0
    assert "glow" in capsys.readouterr().out.split()
    monkeypatch.setenv("PIE_PLUGINS", "no-such")
    assert main(["--help"]) == 0
    assert "glow" not in capsys.readouterr().out


HELP = """
import json, sys
sys.path[:0] = json.loads(sys.argv[1])
from pie_framework.cli.main import main
main(["--help"])
print(json.dumps(sorted({name.partition(".")[0] for name in sys.modules})))
"""


def test_help_with_commands_of_plugins_imports_nothing_heavy(install):
    site = add(install, "import torch")
    paths = [str(site), *(entry for entry in sys.path if entry)]
    done = subprocess.run(
        [sys.executable, "-c", HELP, json.dumps(paths)],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert "Glows." in done.stdout
    assert not {*json.loads(done.stdout.splitlines()[-1])} & {"torch", "hydra", "omegaconf", "numpy", "rich"}


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        (
            "import gone_away",
            1,
            "cannot be loaded from 'pie_glow.command:main': ModuleNotFoundError: No module named 'gone_away'",
        ),
        ("import sys; sys.exit(1)", 1, "cannot be loaded"),
        ("x = 1", 1, "has no attribute 'main'"),
        ("main = 3", 1, "3 cannot be called"),
        ("def main(words): return {}['lost']", 1, "failed: KeyError: 'lost'"),
        ("def main(): return 0", 1, "failed: TypeError: main() takes 0 positional arguments"),
        ("def main(words): open('/no/such/file')", 1, "FileNotFoundError"),
        ("def main(words): pass", 1, "gave None, not an exit status"),
        ("def main(words): return True", 1, "gave True, not an exit status"),
        ("def main(words): return 'done'", 1, "gave 'done', not an exit status"),
        ("import sys\ndef main(words): sys.exit('no light')", 1, "failed: no light"),
    ],
)
def test_what_goes_wrong_is_one_line_that_names_the_plugin(
    install, capsys: pytest.CaptureFixture[str], body: str, status: int, said: str
):
    add(install, body)
    assert main(["glow"]) == status
    error = capsys.readouterr().err
    assert "the command 'glow' of plugin 'pie_glow' of pie-glow 1.2.3 " in error
    assert said in error
    assert error.count("\n") == 1


def test_debug_shows_the_plugins_traceback(install):
    add(install, "def main(words): return {}['lost']")
    with pytest.raises(Exception, match="lost") as caught:
        main(["glow", "--debug"])
    assert isinstance(caught.value.__cause__, KeyError)


def test_bad_input_is_status_2_and_argparse_may_leave(install, capsys: pytest.CaptureFixture[str]):
    body = """
import argparse
from pie_framework.errors import ConfigError

def main(words):
    parser = argparse.ArgumentParser("pie glow")
    parser.add_argument("level", type=int)
    if parser.parse_args(words).level < 0:
        raise ConfigError("level: it cannot be negative", "Try 1.")
    return 0
"""
    add(install, body)
    assert main(["glow", "3"]) == 0
    assert main(["glow", "--help"]) == 0
    assert "usage: pie glow" in capsys.readouterr().out
    assert main(["glow", "high"]) == 2
    assert "invalid int value" in capsys.readouterr().err
    assert main(["glow", "--", "-3"]) == 2
    assert capsys.readouterr().err == "pie: error: level: it cannot be negative. Try 1.\n"


@pytest.mark.parametrize("name", ["plugins", "help"])
def test_a_shipped_command_cannot_be_taken(install, capsys: pytest.CaptureFixture[str], name: str):
    add(install, "def main(words):\n    print('taken over')\n    return 0\n", name=name)
    assert main([name, "--help"]) == 0
    assert "taken over" not in capsys.readouterr().out
    assert main([f"pie-glow:{name}"]) == 0
    assert capsys.readouterr().out == "taken over\n"
    (problem,) = discover({"PIE_PLUGINS": "pie-glow"}).problems
    assert f"the command '{name}' is one of pie's own" in problem.message
    assert problem.provenance.distribution == "pie-glow"


@pytest.mark.parametrize("name", [*COMMANDS, "help"])
def test_no_command_that_ships_has_another_meaning(install, name: str):
    add(install, name=name)
    registry = discover({"PIE_PLUGINS": "pie-glow"})
    assert registry.command(name) is None
    assert [found for found, _, _ in registry.commands()] == [f"pie-glow:{name}"]
    assert len(registry.problems) == 1


def test_two_plugins_with_the_same_command(install, capsys: pytest.CaptureFixture[str]):
    for distribution in ("pie-glow", "pie-shine"):
        body = f"def main(words):\n    print('{distribution}')\n    return 0\n"
        add(install, body, name="light", distribution=distribution)
    assert main(["light"]) == 2
    error = capsys.readouterr().err
    assert "'pie-glow:light'" in error and "'pie-shine:light'" in error and error.count("\n") == 1
    assert main(["pie-shine:light"]) == 0
    assert capsys.readouterr().out == "pie-shine\n"
    assert main(["--help"]) == 0
    assert "pie-glow:light" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("declared", "said"),
    [
        ({"name": "Glow"}, "the name 'Glow' is no name of a command"),
        ({"name": "a b"}, "the name 'a b' is no name of a command"),
        ({"target": "pie_glow.command"}, "the target 'pie_glow.command' of the command 'glow' is not"),
        ({"version": "None"}, "the command 'glow' does not say for which version"),
        ({"version": "(2, 0)"}, "the command 'glow' is written for version 2.0"),
    ],
)
def test_a_declaration_that_is_wrong_is_reported(install, declared: dict[str, str], said: str):
    add(install, **declared)
    registry = discover({"PIE_PLUGINS": "pie-glow"})
    assert registry.commands() == []
    assert said in registry.problems[0].message


def test_an_unknown_command_suggests_those_of_plugins_too(install, capsys: pytest.CaptureFixture[str]):
    add(install)
    assert main(["glo"]) == 2
    assert "there is no command 'glo'. Did you mean 'glow'" in capsys.readouterr().err


def test_an_unknown_command_mentions_plugins_with_problems(install, capsys: pytest.CaptureFixture[str]):
    install("bad-dist", {"bad": "bad_plugin"}, {"bad_plugin.py": "import gone"})
    assert main(["glow"]) == 2
    assert "Plugins with problems: 'bad'" in capsys.readouterr().err


# ---- the last boundary -----------------------------------------------------------------------------------------


def stopped(monkeypatch: pytest.MonkeyPatch, action) -> int:
    monkeypatch.setattr(cli, "_dispatch", lambda words: action())
    return main(["run"])


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("def go(): {}['lost']", "KeyError: 'lost'"),
        ("def go(): open('/no/such/file')", "FileNotFoundError"),
        ("def go(): raise SystemExit(3)", "it exits (3)"),
        ("import torch\ndef go(): torch.zeros(2) @ torch.zeros(3)", "RuntimeError"),
        ("def go(): raise ValueError('two\\nlines ' + 'x' * 5000)", "ValueError: two lines xxx"),
    ],
)
def test_an_exception_from_a_plugin_names_it(
    install, monkeypatch, capsys: pytest.CaptureFixture[str], body: str, said: str
):
    add(install, body)
    import importlib

    assert stopped(monkeypatch, lambda: importlib.import_module("pie_glow.command").go()) == 1
    error = capsys.readouterr().err
    assert error.startswith("pie: error: plugin 'pie_glow' of pie-glow 1.2.3 failed: ")
    assert said in error and "--debug" in error
    assert error.count("\n") == 1 and len(error) < 800
    with pytest.raises((Exception, SystemExit)):
        main(["run", "--debug"])


def test_an_exception_that_a_plugins_own_led_to_names_it(install):
    add(install, "def go(): 1 / 0")
    import importlib

    def wrapped() -> None:
        try:
            importlib.import_module("pie_glow.command").go()
        except ZeroDivisionError as error:
            raise RuntimeError("the step failed") from error

    with pytest.raises(RuntimeError) as caught:
        wrapped()
    assert "plugin 'pie_glow' of pie-glow 1.2.3" in blame(caught.value, discover())


def test_of_two_plugins_in_one_namespace_the_one_that_failed_is_named(install):
    import importlib

    for name in ("first", "second"):
        body = PLUGIN.format(name=name, target=f"space.{name}.command:main", summary="", version="(1, 1)")
        files = {f"space/{name}/plugin.py": body, f"space/{name}/deeper.py": "def go(): 1 / 0\n"}
        install(
            f"{name}-dist", {name: f"space.{name}.plugin"}, {**files, "space/common.py": "def go(): 1 / 0\n"}
        )
    for module, said in {
        "space.first.deeper": "plugin 'first' of first-dist",
        "space.second.deeper": "plugin 'second' of second-dist",
        "space.common": "internal error",
    }.items():
        with pytest.raises(ZeroDivisionError) as caught:
            importlib.import_module(module).go()
        assert said in blame(caught.value, discover())


def test_a_plugin_whose_command_is_of_the_standard_library_is_not_blamed_for_it(install):
    add(install, target="json:loads")
    with pytest.raises(ValueError, match="Expecting value") as caught:
        json.loads("?")
    assert "internal error" in blame(caught.value, discover())


def test_an_installation_that_cannot_be_looked_at_hides_no_error(monkeypatch, capsys):
    monkeypatch.setattr("pie_framework.plugins.discover", lambda: 1 / 0)
    assert stopped(monkeypatch, lambda: {}["lost"]) == 1
    assert "internal error of pie-framework: KeyError: 'lost'" in capsys.readouterr().err


def test_any_other_exception_is_an_internal_error(monkeypatch, capsys: pytest.CaptureFixture[str]):
    assert stopped(monkeypatch, lambda: {}["lost"]) == 1
    assert capsys.readouterr().err == (
        "pie: error: internal error of pie-framework: KeyError: 'lost'. --debug shows where.\n"
    )


def test_an_exception_of_what_ships_is_an_internal_error():
    from pie_optimizers.adam import Adam

    with pytest.raises(Exception) as caught:  # noqa: PT011 - whatever it is
        Adam(None, None).start(None)  # type: ignore[arg-type, attr-defined]
    assert "internal error of pie-framework" in blame(caught.value, discover())


def test_a_plugin_that_reuses_what_ships_is_not_blamed_for_it(install):
    add(install, target="pie_framework.cli.plugins.listing:main")
    with pytest.raises(TypeError) as caught:
        discover(selection=1)  # type: ignore[call-arg]
    assert "internal error of pie-framework" in blame(caught.value, discover())


def test_an_exit_that_is_nobodys_is_left_alone(monkeypatch):
    with pytest.raises(SystemExit):
        stopped(monkeypatch, lambda: sys.exit(4))
