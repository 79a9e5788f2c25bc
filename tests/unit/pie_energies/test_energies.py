"""Known answers and finite differences of the five energies, in the toy world where every answer is known."""

from __future__ import annotations

import re
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch
from torch import Tensor

from pie_energies.edit import EditProperty
from pie_energies.identity import IdentityPreservation
from pie_energies.invariance import InvarianceProperty
from pie_energies.recognition import Recognition
from pie_energies.settings import AnalysisConfig, DistanceConfig
from pie_energies.synthesis import Synthesis
from pie_framework.api import LatentView, Networks, TargetView
from pie_framework.errors import PluginError
from pie_framework.optimisation.prior import PriorSampler
from pie_framework.testing.toys import TOY_LAYOUT, IdentityRig, toy_networks

BLOCKS = TOY_LAYOUT.editable
CONTEXT = cast(Any, SimpleNamespace())
TERMS = {
    "synthesis": Synthesis(DistanceConfig(), CONTEXT),
    "identity": IdentityPreservation(DistanceConfig(), CONTEXT),
    "edit": EditProperty(AnalysisConfig(size=0), CONTEXT),
    "invariance": InvarianceProperty(AnalysisConfig(size=8), CONTEXT),
    "recognition": Recognition(DistanceConfig(), CONTEXT),
}


def make(
    networks: Networks, seed: int = 0, per_step: int = 2, batch: int = 2
) -> tuple[LatentView, TargetView, LatentView]:
    """A view of random latents, the target they show exactly, and a view of other latents for that target."""
    rng = torch.Generator().manual_seed(seed)
    truth, other = networks.generator.sample(batch, rng), networks.generator.sample(batch, rng)
    prior = PriorSampler(networks, seed, per_step, pool=5).draw(0)
    target = TargetView(networks, networks.generator.synthesize(truth))
    return LatentView(networks, truth, prior, BLOCKS), target, LatentView(networks, other, prior, BLOCKS)


def parts(name: str, view: LatentView, target: TargetView) -> dict[str, Tensor]:
    value = TERMS[name].energy(view, target)
    return {"": value} if isinstance(value, Tensor) else dict(value)


@pytest.mark.parametrize("name", ["synthesis", "identity", "edit", "invariance"])
def test_zero_where_latent_rig_and_encoder_are_exact(name: str) -> None:
    view, target, _ = make(toy_networks(dtype=torch.float64))
    for value in parts(name, view, target).values():
        assert value.shape == (2,)
        assert value.abs().max() < 1e-10


def test_synthesis_equals_its_formula() -> None:
    _, target, view = make(toy_networks(dtype=torch.float64))
    value = parts("synthesis", view, target)
    phi = view.networks.features["perceptual"]
    expected = (
        (phi.features(target.image)["projected"] - phi.features(view.image)["projected"]).square().mean(dim=1)
    )
    torch.testing.assert_close(value["perceptual"], expected)
    torch.testing.assert_close(value["l2"], (target.image - view.image).flatten(1).square().mean(dim=1))
    assert (value["l2"] > 0).all()


def test_identity_is_zero_for_any_latent_when_the_rig_is_the_identity_map() -> None:
    exact = toy_networks()
    networks = Networks(exact.generator, exact.encoder, rigs={b: IdentityRig(TOY_LAYOUT, b) for b in BLOCKS})
    latent = networks.generator.sample(2, torch.Generator().manual_seed(0))
    view = LatentView(networks, latent, None, BLOCKS)
    assert parts("identity", view, TargetView(networks, view.image))[""].tolist() == [0.0, 0.0]


def test_edit_sees_a_rig_that_does_not_do_what_it_is_asked() -> None:
    exact, target, _ = make(toy_networks(dtype=torch.float64))
    lazy, _, _ = make(toy_networks(strength=0.5, dtype=torch.float64))
    networks = Networks(
        exact.networks.generator,
        exact.networks.encoder,
        exact.networks.face_model,
        rigs={b: IdentityRig(TOY_LAYOUT, b) for b in BLOCKS},
        landmarks=exact.networks.landmarks,
    )
    idle = LatentView(networks, exact.latent, exact.prior, BLOCKS)
    for part in ("photometric", "landmark"):
        errors = [parts("edit", view, target)[part] for view in (exact, lazy, idle)]
        assert (errors[0] < errors[1]).all()
        assert (errors[1] < errors[2]).all()
        torch.testing.assert_close(errors[1], errors[2] / 4)


def test_invariance_sees_a_rig_that_changes_something_else() -> None:
    exact, target, _ = make(toy_networks(dtype=torch.float64))
    networks = exact.networks

    class Leaking:
        layout, block = TOY_LAYOUT, "rotation"

        def rig(self, latent: Tensor, parameters: Tensor) -> Tensor:
            theta = networks.generator.theta(latent).clone()  # type: ignore[attr-defined]
            theta[:, TOY_LAYOUT.slice("rotation")] = parameters
            theta[:, TOY_LAYOUT.slice("identity")] += 0.5
            latent_of: Any = networks.generator
            return cast(Tensor, latent_of.latent(theta))

    leaking = Networks(
        networks.generator,
        networks.encoder,
        networks.face_model,
        {"rotation": Leaking()},
        landmarks=networks.landmarks,
    )
    view = LatentView(leaking, exact.latent, exact.prior, ("rotation",))
    assert (parts("invariance", view, target)["landmark"] > 1e-6).all()
    assert (parts("edit", view, target)["landmark"] < 1e-10).all()


def test_recognition_equals_its_formula_and_part_image_is_zero_at_the_truth() -> None:
    view, target, other = make(toy_networks(dtype=torch.float64), per_step=1)
    assert parts("recognition", view, target)["image"].abs().max() < 1e-12
    psi = view.networks.features["recognition"]
    wanted = psi.features(target.image)["projected"]
    expected = torch.stack(
        [
            (wanted - psi.features(other.edited(block).image)["projected"]).square().mean(dim=1)
            for block in BLOCKS
        ]
    ).mean(dim=0)
    torch.testing.assert_close(parts("recognition", other, target)["edited"], expected)


@pytest.mark.parametrize("name", list(TERMS))
def test_gradient_equals_finite_differences(name: str) -> None:
    networks = toy_networks(strength=0.7, dtype=torch.float64)
    _, target, view = make(networks, per_step=1, batch=1)
    prior = view.prior

    def total(latent: Tensor) -> Tensor:
        return torch.stack(
            list(parts(name, LatentView(networks, latent, prior, BLOCKS), target).values())
        ).sum()

    latent = view.latent.clone().requires_grad_(True)
    (gradient,) = torch.autograd.grad(total(latent), latent)
    rng = torch.Generator().manual_seed(1)
    for _ in range(4):
        direction = torch.randn(latent.shape, generator=rng, dtype=torch.float64)
        h = 1e-5
        numeric = (total(latent + h * direction) - total(latent - h * direction)) / (2 * h)
        torch.testing.assert_close((gradient * direction).sum(), numeric, rtol=1e-6, atol=1e-9)


def test_every_network_runs_once_per_distinct_input() -> None:
    networks = toy_networks()
    _, target, view = make(networks, batch=1)
    for name in TERMS:
        parts(name, view, target)
    counted: Any = networks
    n_edits = len(BLOCKS)
    before = counted.generator.calls, counted.encoder.calls
    for name in TERMS:
        parts(name, view, target)
    assert (counted.generator.calls, counted.encoder.calls) == before, "asking again computes nothing"

    fresh_networks: Any = toy_networks()
    _, target, view = make(fresh_networks, batch=1)
    for name in TERMS:
        parts(name, view, target)  # fills the target's own values
    start = fresh_networks.generator.calls, fresh_networks.encoder.calls
    rigs = {b: r.calls for b, r in fresh_networks.rigs.items()}
    psi, phi = (fresh_networks.features[role].calls for role in ("recognition", "perceptual"))
    again = LatentView(fresh_networks, view.latent, view.prior, BLOCKS)
    for name in TERMS:
        parts(name, again, target)
    assert fresh_networks.generator.calls - start[0] == 1 + n_edits, "once for w, once for each edited latent"
    assert fresh_networks.encoder.calls - start[1] == 1 + n_edits
    assert all(r.calls - rigs[b] == 2 for b, r in fresh_networks.rigs.items()), "once for θ_w, once for θ_v"
    assert fresh_networks.features["recognition"].calls - psi == 1 + n_edits
    assert fresh_networks.features["perceptual"].calls - phi == 1


def test_nothing_runs_that_no_term_asks_for() -> None:
    networks: Any = toy_networks()
    _, target, view = make(networks, batch=1)
    fresh = LatentView(networks, view.latent, view.prior, BLOCKS)
    calls = networks.generator.calls, networks.encoder.calls
    parts("synthesis", fresh, target)
    assert (networks.generator.calls, networks.encoder.calls) == (calls[0] + 1, calls[1])
    assert all(rig.calls == 0 for rig in networks.rigs.values())


@pytest.mark.parametrize("name", ["edit", "invariance"])
@pytest.mark.parametrize(
    ("shown", "said"),
    [
        (lambda right, theta, size: {}["lost"], "failed in render(): KeyError: 'lost'"),
        (lambda right, theta, size: right(theta, size).image, "gave Tensor instead of a Rendering"),
        (lambda right, theta, size: right(theta, size + 1), "gave image of the shape ("),
        (lambda right, theta, size: right(theta[:1], size), "gave image of the shape (1, 3,"),
    ],
)
def test_a_face_model_that_is_wrong_is_named(name: str, shown: Any, said: str) -> None:
    view, target, _ = make(toy_networks())
    right = view.networks.need_face_model()

    class Wrong:
        layout, num_landmarks = right.layout, right.num_landmarks

        def render(self, theta: Tensor, size: int) -> Any:
            return shown(right.render, theta, size)

    who = "the face_model 'odd' of odd-dist 1.0"
    wrong: Any = {"face_model": Wrong(), "origins": {"face_model": who}}
    view.networks = replace(view.networks, **wrong)
    with pytest.raises(PluginError, match=re.escape(f"{who} {said}")):
        TERMS[name].energy(view, target)
