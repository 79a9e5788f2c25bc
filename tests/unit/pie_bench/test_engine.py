"""The engine in the toy world: what it leaves, that it goes on, that it repeats itself, and that it can be stopped."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pie_bench import jobs, workers
from pie_bench.columns import COLUMNS
from pie_bench.engine import Engine
from pie_bench.jobs import Plan, open_folder
from pie_bench.measure import measure
from pie_bench.results import read_rows
from pie_bench.world import World
from pie_framework.errors import ConfigError
from pie_framework.pipeline import Pipeline

from .toy_world import registry, toy_method, toy_plan, toy_run

BLOCKS = {"turn": "rotation", "smile": "expression", "light_of_another": "illumination"}


def run(plan: Plan) -> None:
    todo = [job for _, job in plan.missing()]
    workers.run(todo, functools.partial(Engine, plan), Engine.run, 1, registry())


def measures(folder: Path) -> dict[tuple[str, int, int, str], dict[str, float]]:
    rows = read_rows(folder).set_index(["method", "seed", "portrait", "edit"])
    return rows[list(COLUMNS)].to_dict("index")


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    return toy_plan(
        tmp_path / "out",
        toy_method("synth", toy_run()),
        toy_method("unedited", toy_run(), edits=False),
        toy_method("full", toy_run(("synthesis", "identity", "edit", "invariance", "recognition"))),
        seeds=[0, 1],
    )


def test_a_bench_leaves_rows_latents_and_pictures(plan: Plan) -> None:
    run(plan)
    found = read_rows(plan.folder)
    assert len(found) == 3 * 2 * 3 * 4, "methods, seeds, portraits, edits with the reconstruction"
    assert set(found["portrait"]) == {0, 1, 2}
    assert list(found["block"]) == [BLOCKS.get(edit, "none") for edit in found["edit"]]
    assert np.isfinite(found[list(COLUMNS)]).all(axis=None)
    assert (found["seconds"][found["edit"] == "reconstruction"] > 0).all()
    assert len(list((plan.folder / "latents").iterdir())) == 2 * 2 * 2, "embeddings, seeds, chunks"
    pictures = {str(p.relative_to(plan.folder / "pictures")) for p in plan.folder.glob("pictures/*/*")}
    edits = ("reconstruction", *BLOCKS)
    of = ("truth", *(f"{m}.{s}" for m in ("synth", "unedited", "full") for s in (0, 1)))
    assert pictures == {f"{name}/0.{edit}.png" for name in of for edit in edits}
    assert not plan.missing()


def test_the_unedited_are_the_reconstructions_measured_against_the_edits(tmp_path: Path) -> None:
    stages = [{"name": "w_plus", "space": "w_plus", "steps": 0, "lr": 0.05}]
    exact = toy_run(init="inverter", inverter={"name": "toy"}, schedule={"stages": stages})
    plan = toy_plan(tmp_path, toy_method("exact", exact), toy_method("unedited", exact, edits=False))
    run(plan)
    found = measures(plan.folder)
    for portrait in range(3):
        made, same = (found[name, 0, portrait, "reconstruction"] for name in ("exact", "unedited"))
        # One of them is shown in a batch with its edits.
        assert made == pytest.approx(same, rel=1e-3, abs=1e-3)
        assert found["exact", 0, portrait, "turn"]["yaw_error"] < 0.5, "the toy rig does what is asked"
        assert abs(found["unedited", 0, portrait, "turn"]["yaw_error"] - 10.0) < 0.5


def test_it_goes_on_where_it_was_and_repeats_itself(plan: Plan, tmp_path: Path) -> None:
    run(plan)
    before = measures(plan.folder)
    (plan.folder / "rows" / "full.1.1.jsonl").unlink()
    (plan.folder / "rows" / "synth.0.0.jsonl").unlink()
    kept = plan.folder / "rows" / "full.1.0.jsonl"
    stamp = kept.stat().st_mtime_ns
    assert [str(job) for _, job in plan.missing()] == [
        "synth, unedited: seed 0, portraits 0",
        "full: seed 1, portraits 1",
    ]
    run(plan)
    assert measures(plan.folder) == before
    assert kept.stat().st_mtime_ns == stamp
    again = toy_plan(tmp_path / "again", *plan.methods, seeds=[0, 1])
    run(again)
    assert measures(again.folder) == before


def test_latents_are_shared(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []
    embed: Callable[..., Any] = Pipeline.embed

    def counted(self: Pipeline, *portraits: Any, **how: Any) -> Any:
        calls.append(len(portraits))
        return embed(self, *portraits, **how)

    monkeypatch.setattr(Pipeline, "embed", counted)
    run(plan)
    assert sorted(calls) == [1, 1, 1, 1, 2, 2, 2, 2]


def test_an_interrupt_keeps_what_is_done(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    embed: Callable[..., Any] = Pipeline.embed
    calls: list[int] = []

    def interrupted(self: Pipeline, *portraits: Any, **how: Any) -> Any:
        calls.append(len(portraits))
        if len(calls) == 3:
            raise KeyboardInterrupt
        return embed(self, *portraits, **how)

    monkeypatch.setattr(Pipeline, "embed", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run(plan)
    assert len(plan.missing()) == len(plan.jobs()) - 2
    assert not list(plan.folder.rglob(".*"))


def test_a_folder_of_other_settings_is_refused(plan: Plan, tmp_path: Path) -> None:
    open_folder(plan, BLOCKS)
    about = json.loads((plan.folder / "bench.json").read_text())
    assert list(about["methods"]) == ["synth", "unedited", "full"]
    assert about["edits"]["turn"] == {"controls": ["rotation.yaw+=10"], "block": "rotation"}
    assert {"torch", "pie-framework"} <= set(about["versions"])
    jobs.add_seconds(plan.folder, 2.0)
    jobs.add_seconds(plan.folder, 1.5)
    with pytest.raises(ConfigError, match=r"other settings: portraits was 3\. Choose another folder"):
        open_folder(toy_plan(plan.folder, *plan.methods, portraits=4), BLOCKS)
    other = toy_method("synth", toy_run(init="nearest"))
    with pytest.raises(ConfigError, match="rows of another 'synth'"):
        open_folder(toy_plan(plan.folder, other), BLOCKS)
    open_folder(toy_plan(plan.folder, toy_method("near", toy_run(init="nearest")), seeds=[5]), BLOCKS)
    about = json.loads((plan.folder / "bench.json").read_text())
    assert list(about["methods"]) == ["synth", "unedited", "full", "near"]
    assert (about["seeds"], about["seconds"]) == ([0, 1, 5], 3.5)


def test_the_truth_of_edits_from_another_portrait(plan: Plan) -> None:
    world = World(plan.bench, plan.judge, registry())
    chunk = world.chunk(1)
    layout = world.scenes.layout
    truth = chunk.truths["light_of_another"].theta
    torch.testing.assert_close(
        layout.get(truth, "illumination"), layout.get(chunk.another.theta, "illumination")
    )
    torch.testing.assert_close(
        layout.get(truth, "expression"), layout.get(chunk.portraits.theta, "expression")
    )
    assert chunk.numbers == (2,)
    perfect = measure(chunk.truths["turn"].images, chunk.readings["turn"], world.judge)
    assert float(perfect["psnr"]) == pytest.approx(100.0)
    assert float(perfect["yaw_error"]) == pytest.approx(0.0, abs=1e-3)
