"""The embedded world's declarations: scenes that can be drawn, and the recipe that renders datasets."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import torch

from pie_framework.api import Component, Kind
from pie_framework.errors import ConfigError
from pie_framework.settings import merge
from pie_synthetic import plugin
from pie_synthetic.dataset import PortraitDataset
from pie_synthetic.settings import PortraitRecipe, SceneSettings

CONTEXT = cast(Any, SimpleNamespace(device=torch.device("cpu"), dtype=torch.float64))


def _only(kind: Kind) -> Component:
    (component,) = [component for component in plugin.pie_components() if component.kind is kind]
    return component


def test_scenes_draw_portraits_with_their_parameters() -> None:
    scenes = _only(Kind.SCENES).load()(SceneSettings(size=16), CONTEXT)
    portraits = scenes.draw(2, np.random.default_rng(0))
    assert portraits.images.dtype == portraits.theta.dtype == torch.float64
    assert portraits.images.shape == (2, 3, 16, 16)
    assert portraits.theta.shape == (2, scenes.layout.size)


def test_recipe_renders_a_dataset_that_the_scenes_open(tmp_path: Path) -> None:
    recipe = _only(Kind.TRAINER).load()
    settings = PortraitRecipe(folder=str(tmp_path / "data"), persons=2, shots=1, seed=5, size=16, edits=True)
    assert recipe(settings, CONTEXT) == 0
    dataset = _only(Kind.SCENES).load()(SceneSettings(), CONTEXT).open(tmp_path / "data")
    assert isinstance(dataset, PortraitDataset)
    assert len(dataset) == 2 * (1 + 3)


def test_a_size_too_small_for_a_portrait_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"scenes\.size: 4 is too small\. It is at least 8\."):
        merge(SceneSettings, {"size": 4}, "scenes")
