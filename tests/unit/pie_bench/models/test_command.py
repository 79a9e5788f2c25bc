"""`pie bench models` in the toy world, where every answer is known, and with the bundled models."""

from __future__ import annotations

import math
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pie_bench.models import command, pieces, settings
from pie_bench.models.figures import BARS, Figure
from pie_bench.models.world import build
from pie_framework.errors import PluginError
from pie_framework.files.io import read_csv, read_json
from pie_framework.plugins import Registry, discover
from pie_framework.testing.toy_plugin import TOYS
from pie_framework.testing.toys import ToyEncoder

BLOCKS = ("rotation", "expression", "illumination")


@pytest.fixture(scope="module")
def registry() -> Registry:
    return discover(entry_points=[*entry_points(group="pie_framework"), TOYS])


def toy_config(**changes: Any) -> dict[str, Any]:
    toy = {"name": "toy"}
    strength = changes.pop("strength", 1.0)
    return {
        **dict.fromkeys(("generator", "face_model", "encoder", "landmarks", "scenes"), toy),
        "editor": {"name": "rig"},
        "features": {"perceptual": toy, "recognition": {"name": "toy", "seed": 3}},
        "rig": {block: {"name": "toy", "block": block, "strength": strength} for block in BLOCKS},
        "schedule": {"stages": [{"name": "w_plus", "space": "w_plus", "steps": 0, "lr": 0.1}]},
        "device": "cpu",
        "portraits": 5,
        "batch": 2,
        "shots": 2,
        "samples": 40,
        "yaws": [-10, 10],
        "projection": {"steps": 30, "lr": 0.1},
        "workers": 1,
        **changes,
    }


def figures_of(registry: Registry, **changes: Any) -> dict[tuple[str, str], Figure]:
    report = command.measure(*settings.split(toy_config(**changes)), registry)
    return {(figure.model, figure.measure): figure for figure in report.figures}


def test_exact_models_meet_their_bars(registry: Registry) -> None:
    found = figures_of(registry)
    assert set(BARS) <= set(found)
    for measure in ("yaw", "pitch", "landmarks", "expression", "light"):
        assert found["encoder", measure].figure == pytest.approx(0, abs=1e-3)
        assert found["encoder", measure].count == 5
    assert found["landmarks", "landmarks"].figure == pytest.approx(0, abs=1e-3)
    for sort in ("yaw", "expression", "light"):
        for column in ("single pass", "corrected", "samples", "single pass, own reading"):
            assert found["rig", f"{sort}, {column}"].figure == pytest.approx(0, abs=1e-3), column
        assert found["rig", f"{sort}, nothing done"].figure > 0.01
    assert found["rig", "yaw, single pass"].count == 10
    for block in BLOCKS:
        assert found["rig", f"own request, {block}"].figure == pytest.approx(0, abs=1e-4)
    assert found["generator", "projection PSNR"].figure > 30
    assert all(math.isfinite(figure.figure) for figure in found.values())


def test_a_rig_that_goes_half_way(registry: Registry) -> None:
    found = figures_of(registry, strength=0.5, samples=0, portraits=3)
    idle, single = found["rig", "yaw, nothing done"].figure, found["rig", "yaw, single pass"].figure
    assert single == pytest.approx(idle / 2, rel=0.01)
    assert found["rig", "yaw, corrected"].figure == pytest.approx(0, abs=1e-2)
    assert not any("Fréchet" in measure for _, measure in found)


def test_what_is_not_composed_is_not_measured(registry: Registry) -> None:
    none = {"name": "none"}
    found = figures_of(registry, editor=none, encoder=none, landmarks=none, samples=0, portraits=2)
    assert {model for model, _ in found} == {"generator", "recognition", "weights"}


def test_a_piece_depends_on_nothing_but_its_number(registry: Registry) -> None:
    config, run = settings.split(toy_config())
    world = build(config, run, registry)
    todo = pieces.pieces(config, world)
    assert {piece.sort for piece in todo} == {"portraits", "prior", "renders", "samples"}
    forth = pieces.join(pieces.measure(world, piece) for piece in todo)
    back = pieces.join(reversed([pieces.measure(world, piece) for piece in reversed(todo)]))
    assert forth.keys() == back.keys()
    assert all(np.array_equal(forth[name], back[name]) for name in forth)
    assert (
        len(forth["generator", "renders", "embedding"]) == 80
        and len(forth["generator", "samples", "embedding"]) == 40
    )
    assert len(forth["recognition", "embeddings", "of shots"]) == 5


def test_a_network_that_fails_is_named(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(self: ToyEncoder, image: object) -> None:
        raise ValueError("it broke")

    monkeypatch.setattr(ToyEncoder, "encode", fails)
    with pytest.raises(PluginError, match=r"encoder 'toy'.* failed in fails\(\): ValueError: it broke"):
        figures_of(registry, samples=0, portraits=2)


def test_the_command_measures_the_bundled_models(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = [
        "portraits=2",
        "batch=1",
        "shots=2",
        "samples=2",
        "yaws=[10]",
        "corrections=0",
        "projection.steps=2",
    ]
    assert command.main([*words, f"outputs={tmp_path}"]) == 0
    shown = capsys.readouterr().out
    assert "portraits 0" not in shown, "progress is not on standard output"
    assert "MISSED" in shown and "bars met" in shown and "rig.rotation" in shown
    written = read_json(tmp_path / command.JSON)
    assert len(read_csv(tmp_path / command.CSV)) == len(written["figures"])
    assert {name.name for name in tmp_path.iterdir()} == {command.JSON, command.CSV}
    config, run = settings.load([*words, "workers=1"], discover())
    alone = command.measure(config, run, discover())
    again = {(f["model"], f["measure"]): f["figure"] for f in written["figures"] if f["unit"] != "ms"}
    here = {(f.model, f.measure): f.figure for f in alone.figures if f.unit != "ms"}
    # Workers have one thread each, this process may have more: sums are rounded otherwise.
    assert here == pytest.approx(again, rel=1e-3, abs=1e-4), "the figures depend on the number of workers"


def test_help_needs_no_networks(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["--help"]) == 0
    assert "pie bench models" in capsys.readouterr().out
