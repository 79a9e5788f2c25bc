"""E(w): sums and weights, and the boundary around terms: what one does wrong is one sentence that names it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest
import torch
from torch import Tensor

from pie_framework.api import LatentView, TargetView
from pie_framework.errors import ComponentError, ConfigError, PluginError
from pie_framework.optimisation.objective import Objective, WeightedTerm
from pie_framework.optimisation.prior import PriorSampler
from pie_framework.testing.toys import TOY_LAYOUT, toy_networks


class Constant:
    def __init__(self, value: float) -> None:
        self.value = value
        self.calls = 0

    def energy(self, view: LatentView, target: TargetView) -> Tensor:
        self.calls += 1
        return torch.full((view.batch,), self.value) + 0.0 * view.latent.sum(dim=(1, 2))


class TwoParts:
    def energy(self, view: LatentView, target: TargetView) -> Mapping[str, Tensor]:
        size = view.latent.square().sum(dim=(1, 2))
        return {"a": size, "b": 2 * size}


class Gives:
    """A term that gives what a function makes of the view and the target."""

    def __init__(self, make: Callable[[LatentView, TargetView], Any]) -> None:
        self.make = make

    def energy(self, view: LatentView, target: TargetView) -> Any:
        return self.make(view, target)


Given = tuple[LatentView, TargetView]


@pytest.fixture
def given() -> Given:
    networks = toy_networks()
    latent = networks.generator.sample(2, torch.Generator().manual_seed(0)).contiguous().requires_grad_(True)
    prior = PriorSampler(networks, 0, 1, pool=2).draw(0)
    image = networks.generator.synthesize(latent.detach() + 0.1)
    return LatentView(networks, latent, prior, TOY_LAYOUT.editable), TargetView(networks, image)


def test_sum_of_weighted_parts(given: Given) -> None:
    view, target = given
    objective = Objective(
        {"c": WeightedTerm(Constant(3.0), 2.0), "p": WeightedTerm(TwoParts(), 10.0, {"b": 0.5})}
    )
    breakdown = objective(view, target, "w")
    size = view.latent.square().sum(dim=(1, 2))
    torch.testing.assert_close(breakdown.total, 6.0 + 10 * size + 10 * 0.5 * 2 * size)
    assert set(breakdown.raw) == {"c", "p.a", "p.b"}
    torch.testing.assert_close(sum(breakdown.weighted.values()), breakdown.total.detach())
    assert breakdown.weights == {"c": 2.0, "p.a": 10.0, "p.b": 5.0}
    assert breakdown.total.requires_grad
    assert not any(value.requires_grad for value in breakdown.raw.values())


def test_weight_zero_is_not_evaluated_and_weights_can_differ_by_stage(given: Given) -> None:
    view, target = given
    off, late = Constant(1.0), Constant(1.0)
    objective = Objective({"off": WeightedTerm(off, 0.0), "late": WeightedTerm(late, {"w_plus": 3.0})})
    assert objective(view, target, "w").total.tolist() == [0.0, 0.0]
    assert (off.calls, late.calls) == (0, 0)
    assert objective(view, target, "w_plus").total.tolist() == [3.0, 3.0]
    assert (off.calls, late.calls) == (0, 1)
    assert not WeightedTerm(off, {"w": 0.0}).active
    assert WeightedTerm(off, {"w": 0.0, "w_plus": 1e-9}).active


def test_a_part_is_described_with_the_plugin_of_its_term() -> None:
    objective = Objective(
        {"p": WeightedTerm(TwoParts(), origin="odd-dist 1.0"), "c": WeightedTerm(Constant(1.0))}
    )
    assert objective.described("p.a") == "the energy term 'p.a' of odd-dist 1.0"
    assert objective.described("p") == "the energy term 'p' of odd-dist 1.0"
    assert objective.described("c") == "the energy term 'c'"


def test_a_negative_weight_counts_as_any_other(given: Given) -> None:
    for weight in (-2.0, {"w": -2.0}):
        assert WeightedTerm(Constant(1.0), weight).active
        assert Objective({"less": WeightedTerm(Constant(1.0), weight)})(*given, "w").total.tolist() == [
            -2.0,
            -2.0,
        ]


def test_a_term_without_a_gradient_is_named_once(given: Given, caplog: pytest.LogCaptureFixture) -> None:
    view, target = given
    objective = Objective(
        {
            "still": WeightedTerm(Gives(lambda v, t: of(v).detach())),
            "fine": WeightedTerm(Gives(lambda v, t: of(v))),
        }
    )
    objective(view, target, "w")
    objective(view, target, "w")
    assert [r.getMessage() for r in caplog.records] == [
        "the energy term 'still' has no gradient: it is measured, but changes nothing"
    ]
    caplog.clear()
    detached = LatentView(view.networks, view.latent.detach(), view.prior, view.blocks)
    Objective(objective.terms)(detached, target, "w")
    assert not caplog.records, "nothing has a gradient where the latent has none"


def test_a_part_of_weight_zero_is_told_but_not_summed(given: Given) -> None:
    objective = Objective({"p": WeightedTerm(TwoParts(), 1.0, {"a": 0.0})})
    breakdown = objective(*given, "w")
    torch.testing.assert_close(breakdown.total.detach(), breakdown.raw["p.b"])
    nan = Gives(lambda v, t: {"a": v.latent.sum(dim=(1, 2)) * float("nan"), "b": v.latent.sum(dim=(1, 2))})
    total = Objective({"p": WeightedTerm(nan, 1.0, {"a": 0.0})})(*given, "w").total
    assert total.isfinite().all(), "0 times NaN is not added"


def test_nothing_to_minimise_and_unknown_parts_are_errors(given: Given) -> None:
    with pytest.raises(ConfigError, match="no term"):
        Objective({"off": WeightedTerm(Constant(1.0), 0.0)})
    with pytest.raises(ConfigError, match=r"no part 'aa'.*'a'"):
        Objective({"p": WeightedTerm(TwoParts(), 1.0, {"aa": 1.0})})(*given, "w")
    with pytest.raises(ConfigError, match="no part 'whole'"):
        Objective({"c": WeightedTerm(Constant(1.0), 1.0, {"whole": 1.0})})(*given, "w")


def of(view: LatentView) -> Tensor:
    return view.latent.square().mean(dim=(1, 2))


WRONG: dict[str, tuple[Callable[[LatentView, TargetView], Any], str]] = {
    "raises": (lambda v, t: {}["gone"], "failed: KeyError: 'gone'"),
    "exits": (lambda v, t: exec("raise SystemExit(3)"), "failed: it exits"),
    "float": (lambda v, t: 1.5, r"is float, not a tensor with one value per portrait, \(2,\)"),
    "none": (lambda v, t: None, "is NoneType, not a tensor"),
    "list": (lambda v, t: [of(v)], "is list, not a tensor"),
    "scalar": (lambda v, t: of(v).sum(), r"has the shape \(\), not one value per portrait, \(2,\)"),
    "column": (lambda v, t: of(v)[:, None], r"has the shape \(2, 1\)"),
    "doubled": (lambda v, t: torch.cat([of(v), of(v)]), r"has the shape \(4,\)"),
    "image": (lambda v, t: v.image - t.image, r"has the shape \(2, 3, 16, 16\)"),
    "one for all": (lambda v, t: of(v)[:1], r"has the shape \(1,\)"),
    "float64": (lambda v, t: of(v).double(), "is torch.float64 on cpu, the latent is torch.float32"),
    "integers": (lambda v, t: of(v).long(), "is torch.int64"),
    "no part": (lambda v, t: {}, "gave no part"),
    "numbered": (lambda v, t: {0: of(v)}, "gave a part called 0"),
    "path": (lambda v, t: {"../x": of(v)}, r"gave a part called '\.\./x'"),
    "dotted": (lambda v, t: {"a.b": of(v)}, "gave a part called 'a.b'"),
    "nameless": (lambda v, t: {"": of(v)}, "gave a part called ''"),
    "part of a wrong kind": (lambda v, t: {"a": of(v), "b": 2}, "the part 'b' of .* is int"),
    "part of a wrong shape": (lambda v, t: {"a": of(v).sum()}, r"the part 'a' of .* has the shape \(\)"),
    "blackened target": (lambda v, t: t.image.zero_().sum() + of(v), "changed target.image"),
    "moved landmarks": (lambda v, t: t.landmarks.add_(1).sum() + of(v), "changed target.landmarks"),
    "blackened image": (lambda v, t: v.image.data.zero_().sum() + of(v), "changed view.image"),
    "moved latent": (lambda v, t: v.latent.data.add_(1).sum() + of(v), "changed view.latent"),
    "features": (
        lambda v, t: v.features("perceptual")["projected"].data.mul_(2).sum() + of(v),
        r"changed view.features\('perceptual'\)\['projected'\]",
    ),
    "edited image": (
        lambda v, t: v.edited("rotation").image.data.zero_().sum() + of(v),
        r"changed view.edited\('rotation'\).image",
    ),
    "weights": (
        lambda v, t: v.networks.generator.mixing.mul_(1.1).sum() + of(v),  # type: ignore[attr-defined]
        "changed weights of the component 'generator'",
    ),
    "weights of Φ": (
        lambda v, t: v.networks.features["perceptual"].projection.zero_().sum() + of(v),  # type: ignore[attr-defined]
        "changed weights of the component 'features.perceptual'",
    ),
}


@pytest.mark.parametrize("what", list(WRONG))
def test_what_a_term_does_wrong_names_it(given: Given, what: str) -> None:
    view, target = given
    # What a term changes is there before it looks: another has asked for it.
    _ = view.image, target.landmarks, view.features("perceptual"), view.edited("rotation").image
    make, said = WRONG[what]
    objective = Objective(
        {"fine": WeightedTerm(TwoParts()), "odd": WeightedTerm(Gives(make), origin="odd-dist 1.0")}
    )
    with pytest.raises(PluginError, match=f"the energy term 'odd' of odd-dist 1.0.*{said}|{said}") as caught:
        objective(view, target, "w")
    assert "the energy term 'odd' of odd-dist 1.0" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_error_for_people_keeps_its_words(given: Given) -> None:
    def undeclared(view: LatentView, target: TargetView) -> Any:
        return view.features("depth")

    with pytest.raises(ComponentError, match=r"the energy term 'odd': a term asked for .*role 'depth'"):
        Objective({"odd": WeightedTerm(Gives(undeclared))})(*given, "w")


def test_a_network_that_fails_inside_a_term_is_named_and_not_the_term(given: Given) -> None:
    view, target = given
    networks: Any = view.networks
    networks.encoder.encode = lambda image: 1 / 0
    networks.origins["encoder"] = "the encoder 'broken' of far-dist 2.0"
    term = Gives(lambda v, t: v.theta.sum(dim=1))
    with pytest.raises(PluginError, match=r"^the encoder 'broken' of far-dist 2.0 failed"):
        Objective({"innocent": WeightedTerm(term)})(view, target, "w")


def test_parts_may_not_change_from_step_to_step(given: Given) -> None:
    names = iter(["a", "a", "b"])
    objective = Objective({"odd": WeightedTerm(Gives(lambda v, t: {next(names): of(v)}))})
    objective(*given, "w")
    objective(*given, "w")
    with pytest.raises(PluginError, match="'odd' gave the parts 'b', before 'a'"):
        objective(*given, "w")


def test_reading_and_detaching_is_no_change(given: Given) -> None:
    def reads(view: LatentView, target: TargetView) -> Tensor:
        view.image.detach().clone().zero_()
        return (view.image - target.image).square().mean(dim=(1, 2, 3)) + view.theta.square().mean(dim=1)

    assert Objective({"reads": WeightedTerm(Gives(reads))})(*given, "w").total.shape == (2,)
