"""Named recipes: `experiment=paper` is what docs/paper.md says of it, and what is chosen beside it counts."""

from __future__ import annotations

import pytest

from pie_framework.composition.compose import compose
from pie_framework.composition.schema import RunConfig, parse
from pie_framework.errors import ConfigError
from pie_framework.optimisation.schedule import Stage
from pie_framework.plugins import discover


def run(*overrides: str) -> RunConfig:
    return parse(compose(overrides, discover()))


def stages(config: RunConfig) -> list[Stage]:
    return [Stage(**vars(stage)) for stage in config.schedule.stages]


def test_nothing_is_an_experiment_by_default() -> None:
    plain = run()
    assert plain.components["init"] == {"name": "inverter"} and plain.edit.corrections == 2
    assert {term.options["reduction"] for term in plain.terms.values()} == {"mean"}
    assert not any(stage.staircase or stage.decay_from_start for stage in plain.schedule.stages)


def test_the_paper_s_steps_and_their_sizes() -> None:
    paper = run("experiment=paper")
    first, second = stages(paper)
    assert (first.space, first.steps, second.space, second.steps) == ("w", 2000, "w_plus", 1000)
    assert {first.lr_at(step) for step in (0, 1000, 1999)} == {50.0}
    assert [second.lr_at(step, first.steps) for step in (0, 999)] == pytest.approx([1.0, 1.0])
    assert (first.tolerance, second.tolerance, first.cosine, second.cosine) == (0.0, 0.0, False, False)
    assert paper.components["optimizer"]["name"] == "adadelta"
    assert paper.components["init"] == {"name": "mean"}
    assert (paper.prior.pool, paper.prior.per_step, paper.prior.blocks_per_step) == (0, 1, 0)
    assert paper.blocks == ["rotation", "expression", "illumination"]
    assert paper.edit.corrections == 0 and paper.edit.requests


def test_the_paper_s_energies_are_sums_with_weights_of_their_own() -> None:
    terms = run("experiment=paper").terms
    weights = {
        f"{name}.{part}": term.weight * weight
        for name, term in terms.items()
        for part, weight in (term.parts or {"": 1.0}).items()
    }
    assert weights == pytest.approx(
        {
            "synthesis.l2": 1e-6, "synthesis.perceptual": 1e-6, "identity.": 1.0,
            "edit.photometric": 1e-2, "edit.landmark": 2.0,
            "invariance.photometric": 1e-2, "invariance.landmark": 2.0,
            "recognition.image": 0.1, "recognition.edited": 0.1,
        }
    )  # fmt: skip
    assert {term.options["reduction"] for term in terms.values()} == {"sum"}
    assert terms["edit"].options["size"] == terms["invariance"].options["size"] == 0


def test_what_is_chosen_beside_it_counts() -> None:
    other = run(
        "experiment=paper", "schedule=brief", "energy=synth", "edit=none", "prior.pool=8", "init=nearest"
    )
    assert [stage.steps for stage in other.schedule.stages] == [30, 90]
    assert other.terms["synthesis"].options["reduction"] == "mean"
    assert (other.edit.requests, other.edit.corrections, other.prior.pool) == ({}, 0, 8)
    assert other.components["init"]["name"] == "nearest"
    short = run("experiment=paper", "schedule.stages.0.steps=20", "schedule.stages.1.steps=10")
    assert [stage.steps for stage in short.schedule.stages] == [20, 10]


def test_its_parts_can_be_had_alone_and_the_old_schedule_is_what_it_was() -> None:
    assert run("energy=paper").terms["identity"].options["reduction"] == "sum"
    assert run("schedule=paper_staircase").components["optimizer"]["name"] == "adadelta"
    first, second = stages(run("schedule=paper"))
    assert second.lr_at(0, first.steps) == 10.0 and first.lr_at(1000) == pytest.approx(50 * 0.1**0.5)


def test_an_unknown_experiment_names_the_near_one() -> None:
    with pytest.raises(ConfigError, match=r"'experiment' has no option 'papr'\. Did you mean 'paper'"):
        run("experiment=papr")
