"""Hooks are called through pluggy: wrappers, order, optional hooks; and none that fails harms another."""

from __future__ import annotations

import pytest

from pie_framework.plugins import Registry, discover

HEADER = """
from pie_framework.api import Command, Component, Kind
from pie_framework.hookspecs import hookimpl

def term(name):
    return Component(Kind.ENERGY, name, "nowhere:build", api_version=(1, 1))
"""


@pytest.fixture
def found(install):
    """The registry of plugins given by their text; each is a distribution `NAME-dist` of its own."""

    def find(**bodies: str) -> Registry:
        for name, body in bodies.items():
            install(f"{name}-dist", {name: f"{name}_plugin"}, {f"{name}_plugin.py": HEADER + body})
        return discover({"PIE_PLUGINS": ",".join(bodies)})

    return find


def names(registry: Registry) -> list[str]:
    return [component.name for component in registry.components()]


def said(registry: Registry) -> str:
    return "\n".join(str(problem) for problem in registry.problems)


PLAIN = """
@hookimpl
def pie_components():
    return [term("plain")]
"""

WRAPPER = """
@hookimpl(wrapper=True)
def pie_components():
    found = yield
    return [[c for c in part if c.name != "plain"] for part in found] + [[term("added")]]
"""

OLD_WRAPPER = """
@hookimpl(hookwrapper=True)
def pie_components():
    outcome = yield
    outcome.force_result(outcome.get_result() + [[term("added")]])
"""


def test_a_wrapper_may_add_and_take_away_and_what_it_adds_is_its_own(found):
    registry = found(plain=PLAIN, wrapping=WRAPPER)
    assert names(registry) == ["added"]
    assert registry.provenance(registry.get("energy", "added")).distribution == "wrapping-dist"
    assert said(registry) == ""


def test_a_wrapper_of_the_old_kind_works_too(found):
    registry = found(plain=PLAIN, wrapping=OLD_WRAPPER)
    assert names(registry) == ["added", "plain"]
    assert registry.provenance(registry.get("energy", "plain")).distribution == "plain-dist"
    assert registry.provenance(registry.get("energy", "added")).distribution == "wrapping-dist"
    assert said(registry) == ""


@pytest.mark.parametrize("marker", ["wrapper", "hookwrapper"])
@pytest.mark.parametrize(
    ("body", "why"),
    [
        ("raise OSError('before')\n    yield", "OSError: before"),
        ("found = yield\n    raise OSError('after')", "OSError: after"),
        ("import sys\n    found = yield\n    sys.exit(5)", "it exits (5)"),
        ("if False: yield", "did not yield"),
        ("yield\n    yield", "yields twice"),
    ],
)
def test_a_wrapper_that_fails_counts_as_if_it_were_not_there(found, marker: str, body: str, why: str):
    wrapper = f"@hookimpl({marker}=True)\ndef pie_components():\n    {body}\n"
    registry = found(plain=PLAIN, other=PLAIN.replace("plain", "other"), wrapping=wrapper)
    assert names(registry) == ["other", "plain"]
    assert len(registry.problems) == 1
    assert "plugin 'wrapping' of wrapping-dist 1.2.3: its hook 'pie_components' failed: " in said(registry)
    assert why in said(registry)


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ("yield", "gave None, not a list of lists"),
        ("found = yield\n    return [c for part in found for c in part]", "not a list of lists"),
        ("found = yield\n    found.clear()\n    raise OSError('emptied')", "OSError: emptied"),
        ("found = yield\n    return [*found, ['a text']]", "gave 'a text', which is not"),
    ],
)
def test_a_wrapper_with_a_wrong_result_changes_nothing(found, body: str, why: str):
    wrapper = f"@hookimpl(wrapper=True)\ndef pie_components():\n    {body}\n"
    registry = found(plain=PLAIN, wrapping=wrapper)
    assert names(registry) == ["plain"]
    assert len(registry.problems) == 1
    assert why in said(registry)


def test_a_wrapper_that_is_no_generator_is_refused_alone(found):
    body = "@hookimpl(wrapper=True)\ndef pie_components():\n    return []\n"
    registry = found(plain=PLAIN, wrong=body)
    assert names(registry) == ["plain"]
    assert len(registry.problems) == 1
    assert "'pie_components' does not fit" in said(registry) and "not a generator function" in said(registry)


@pytest.mark.parametrize(("marker", "first"), [("tryfirst=True", True), ("trylast=True", False)])
def test_the_order_that_a_plugin_asks_for(found, install, marker: str, first: bool):
    def files(name: str, options: str) -> str:
        text = f"@hookimpl({options})\ndef pie_config_paths():\n    return ['conf_{name}.conf']\n"
        install(f"data-{name}", {}, {f"conf_{name}/conf/energy/{name}.yaml": "{}"})
        return text

    registry = found(one=files("one", ""), two=files("two", marker), three=files("three", ""))
    order = [origin.plugin for origin, _ in registry.config_paths()]
    assert sorted(order) == ["one", "three", "two"]
    assert order.index("two") == (0 if first else 2)


def test_a_hook_of_another_version_may_be_optional(found):
    body = PLAIN + "@hookimpl(optionalhook=True)\ndef pie_from_the_future(scene):\n    return []\n"
    registry = found(modern=body)
    assert names(registry) == ["plain"]
    assert said(registry) == ""


def test_a_function_of_another_name_may_say_which_hook_it_is(found):
    body = '@hookimpl(specname="pie_components")\ndef my_components():\n    return [term("named")]\n'
    assert names(found(renamed=body)) == ["named"]


def test_a_plugin_may_be_an_object(install):
    body = HEADER + (
        "class Plugin:\n    def __init__(self): self.name = 'kept'\n"
        "    @hookimpl\n    def pie_components(self): return [term(self.name)]\n"
        "    @property\n    def broken(self): raise OSError('never asked for')\n"
        "plugin = Plugin()\n"
    )
    install("object-dist", {"object": "object_plugin:plugin"}, {"object_plugin.py": body})
    registry = discover({"PIE_PLUGINS": "object"})
    assert names(registry) == ["kept"]


def test_the_same_text_from_two_plugins_keeps_both_origins(found):
    body = "@hookimpl\ndef pie_config_paths():\n    return ['no_such_package.conf', 3]\n"
    registry = found(one=body, two=body)
    told = sorted((problem.provenance.plugin, "gave 3" in problem.message) for problem in registry.problems)
    assert told == [("one", False), ("one", True), ("two", False), ("two", True)]


def test_an_interruption_is_nobodys_failure(found):
    with pytest.raises(KeyboardInterrupt):
        found(
            plain="@hookimpl\ndef pie_components():\n    raise KeyboardInterrupt\n",
            wrapping=WRAPPER,
            older=OLD_WRAPPER,
        )
