"""Broken plugins: modules, hooks, declarations, configuration, commands and observers."""

from __future__ import annotations

from tests.integration.broken.world import HEADER, RUN, Case

LIST = ("plugins", "list")
WHO = "plugin 'odd' of odd-dist 1.0"
GOOD = 'Component(Kind.ENERGY, "fine", "odd.term:Term", api_version=(1, 1))'


def plugin(fault: str, text: str, said: str, words: tuple[str, ...] = LIST, status: int = 0) -> Case:
    """A plugin whose module is `text`; the others are listed all the same."""
    return Case("plugin", fault, {"odd/plugin.py": text}, words, status, said)


def declares(fault: str, item: str, said: str, status: int = 0) -> Case:
    """A plugin that declares `item` between two that are good."""
    other = GOOD.replace("fine", "other")
    text = f"{HEADER}\n\n@hookimpl\ndef pie_components():\n    return [{GOOD}, {item}, {other}]\n"
    return plugin(fault, text, said, status=status)


def hook(fault: str, body: str, said: str, name: str = "pie_components()") -> Case:
    return plugin(fault, f"{HEADER}\n\n@hookimpl\ndef {name}:\n    {body}\n", said)


def command(fault: str, body: str, said: str, status: int = 1) -> Case:
    """A plugin with the sub-command `odd`, whose function ends with `body`."""
    declared = '[Command("odd", "odd.cli:main", "Odd.", api_version=(1, 1))]'
    files = {
        "odd/plugin.py": f"{HEADER}\n\n@hookimpl\ndef pie_commands():\n    return {declared}\n",
        "odd/cli.py": body,
    }
    return Case("command", fault, files, ("odd",), status, said)


def observer(fault: str, body: str, said: str, name: str = "pie_steps_done") -> Case:
    """A plugin that observes; the run goes on."""
    text = f"import os, sys, time\n{HEADER}\n\n@hookimpl\ndef {name}(event):\n    {body}\n"
    return Case("observer", fault, {"odd/plugin.py": text}, RUN, 0, said, "finished")


def configured(fault: str, yaml: str, said: str, words: tuple[str, ...], status: int = 2) -> Case:
    """A plugin with the option `energy=odd`."""
    text = f'{HEADER}\n\n@hookimpl\ndef pie_config_paths():\n    return ["odd.conf"]\n'
    return Case(
        "configuration", fault, {"odd/plugin.py": text, "odd/conf/energy/odd.yaml": yaml}, words, status, said
    )


ODD = (*RUN, "energy=odd")

CASES = [
    plugin("cannot be imported", "import not_there\n", f"{WHO}: cannot be loaded: ModuleNotFoundError"),
    plugin(
        "raises when imported", "raise RuntimeError('no')\n", f"{WHO}: cannot be loaded: RuntimeError: no"
    ),
    plugin("exits when imported", "import sys\nsys.exit(3)\n", f"{WHO}: cannot be loaded"),
    plugin("has a syntax error", "x = (\n", f"{WHO}: cannot be loaded: SyntaxError"),
    plugin("implements no hook", "x = 1\n", "implements no hook"),
    hook(
        "implements a hook that does not exist",
        "return []",
        "Did you mean 'pie_components'",
        "pie_component()",
    ),
    hook("implements a hook with another argument", "return []", "wrong", "pie_components(wrong)"),
    hook("raises in a hook", "raise ValueError('inside')", "failed: ValueError: inside"),
    hook("exits in a hook", "raise SystemExit(1)", "its hook 'pie_components' failed: it exits (1)"),
    hook("gives a number", "return 5", "failed: TypeError: 'int' object is not iterable"),
    hook("raises half way", f"yield {GOOD}; yield 1 / 0", "ZeroDivisionError"),
    declares("declares a text", "'text'", "'text', which is not a pie_framework.api.Component"),
    declares("states no version", 'Component(Kind.ENERGY, "odd", "m:C")', "does not say for which version"),
    declares(
        "states the running version's name",
        'Component(Kind.ENERGY, "odd", "m:C", api_version="1.1")',
        "the api_version '1.1' of the energy 'odd' is no version",
    ),
    declares(
        "is for a newer contract",
        'Component(Kind.ENERGY, "odd", "m:C", api_version=(1, 99))',
        "is written for version 1.99 of the plugin contract",
    ),
    declares(
        "is for an older major version",
        'Component(Kind.ENERGY, "odd", "m:C", api_version=(0, 3))',
        "is written for version 0.3 of the plugin contract",
    ),
    declares(
        "has a name that configuration cannot write",
        'Component(Kind.ENERGY, "../Odd One", "m:C", api_version=(1, 1))',
        "'../Odd One'",
    ),
    declares(
        "takes the name of a term that ships",
        'Component(Kind.ENERGY, "identity", "m:C", api_version=(1, 1))',
        "The one that ships is used",
    ),
    declares(
        "has settings that are no dataclass",
        'Component(Kind.ENERGY, "odd", "m:C", config=dict, api_version=(1, 1))',
        "must be a dataclass",
    ),
    declares(
        "has a target that is no address",
        'Component(Kind.ENERGY, "odd", "nowhere", api_version=(1, 1))',
        "is not 'module:callable'",
    ),
    declares(
        "has a kind that does not exist", 'Component("depth", "odd", "m:C", api_version=(1, 1))', "'depth'"
    ),
    command("cannot be imported", "import not_there\n", "odd-dist 1.0"),
    command("raises", "def main(words):\n    return 1 / 0\n", "ZeroDivisionError"),
    command("gives a text", "def main(words):\n    return 'done'\n", "odd-dist 1.0"),
    observer("raises", "raise OSError('disk full')", "is left out: OSError: disk full"),
    observer("exits", "sys.exit(9)", "the observer 'odd' of odd-dist 1.0 failed in pie_steps_done"),
    observer("changes the event", "event.weighted.clear()", "the observer 'odd' of odd-dist 1.0 failed"),
    observer("is slow", "time.sleep(0.6)", "the observer 'odd' of odd-dist 1.0 took"),
    observer("raises at the start", "raise KeyError(event.seed)", "pie_run_started", "pie_run_started"),
    observer("raises at the end", "raise KeyError(event.outcome)", "pie_run_ended", "pie_run_ended"),
    configured("is broken YAML", "terms: {odd: [\n", "odd.yaml", ODD),
    configured("is a list", "- 1\n- 2\n", "there is no setting 'energy'", ODD),
    configured("includes itself", "defaults:\n  - odd\n", "odd", ODD),
    configured("includes what is not there", "defaults:\n  - not_there\n", "not_there", ODD),
    configured(
        "refers to a key that is not there",
        "# @package _global_\nterms: {odd: {term: synthesis, weight: '${nowhere.at.all}'}}\n",
        "nowhere",
        ODD,
    ),
    configured(
        "has a term that does not exist", "# @package _global_\nterms: {odd: {term: oddd}}\n", "'oddd'", ODD
    ),
]
