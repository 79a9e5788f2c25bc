"""A term in somebody else's distribution, with its own recipe, is found and used by name, with no change here."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from pie_framework.api import LatentView, TargetView
from pie_framework.cli.main import main
from pie_framework.composition.build import Builder
from pie_framework.composition.compose import compose
from pie_framework.composition.schema import parse
from pie_framework.plugins import discover
from pie_framework.testing.toys import toy_networks

PLUGIN = """
from dataclasses import dataclass
from pie_framework.api import Component, Kind
from pie_framework.hookspecs import hookimpl


@dataclass(frozen=True)
class BrightnessConfig:
    level: float = 0.25


@hookimpl
def pie_components():
    return [
        Component(
            Kind.ENERGY,
            "brightness",
            "sunny.term:Brightness",
            BrightnessConfig,
            "Bright images.",
            api_version=(1, 1),
        )
    ]


@hookimpl
def pie_config_paths():
    return ["sunny.conf"]
"""

TERM = """
class Brightness:
    def __init__(self, config, context):
        self.level = config.level

    def energy(self, view, target):
        return (view.image.flatten(1).mean(dim=1) - self.level).square()
"""

RECIPE = """# @package _global_
defaults:
  - synth
  - _self_
terms:
  brightness:
    term: brightness
    weight: 2.5
    options:
      level: 0.5
"""

FILES = {
    "sunny/__init__.py": "",
    "sunny/plugin.py": PLUGIN,
    "sunny/term.py": TERM,
    "sunny/conf/energy/sunny.yaml": RECIPE,
}


@pytest.fixture
def sunny(install) -> Path:
    install("broken-weather", {"fog": "fog_plugin"}, {"fog_plugin.py": "raise RuntimeError('no view')"})
    return install("sunny-weather", {"sunny": "sunny.plugin"}, FILES)


def test_its_recipe_is_an_option_and_its_term_runs(sunny: Path):
    registry = discover({})
    run = parse(compose(["energy=sunny", "terms.brightness.options.level=0.75", "device=cpu"], registry))
    assert list(run.terms) == ["synthesis", "brightness"]
    builder = Builder(run, registry)
    objective = builder.objective()
    assert str(registry.provenance(builder.used["terms.brightness"])) == "sunny-weather 1.2.3"
    networks = toy_networks()
    latent = networks.generator.sample(2, torch.Generator().manual_seed(1))
    view, target = LatentView(networks, latent), TargetView(networks, networks.generator.synthesize(latent))
    breakdown = objective(view, target, "w")
    expected = (view.image.flatten(1).mean(dim=1) - 0.75).square()
    torch.testing.assert_close(breakdown.raw["brightness"], expected)
    torch.testing.assert_close(breakdown.weighted["brightness"], 2.5 * expected)


def test_the_command_line_shows_it_and_names_the_broken_one(sunny: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["plugins", "list"]) == 0
    captured = capsys.readouterr()
    assert "sunny-weather 1.2.3" in captured.out
    assert "plugin 'fog' of broken-weather 1.2.3: cannot be loaded: RuntimeError: no view" in captured.err
    assert main(["run", "energy=sunny", "--cfg", "job"]) == 0
    assert "brightness" in capsys.readouterr().out
    assert main(["run", "energy=suny", "--cfg", "job"]) == 2
    assert "'sunny'" in capsys.readouterr().err


def test_a_term_can_be_added_on_the_command_line(sunny: Path):
    run = parse(compose(["energy=full", "+terms.mine={term: brightness, weight: 1}"], discover({})))
    assert run.terms["mine"].term == "brightness"
