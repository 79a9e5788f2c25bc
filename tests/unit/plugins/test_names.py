"""Names of components: what ships keeps its own, and what two packages claim is told apart by their distributions."""

from __future__ import annotations

import pytest

from pie_framework.api import Kind
from pie_framework.cli.main import main
from pie_framework.composition.build import Builder
from pie_framework.composition.schema import parse
from pie_framework.errors import ComponentError
from pie_framework.plugins import Registry, discover

PLUGIN = """
from pie_framework.api import Component, Kind
from pie_framework.hookspecs import hookimpl

class Term:
    def __init__(self, config, context):
        self.origin = __name__

    def energy(self, view, target):
        return view.latent.sum(dim=(1, 2))

@hookimpl
def pie_components():
    return [Component(Kind.{kind}, "{name}", __name__ + ":Term", api_version=(1, 1))]
"""


def add(install, distribution: str, name: str, kind: str = "ENERGY", version: str = "1.2.3") -> None:
    module = distribution.replace("-", "_")
    body = PLUGIN.format(kind=kind, name=name)
    install(distribution, {module: f"{module}_plugin"}, {f"{module}_plugin.py": body}, version=version)


def said(registry: Registry) -> str:
    return "\n".join(str(problem) for problem in registry.problems)


def test_a_shipped_name_cannot_be_taken(install):
    add(install, "pie-rival", "identity")
    registry = discover({})
    assert registry.provenance(registry.get("energy", "identity")).distribution == "pie-framework"
    assert registry.provenance(registry.get("energy", "pie-rival:identity")).distribution == "pie-rival"
    (problem,) = registry.problems
    assert not problem.fatal
    assert problem.provenance.distribution == "pie-rival"
    assert "'identity' is declared twice: by plugin 'energies' of pie-framework" in problem.message
    assert "by plugin 'pie_rival' of pie-rival 1.2.3. The one that ships is used." in problem.message
    assert "ask for it as 'pie-rival:identity'" in problem.message
    assert "identity" in {component.name for component in registry.components(Kind.ENERGY)}


def test_the_shipped_term_works_on_beside_its_rival(install, capsys: pytest.CaptureFixture[str]):
    add(install, "pie-rival", "identity")
    assert main(["run", "energy=full", "--cfg", "job"]) == 0
    assert "plugin 'pie_rival' of pie-rival 1.2.3" in capsys.readouterr().err


def test_a_name_that_two_packages_claim_is_served_by_neither_and_both_are_reachable(install):
    add(install, "first-dist", "same")
    add(install, "second-dist", "same", version="0.7")
    registry = discover({"PIE_PLUGINS": "first-dist,second-dist"})
    assert registry.components() == []
    assert [problem.fatal for problem in registry.problems] == [True]
    with pytest.raises(ComponentError, match="declared twice") as caught:
        registry.get("energy", "same")
    for text in ("first-dist 1.2.3", "second-dist 0.7", "'first-dist:same'", "'second-dist:same'"):
        assert text in str(caught.value)
    for name in ("first-dist", "second-dist", "Second_Dist"):
        component = registry.get("energy", f"{name}:same")
        assert component.target.startswith(name.lower().replace("-", "_"))
    assert [name for name, _ in registry.named("energy")] == ["first-dist:same", "second-dist:same"]


def test_one_of_two_may_be_asked_for_in_a_configuration(install):
    add(install, "first-dist", "same")
    add(install, "second-dist", "same")
    registry = discover({"PIE_PLUGINS": "first-dist,second-dist"})
    stages = {"stages": [{"name": "w", "space": "w", "steps": 1, "lr": 0.1}]}
    terms = {word: {"term": f"{word}-dist:same"} for word in ("first", "second")}
    builder = Builder(parse({"schedule": stages, "device": "cpu", "terms": terms}), registry)
    built = {name: weighted.term.origin for name, weighted in builder.objective().terms.items()}  # type: ignore[attr-defined]
    assert built == {"first": "first_dist_plugin", "second": "second_dist_plugin"}


def test_an_unambiguous_name_may_be_said_in_full(install):
    add(install, "pie-glow", "glow")
    registry = discover({"PIE_PLUGINS": "pie-glow"})
    assert registry.get("energy", "pie-glow:glow") is registry.get("energy", "glow")
    for wrong in ("pie-glov:glow", "pie-glow:glov", ":glow"):
        with pytest.raises(ComponentError, match=f"no energy named '{wrong}'"):
            registry.get("energy", wrong)


def test_a_plugin_that_declares_a_name_twice_keeps_the_first(install):
    body = PLUGIN.format(kind="ENERGY", name="same").replace(
        "api_version=(1, 1))]",
        "api_version=(1, 0)), Component(Kind.ENERGY, 'same', 'b:c', api_version=(1, 1))]",
    )
    install("twin-dist", {"twin": "twin_plugin"}, {"twin_plugin.py": body})
    registry = discover({"PIE_PLUGINS": "twin"})
    assert registry.get("energy", "same").target == "twin_plugin:Term"
    assert registry.get("energy", "twin-dist:same").target == "twin_plugin:Term"
    assert "declared twice" in said(registry) and "The first one counts" in said(registry)


def test_the_same_name_may_be_used_in_two_kinds(install):
    add(install, "one-dist", "same")
    add(install, "two-dist", "same", "RIG")
    registry = discover({"PIE_PLUGINS": "one-dist,two-dist"})
    assert registry.get("rig", "same").kind is Kind.RIG
    assert registry.problems == []


def test_the_listing_shows_all_of_them(install, capsys: pytest.CaptureFixture[str]):
    add(install, "first-dist", "same")
    add(install, "second-dist", "same")
    add(install, "third-dist", "identity")
    assert main(["plugins", "list", "energy"]) == 2
    listed = capsys.readouterr()
    for name in ("first-dist:same", "second-dist:same", "third-dist:identity", " identity "):
        assert name in listed.out
    assert listed.err.count("declared twice") == 2
    assert main(["plugins", "show", "first-dist:same"]) == 0
    assert "first_dist_plugin:Term" in capsys.readouterr().out
    assert main(["plugins", "show", "same"]) == 0
    shown = capsys.readouterr().out
    assert "first_dist_plugin:Term" in shown and "second_dist_plugin:Term" in shown
