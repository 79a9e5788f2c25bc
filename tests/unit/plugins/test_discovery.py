"""Discovery: what is found, and that whatever one plugin does wrong is reported by name and stops no other."""

from __future__ import annotations

from pathlib import Path

import pytest

from pie_framework.api import Kind
from pie_framework.cli.main import main
from pie_framework.errors import ComponentError, ConfigError
from pie_framework.plugins import Registry, discover, discovery

HEADER = """
from pie_framework.api import Component, Kind
from pie_framework.hookspecs import hookimpl
"""


def hook(name: str, *lines: str) -> str:
    return HEADER + f"@hookimpl\ndef {name}:\n" + "".join(f"    {line}\n" for line in lines or ["pass"])


def declares(name: str, kind: str = "ENERGY", extra: str = "api_version=(1, 1)") -> str:
    return hook("pie_components()", f'return [Component(Kind.{kind}, "{name}", "nowhere:build", {extra})]')


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


def test_first_party_plugins_are_found_through_the_same_door():
    names = {component.name for component in discover({}).components(Kind.ENERGY)}
    assert {"synthesis", "identity", "edit", "invariance", "recognition"} <= names


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("import not_installed_anywhere", "No module named 'not_installed_anywhere'"),
        ("raise RuntimeError('at import')", "RuntimeError: at import"),
        ("import sys; sys.exit(3)", "cannot be loaded: it exits (3)"),
        ("x = (", "SyntaxError"),
        ("", "implements no hook"),
        (
            "class E(Exception):\n    def __str__(self): return 1 / 0\nraise E",
            "E: its message cannot be shown",
        ),
        (
            hook("pie_component()", "return []"),
            "'pie_component', which does not exist. Did you mean 'pie_components'",
        ),
        (hook("pie_components(wrong)", "return []"), "{'wrong'}"),
        (hook("pie_run_started(evnt)"), "Arguments of 'pie_run_started': 'event'"),
        (
            hook("pie_components()", "raise ValueError('inside')"),
            "'pie_components' failed: ValueError: inside",
        ),
        (hook("pie_components()", "import sys", "sys.exit(4)"), "'pie_components' failed: it exits (4)"),
        (hook("pie_components()", "yield 1 / 0"), "ZeroDivisionError"),
        (hook("pie_components()", "return 5"), "not iterable"),
        (hook("pie_components()", "return 'text'"), "it gave 'text', not a list"),
        (hook("pie_components()", "return Component(Kind.RIG, 'a', 'b:c')"), "not a list"),
        (hook("pie_components()", "return ['text']"), "not a pie_framework.api.Component"),
        (hook("pie_commands()", "return ['text']"), "not a pie_framework.api.Command"),
        (declares("old", extra="api_version=(0, 9)"), "version 0.9 of the plugin contract"),
        (declares("new", extra="api_version=(1, 99)"), "version 1.99 of the plugin contract"),
        (declares("next", extra="api_version=(2, 0)"), "Upgrade pie-framework"),
        (declares("whole", extra="api_version=1"), "api_version 1 of the energy 'whole' is no version"),
        (declares("silent", extra="summary=''"), "does not say for which version"),
        (declares("Big-Name"), "begins with a small letter"),
        (declares("x", extra="api_version=(1, 1), config=dict(a=1)"), "must be a dataclass"),
        (
            declares("x", extra="api_version=(1, 1), requires='encoder'"),
            "must be a set of texts, not 'encoder'",
        ),
        (
            declares("x", extra="api_version=(1, 1), requires={'encodr'}"),
            "the energy 'x' requires 'encodr', which is not what a run can choose. Did you mean 'encoder'",
        ),
        (declares("x", extra="api_version=(1, 1), requires={'scenes'}"), "requires 'scenes'"),
        (declares("x", extra="api_version=(1, 1), requires={'encoder.big'}"), "requires 'encoder.big'"),
        (declares("x", extra="api_version=(1, 1), requires={'features.'}"), "requires 'features.'"),
        (declares("null"), "the name 'null' of an energy term means something else"),
        (declares("none", "RIG"), "the name 'none' of a rig network means something else"),
        (declares("x", extra="api_version=(1, 1), assets=('a.pt',)"), "must be a tuple of Asset"),
        (declares("x", extra="api_version=(1, 1), summary=None"), "the summary of the energy 'x'"),
        (declares("x").replace("nowhere:build", "nowhere.build"), "is not 'module:callable'"),
        (declares("x").replace("Kind.ENERGY", "'energi'"), "with the kind 'energi'"),
        (hook("pie_config_paths()", "return ['no_such.conf']"), "no_such"),
        (hook("pie_config_paths()", "return [3]"), "not an import path"),
        (hook("pie_config_paths()", "return ['a b']"), "not an import path"),
        (hook("pie_config_paths()", "return 'my.conf'"), "it gave 'my.conf', not a list"),
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
    items = 'Component(Kind.ENERGY, "{}", "nowhere:build", api_version={})'
    before, wrong, after = (
        items.format("a", "(1, 1)"),
        items.format("b", "(3, 0)"),
        items.format("c", "(1, 0)"),
    )
    body = hook("pie_components()", f"return [{before}, {wrong}, 'not a component', {after}]")
    install("half-dist", {"half": "half_plugin"}, {"half_plugin.py": body})
    registry = discover({"PIE_PLUGINS": "half"})
    assert [component.name for component in registry.components()] == ["a", "c"]
    assert len(registry.problems) == 2


def test_what_a_generator_yielded_before_it_failed_is_kept(install):
    first = 'yield Component(Kind.ENERGY, "first", "nowhere:build", api_version=(1, 1))'
    body = hook("pie_components()", first, "raise OSError('no more')", first.replace("first", "second"))
    install("half-dist", {"half": "half_plugin"}, {"half_plugin.py": body})
    registry = discover({"PIE_PLUGINS": "half"})
    assert [component.name for component in registry.components()] == ["first"]
    assert "'half' of half-dist 1.2.3: its hook 'pie_components' failed: OSError: no more" in messages(
        registry
    )


def test_a_hook_that_does_not_fit_leaves_the_others_of_its_plugin(install):
    body = declares("fine") + hook("pie_config_paths(wrong)") + hook("pie_no_such_hook()")
    install("half-dist", {"half": "half_plugin"}, {"half_plugin.py": body})
    registry = discover({"PIE_PLUGINS": "half"})
    assert [component.name for component in registry.components()] == ["fine"]
    assert len(registry.problems) == 2
    assert "'pie_config_paths' does not fit" in messages(registry)
    assert "'pie_no_such_hook', which does not exist" in messages(registry)


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
        ("B_dist", {"term_b"}),
        ("-b.Dist", {"term_a"}),
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


def test_damaged_metadata_hide_nothing(install, capsys: pytest.CaptureFixture[str]):
    site = install("lost-dist", {"lost": "lost_plugin"}, {"lost_plugin.py": declares("found")})
    (site / "lost_dist-1.2.3.dist-info" / "METADATA").unlink()
    registry = discover({})
    assert str(registry.provenance(registry.get("energy", "found"))) == "unknown distribution unknown version"
    assert main(["--help"]) == 0


def test_a_configuration_that_cannot_be_read_is_reported(install, monkeypatch: pytest.MonkeyPatch):
    body = hook("pie_config_paths()", "return ['with_conf.conf']")
    files = {"with_conf/__init__.py": "", "with_conf/plugin.py": body, "with_conf/conf/energy/mine.yaml": ""}
    install("conf-dist", {"conf": "with_conf.plugin"}, files)
    monkeypatch.setattr(Path, "rglob", lambda self, pattern: self.open().read())
    assert "cannot be read: IsADirectoryError" in messages(discover({"PIE_PLUGINS": "conf"}))
    monkeypatch.setattr(Path, "is_dir", lambda self: self.open().read() == "")
    assert "'with_conf.conf' cannot be found: IsADirectoryError" in messages(
        discover({"PIE_PLUGINS": "conf"})
    )


def test_configuration_folders_are_found_without_an_init_file(install):
    body = hook("pie_config_paths()", "return ['with_conf.conf']")
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


@pytest.mark.parametrize(("value", "kept"), [(None, (1, 0)), (1, (1, 0)), ((1, 1), (1, 1))])
def test_an_old_hook_works_on_with_one_line_that_names_the_new_one(
    install, value: object, kept: tuple[int, int]
):
    body = declares("aged", extra=f"api_version={value}").replace("pie_components", "pie_energy_terms")
    install("old-dist", {"old": "old_plugin"}, {"old_plugin.py": body})
    registry = discover({"PIE_PLUGINS": "old"})
    assert registry.get("energy", "aged").api_version == kept
    assert messages(registry) == (
        "plugin 'old' of old-dist 1.2.3: its hook 'pie_energy_terms' goes with the next release: "
        "give an energy term in 'pie_components' instead"
    )
    assert not registry.problems[0].fatal


@pytest.mark.parametrize("kind", [kind for kind in Kind if kind.old_hook])
def test_every_old_hook_is_still_called(install, kind: Kind):
    body = declares("aged", kind.name, "summary=''").replace("pie_components", kind.old_hook)
    install("old-dist", {"old": "old_plugin"}, {"old_plugin.py": body})
    registry = discover({"PIE_PLUGINS": "old"})
    assert [(c.kind, c.name) for c in registry.components()] == [(kind, "aged")]
    assert kind.old_hook in messages(registry)


def test_an_old_hook_of_another_version_is_refused(install):
    body = declares("aged", extra="api_version=2").replace("pie_components", "pie_energy_terms")
    install("old-dist", {"old": "old_plugin"}, {"old_plugin.py": body})
    registry = discover({"PIE_PLUGINS": "old"})
    assert registry.components() == []
    assert "version 2.0 of the plugin contract, this is version 1." in messages(registry)


@pytest.mark.parametrize("slow", [False, True])
def test_a_slow_import_is_named(install, monkeypatch: pytest.MonkeyPatch, slow: bool):
    monkeypatch.setattr(discovery, "SLOW_IMPORT", -1.0 if slow else 1e9)
    install("lazy-dist", {"lazy": "lazy_plugin"}, {"lazy_plugin.py": declares("late")})
    registry = discover({"PIE_PLUGINS": "lazy,energies"})
    assert registry.get("energy", "late")
    assert ("importing it is slow" in messages(registry)) is slow
    assert all(problem.provenance.plugin == "lazy" and not problem.fatal for problem in registry.problems)


def test_an_import_of_torch_is_named(install, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(discovery, "HEAVY", "weighty")
    monkeypatch.setattr(discovery, "SLOW_IMPORT", 1e9)
    files = {"weighty.py": "", "heavy_plugin.py": "import weighty\n" + declares("late")}
    install("heavy-dist", {"heavy": "heavy_plugin"}, files)
    assert "importing it loads weighty" in messages(discover({"PIE_PLUGINS": "heavy"}))
    assert messages(discover({"PIE_PLUGINS": "heavy"})) == "", "it was there already"


def test_a_configuration_file_that_is_never_read_is_reported(install):
    core = discovery.core_config()
    for name in ("one", "two"):
        body = hook("pie_config_paths()", f"return ['{name}_conf.conf']")
        files = {f"{name}_conf/plugin.py": body, f"{name}_conf/conf/energy/mine.yaml": "{}"}
        if name == "two":
            files["two_conf/conf/energy/full.yaml"] = "{}"
        site = install(f"{name}-dist", {name: f"{name}_conf.plugin"}, files)
    registry = discover({"PIE_PLUGINS": "one,two"})
    first, hidden = (folder for _, folder in registry.config_paths())
    said = messages(registry)
    assert (
        f"{site}/two_conf/conf/energy/full.yaml' is never read: '{core}/energy/full.yaml' comes first" in said
    )
    assert f"{hidden}/energy/mine.yaml' is never read: '{first}/energy/mine.yaml' comes first" in said
    assert len(registry.problems) == 2
