"""The bundled directions fit the bundled networks, and a run with them needs no rig network."""

from __future__ import annotations

import pytest

from pie_directions.directions import LinearEditor
from pie_directions.settings import DEFAULT_WEIGHTS
from pie_facemodels.procedural.model import ProceduralFaceModel
from pie_framework.assets import resolve
from pie_framework.composition.build import Builder
from pie_framework.composition.compose import compose
from pie_framework.composition.plan import make_plan
from pie_framework.errors import ComponentError
from pie_weights.files import read_weights


def test_they_know_the_embedded_world() -> None:
    path = resolve(DEFAULT_WEIGHTS)
    assert path.stat().st_size < 5e5
    editor = LinearEditor.load(path)
    assert editor.layout == ProceduralFaceModel().layout
    assert editor.latent_dim == 512
    figures = read_weights(path, "directions").notes["figures"]
    assert all(figures[f"explained_{block}"] > 0 for block in editor.blocks)


def test_a_run_with_the_linear_editor_needs_no_rig_network() -> None:
    words = ["energy=synth", "rig=none", "editor=linear", "edit=standard", "device=cpu"]
    builder = Builder(compose(words))
    builder.plan.check()
    needed = {requirement.what for requirement in make_plan(builder.run, builder.registry).requirements}
    assert "editor" in needed
    assert "rig" not in needed
    built = Builder(compose([*words, "editor.main=3", "editor.conditional=true"])).get("editor")
    assert isinstance(built, LinearEditor)
    assert (built.conditional, built.main) == (True, 3)
    with pytest.raises(ComponentError, match=r"its editor 'rig'.*needs a rig network.*rig=stylerig"):
        Builder(compose([*words[:2], *words[3:]])).plan.check()
