"""Discovery: what is found, and that whatever one plugin does wrong is reported by name and stops no other."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from pie_framework.api import Kind
from pie_framework.api.events import RunEnded, RunStarted
from pie_framework.errors import ComponentError, ConfigError
from pie_framework.plugins import HOOK_OF_KIND, Registry, discover

HEADER = """
from pie_framework.api import Component, Kind
from pie_framework.hookspecs import hookimpl
"""


def declares(name: str, hook: str = "pie_energy_terms", kind: str = "ENERGY", extra: str = "") -> str:
    return (
        HEADER
        + f"""
@hookimpl
def {hook}():
    return [Component(Kind.{kind}, "{name}", "nowhere:build", summary="A test."{extra})]
"""
    )


def messages(registry: Registry) -> str:
    return "\n".join(str(problem) for problem in registry.problems)


def test_finds_a_component_with_its_origin(install):
    install("far-away", {"far": "far_plugin"}, {"far_plugin.py": declares("distant")}, version="4.5")
    registry = discover({"PIE_PLUGINS": "far"})
    component = registry.get("energy", "distant")
    assert component.kind is Kind.ENERGY
    assert str(registry.provenance(component)) == "far-away 4.5"
    assert registry.provenance(component).plugin == "far"
    assert registry.problems == []


def test_every_kind_has_a_hook():
    assert set(HOOK_OF_KIND) == set(Kind)


def test_first_party_plugins_are_found_through_the_same_door():
    names = {component.name for component in discover({}).components(Kind.ENERGY)}
    assert {"synthesis", "identity", "edit", "invariance", "recognition"} <= names


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("import not_installed_anywhere", "No module named 'not_installed_anywhere'"),
        ("raise RuntimeError('at import')", "RuntimeError: at import"),
        ("import sys; sys.exit(3)", "exits when imported"),
        ("x = (", "SyntaxError"),
        ("", "implements no hook"),
        (HEADER + "@hookimpl\ndef pie_energy_term():\n    return []\n", "Did you mean 'pie_energy_terms'"),
        (HEADER + "@hookimpl\ndef pie_energy_terms(wrong):\n    return []\n", "wrong"),
        (
            HEADER + "@hookimpl\ndef pie_energy_terms():\n    raise ValueError('inside')\n",
            "ValueError: inside",
        ),
        (HEADER + "@hookimpl\ndef pie_energy_terms():\n    yield 1 / 0\n", "ZeroDivisionError"),
        (HEADER + "@hookimpl\ndef pie_energy_terms():\n    return 5\n", "not iterable"),
        (
            HEADER + "@hookimpl\ndef pie_energy_terms():\n    return ['text']\n",
            "not a pie_framework.api.Component",
        ),
        (declares("old", extra=", api_version=0"), "version 0 of the plugin contract"),
        (declares("misplaced", kind="RIG"), "Declare it in 'pie_rigs'"),
        (HEADER + "@hookimpl\ndef pie_config_paths():\n    return ['no_such.conf']\n", "no_such"),
        (HEADER + "@hookimpl\ndef pie_config_paths():\n    return [3]\n", "not an import path"),
    ],
)
def test_a_broken_plugin_is_named_and_the_rest_goes_on(install, body: str, said: str):
    install("broken-dist", {"broken": "broken_plugin"}, {"broken_plugin.py": body}, version="0.9")
    install("good-dist", {"good": "good_plugin"}, {"good_plugin.py": declares("good_term")})
    registry = discover({"PIE_PLUGINS": "broken,good"})
    assert [component.name for component in registry.components()] == ["good_term"]
    assert len(registry.problems) == 1
    assert "'broken' of broken-dist 0.9" in messages(registry)
    assert said in messages(registry)


def test_what_a_broken_plugin_declared_well_is_kept(install):
    body = (
        HEADER
        + """
@hookimpl
def pie_energy_terms():
    return [Component(Kind.ENERGY, "fine", "nowhere:build"), "not a component"]
"""
    )
    install("half-dist", {"half": "half_plugin"}, {"half_plugin.py": body})
    registry = discover({"PIE_PLUGINS": "half"})
    assert [component.name for component in registry.components()] == ["fine"]
    assert len(registry.problems) == 1


def test_a_name_declared_twice_names_both_packages_and_is_served_by_neither(install):
    install("first-dist", {"first": "first_plugin"}, {"first_plugin.py": declares("same")})
    install("second-dist", {"second": "second_plugin"}, {"second_plugin.py": declares("same")})
    registry = discover({"PIE_PLUGINS": "first,second"})
    assert registry.components() == []
    assert [problem.fatal for problem in registry.problems] == [True]
    with pytest.raises(ComponentError, match=r"declared twice.*-dist 1\.2\.3.*-dist 1\.2\.3") as caught:
        registry.get("energy", "same")
    assert "first-dist" in str(caught.value)
    assert "second-dist" in str(caught.value)


def test_the_same_name_may_be_used_in_two_kinds(install):
    install("one-dist", {"one": "one_plugin"}, {"one_plugin.py": declares("same")})
    install("two-dist", {"two": "two_plugin"}, {"two_plugin.py": declares("same", "pie_rigs", "RIG")})
    registry = discover({"PIE_PLUGINS": "one,two"})
    assert registry.get("rig", "same").kind is Kind.RIG
    assert registry.problems == []


def test_two_plugins_may_share_an_entry_point_name(install):
    install("a-dist", {"p": "plugin_of_a"}, {"plugin_of_a.py": declares("term_a")})
    install("b-dist", {"p": "plugin_of_b"}, {"plugin_of_b.py": declares("term_b")})
    registry = discover({"PIE_PLUGINS": "p"})
    assert [component.name for component in registry.components()] == ["term_a", "term_b"]


def test_an_unknown_name_suggests_near_ones_and_mentions_broken_plugins(install):
    install("good-dist", {"good": "good_plugin"}, {"good_plugin.py": declares("sharpness")})
    install("bad-dist", {"bad": "bad_plugin"}, {"bad_plugin.py": "import gone"})
    registry = discover({"PIE_PLUGINS": "good,bad"})
    with pytest.raises(ComponentError, match=r"Did you mean 'sharpness'.*'bad'"):
        registry.get("energy", "sharpnes")
    with pytest.raises(ComponentError, match="Did you mean 'energy'"):
        registry.get("energi", "sharpness")


@pytest.mark.parametrize(
    ("selection", "left"),
    [
        ("all", {"term_a", "term_b"}),
        ("", {"term_a", "term_b"}),
        ("none", set()),
        ("a", {"term_a"}),
        ("b-dist", {"term_b"}),
        ("a, b", {"term_a", "term_b"}),
        ("-a", {"term_b"}),
        ("-a,-b", set()),
    ],
)
def test_the_environment_selects(install, selection: str, left: set[str]):
    install("a-dist", {"a": "plugin_of_a"}, {"plugin_of_a.py": declares("term_a")})
    install("b-dist", {"b": "plugin_of_b"}, {"plugin_of_b.py": declares("term_b")})
    names = {component.name for component in discover({"PIE_PLUGINS": selection}).components(Kind.ENERGY)}
    assert names & {"term_a", "term_b"} == left


def test_the_environment_must_make_sense(install):
    install("a-dist", {"alpha": "plugin_of_a"}, {"plugin_of_a.py": declares("term_a")})
    with pytest.raises(ConfigError, match=r"'alpa', which is not installed.*'alpha'"):
        discover({"PIE_PLUGINS": "alpa"})
    with pytest.raises(ConfigError, match="mixes"):
        discover({"PIE_PLUGINS": "alpha,-energies"})


def test_configuration_folders_are_found_without_an_init_file(install):
    body = HEADER + "@hookimpl\ndef pie_config_paths():\n    return ['with_conf.conf']\n"
    site = install(
        "conf-dist",
        {"conf": "with_conf.plugin"},
        {"with_conf/__init__.py": "", "with_conf/plugin.py": body, "with_conf/conf/energy/mine.yaml": "{}"},
    )
    registry = discover({"PIE_PLUGINS": "conf"})
    assert messages(registry) == ""
    assert [(str(origin), folder) for origin, folder in registry.config_paths()] == [
        ("conf-dist 1.2.3", site / "with_conf" / "conf")
    ]


class Listener:
    def __init__(self, failing: bool = False) -> None:
        self.heard: list[str] = []
        self.failing = failing

    def pie_run_started(self, event: RunStarted) -> None:
        self.heard.append("started")
        if self.failing:
            raise OSError("disk full")

    def pie_run_ended(self, event: RunEnded) -> None:
        self.heard.append(event.outcome)


def test_an_observer_that_fails_is_reported_and_left_out(install, caplog: pytest.LogCaptureFixture):
    body = HEADER + "@hookimpl\ndef pie_run_started(event):\n    raise KeyError(event.portraits)\n"
    install("watch-dist", {"watch": "watch_plugin"}, {"watch_plugin.py": body})
    steady, failing = Listener(), Listener(failing=True)
    observers = discover({"PIE_PLUGINS": "watch"}).observers(steady, failing)
    with caplog.at_level(logging.WARNING):
        observers.run_started(RunStarted(Path("x"), 2, {"w": 1}, ("synthesis",)))
        observers.run_ended(RunEnded(Path("x"), "finished", "done", 1.0))
    assert steady.heard == ["started", "finished"]
    assert failing.heard == ["started"]
    assert "watch-dist 1.2.3" in caplog.text
    assert "disk full" in caplog.text
