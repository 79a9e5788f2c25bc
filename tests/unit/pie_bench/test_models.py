from __future__ import annotations

import math
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.linalg import sqrtm

from pie_bench import model_settings, model_tasks, models
from pie_bench.model_measures import recognition
from pie_bench.model_measures.figures import BARS, Figure
from pie_bench.model_measures.frechet import frechet_distance, gaussian
from pie_bench.model_measures.generator import project
from pie_bench.model_measures.world import build
from pie_bench.model_settings import ProjectionConfig
from pie_framework.errors import ConfigError
from pie_framework.files.io import read_csv, read_json
from pie_framework.plugins import Registry, discover
from pie_framework.testing.toy_plugin import TOYS
from pie_framework.testing.toys import toy_networks

BLOCKS = ("rotation", "expression", "illumination")


# ---- the Fréchet distance ----------------------------------------------------------------------------------------


def test_frechet_distance_of_numbers() -> None:
    first = (torch.tensor([1.0]), torch.tensor([[4.0]]))
    second = (torch.tensor([3.0]), torch.tensor([[9.0]]))
    assert frechet_distance(first, second) == pytest.approx(2.0**2 + (2.0 - 3.0) ** 2)
    assert frechet_distance(first, first) == pytest.approx(0.0, abs=1e-12)


def test_frechet_distance_of_covariances_that_do_not_commute() -> None:
    rng = np.random.default_rng(0)
    a, b = (m @ m.T for m in rng.normal(size=(2, 5, 5)))
    shift = rng.normal(size=5)
    root = np.asarray(sqrtm(a @ b)).real
    expected = shift @ shift + np.trace(a) + np.trace(b) - 2 * np.trace(root)
    zero = torch.zeros(5, dtype=torch.float64)
    found = frechet_distance((zero, torch.from_numpy(a)), (torch.from_numpy(shift), torch.from_numpy(b)))
    assert found == pytest.approx(expected, rel=1e-8)


def test_frechet_distance_where_covariances_are_singular() -> None:
    flat = torch.diag(torch.tensor([1.0, 0.0, 0.0]))
    assert frechet_distance((torch.zeros(3), flat), (torch.ones(3), flat)) == pytest.approx(3.0)


def test_gaussian_of_samples() -> None:
    values = torch.tensor([[0.0, 1.0], [2.0, 1.0], [4.0, 4.0]])
    mean, covariance = gaussian(values)
    assert mean.tolist() == [2.0, 2.0]
    assert torch.allclose(covariance, torch.tensor([[4.0, 3.0], [3.0, 3.0]], dtype=torch.float64))


# ---- recognition -------------------------------------------------------------------------------------------------


def test_persons_that_differ_are_told_apart() -> None:
    embeddings = np.repeat(np.eye(6)[:, None], 3, axis=1)
    found = recognition.verification(embeddings)
    assert found["accuracy"].tolist() == [1.0, 1.0]
    assert found["same"].size == found["other"].size == 6 * 3


def test_noise_is_not_told_apart() -> None:
    noise = np.random.default_rng(1).normal(size=(400, 2, 32))
    found = recognition.verification(noise / np.linalg.norm(noise, axis=2, keepdims=True))
    assert found["accuracy"].mean() == pytest.approx(0.5, abs=0.06)


def test_the_threshold_comes_from_the_other_half() -> None:
    """In the second half all cosines are higher: each half's threshold is wrong for one sort of the other's pairs."""
    same, other = np.array([[0.4]]), np.array([[0.0]])
    threshold = recognition.best_threshold(same, other)
    assert threshold == pytest.approx(0.2)
    assert recognition.accuracy(same + 0.5, other + 0.5, threshold) == 0.5
    assert recognition.accuracy(same, other, threshold) == 1.0


def test_other_pairs_are_of_different_persons() -> None:
    embeddings = np.repeat(np.eye(3)[:, None], 2, axis=1)
    same, other = recognition.pairs(embeddings)
    assert same.tolist() == [[1.0]] * 3 and other.tolist() == [[0.0]] * 3


# ---- figures and settings ----------------------------------------------------------------------------------------


def test_a_bar_is_met_or_missed() -> None:
    assert Figure("encoder", "yaw", 1.5, "deg").met is True
    assert Figure("encoder", "yaw", 1.51, "deg").verdict == "MISSED"
    assert Figure("generator", "projection PSNR", 27.1, "dB").verdict == "met"
    assert Figure("encoder", "yaw", math.nan, "deg").met is False
    assert Figure("encoder", "roll", 1.0, "deg").met is None
    assert Figure("encoder", "light", 0.123, "%").written() == ("12.3 %", "<= 15.0 %")


def test_the_settings_compose_and_are_checked() -> None:
    registry = discover()
    settings, run = model_settings.load(
        ["portraits=12", "projection.steps=3", "generator.weights=x"], registry
    )
    assert settings.portraits >= 2 and settings.projection.steps == 3
    assert run.components["generator"]["weights"] == "x"
    assert model_settings.load([], registry)[0].portraits >= 256
    with pytest.raises(ConfigError, match="portrait"):
        model_settings.load(["portrait=3"], registry)
    for wrong in ("portraits=1", "samples=1", "projection.lr=0", "scenes.name=null", "corrections=-1"):
        with pytest.raises(ConfigError):
            model_settings.load([wrong], registry)


# ---- the toy world, where every answer is known ------------------------------------------------------------------


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
    report = models.measure(*model_settings.split(toy_config(**changes)), registry)
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
    settings, run = model_settings.split(toy_config())
    world = build(settings, run, registry)
    todo = model_tasks.tasks(settings, world)
    assert {task.sort for task in todo} == {"portraits", "prior", "renders", "samples"}
    forth = model_tasks.join({i: model_tasks.measure(todo[i], world) for i in range(len(todo))})
    back = model_tasks.join({i: model_tasks.measure(todo[i], world) for i in reversed(range(len(todo)))})
    assert forth.keys() == back.keys()
    assert all(np.array_equal(forth[name], back[name]) for name in forth)
    assert len(forth["renders.embedding"]) == 80 and len(forth["samples.embedding"]) == 40
    assert len(forth["recognition.embeddings"]) == 5


def test_projection_treats_portraits_apart() -> None:
    networks = toy_networks()
    generator = networks.generator
    goal = generator.synthesize(generator.sample(2, torch.Generator().manual_seed(0)) * 0.3)
    zero = generator.mean_latent().expand(2, generator.num_layers, -1)
    settings = ProjectionConfig(steps=20, lr=0.05, ssim=0.01)
    both = project(generator, goal, zero, settings)
    alone = project(generator, goal[:1], zero[:1], settings)
    # Adam's first steps are as long for a small gradient as for a large one: rounding shows more than once.
    assert torch.allclose(both[:1], alone, atol=1e-3)
    assert not torch.allclose(both[1:], alone, atol=1e-1)
    assert not both.requires_grad
    before, after = goal.square().mean(), (generator.synthesize(both) - goal).square().mean()
    assert after < 0.2 * before
    assert torch.equal(project(generator, goal, zero, ProjectionConfig(steps=0)), zero)


# ---- the command -------------------------------------------------------------------------------------------------


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
    assert models.main([*words, f"outputs={tmp_path}"]) == 0
    shown = capsys.readouterr().out
    assert "MISSED" in shown and "bars met" in shown and "rig.rotation" in shown
    written = read_json(tmp_path / models.JSON)
    assert len(read_csv(tmp_path / models.CSV)) == len(written["figures"])
    assert {name.name for name in tmp_path.iterdir()} == {models.JSON, models.CSV}
    settings, run = model_settings.load([*words, "workers=1"], discover())
    alone = models.measure(settings, run, discover())
    again = {(f["model"], f["measure"]): f["figure"] for f in written["figures"] if f["unit"] != "ms"}
    here = {(f.model, f.measure): f.figure for f in alone.figures if f.unit != "ms"}
    # Workers have one thread each, this process may have more: sums are rounded otherwise.
    assert here == pytest.approx(again, rel=1e-3, abs=1e-4), "the figures depend on the number of workers"


def test_help_needs_no_networks(capsys: pytest.CaptureFixture[str]) -> None:
    assert models.main(["--help"]) == 0
    assert "pie bench models" in capsys.readouterr().out
