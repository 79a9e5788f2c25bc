"""The settings compose and are checked."""

from __future__ import annotations

import pytest

from pie_bench.models.settings import load
from pie_framework.errors import ConfigError
from pie_framework.plugins import discover


def test_the_settings_compose_and_are_checked() -> None:
    registry = discover()
    settings, run = load(["portraits=12", "projection.steps=3", "generator.weights=x"], registry)
    assert settings.portraits >= 2 and settings.projection.steps == 3
    assert run.components["generator"]["weights"] == "x"
    assert load([], registry)[0].portraits >= 256
    with pytest.raises(ConfigError, match="portrait"):
        load(["portrait=3"], registry)
    for wrong in ("portraits=1", "samples=1", "projection.lr=0", "scenes.name=null", "corrections=-1"):
        with pytest.raises(ConfigError):
            load([wrong], registry)
