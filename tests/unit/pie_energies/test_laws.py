"""The five energies against their formulas, pair by pair, in a world where every rig moves the latent by known amounts.

The toy rigs are exact, so that most energies are 0 whatever is left out of them. These rigs are not, and the features
have two layers of different sizes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import FrozenInstanceError, replace
from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch
from torch import Tensor

from pie_energies.distances import feature_distance, reduced
from pie_energies.edit import EditProperty
from pie_energies.identity import IdentityPreservation
from pie_energies.invariance import InvarianceProperty
from pie_energies.plugin import pie_components
from pie_energies.recognition import Recognition
from pie_energies.settings import AnalysisConfig, DistanceConfig
from pie_energies.synthesis import Synthesis
from pie_framework.api import API_VERSION, FaceModel, Kind, LatentView, Networks, PriorDraw, TargetView
from pie_framework.errors import ConfigError
from pie_framework.optimisation.prior import describe
from pie_framework.settings import merge
from pie_framework.testing.toys import TOY_LAYOUT, ToyGenerator, toy_networks

BLOCKS = TOY_LAYOUT.editable
CONTEXT = cast(Any, SimpleNamespace())
PORTRAITS, DRAWN, SIZE, LAYERS = 2, 3, 16, 4
REDUCTIONS = ("mean", "sum")


def rand(*shape: int, seed: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


class Pushing:
    """ŵ = w + offset + push(θ^τ): asked for what is there, it moves the latent all the same, and by what is asked."""

    layout = TOY_LAYOUT

    def __init__(self, block: str, seed: int) -> None:
        self.block = block
        width = TOY_LAYOUT.size
        self.offset = 0.2 * rand(LAYERS, width, seed=seed)
        self.push = 0.3 * rand(TOY_LAYOUT.block(block).size, width, seed=seed + 1)

    def rig(self, latent: Tensor, parameters: Tensor) -> Tensor:
        return latent + self.offset + (parameters @ self.push)[:, None]


class TwoLayers:
    """A map and a vector, of different sizes."""

    def __init__(self, seed: int) -> None:
        self.kernel, self.matrix = rand(5, 3, 3, 3, seed=seed), rand(4, 3 * SIZE * SIZE, seed=seed + 1) / SIZE

    def features(self, image: Tensor) -> Mapping[str, Tensor]:
        return {
            "map": torch.nn.functional.conv2d(image, self.kernel, stride=2),
            "vector": torch.tanh(image.flatten(1) @ self.matrix.T),
        }


@pytest.fixture(scope="module")
def networks() -> Networks:
    exact = toy_networks(dtype=torch.float64)
    rigs = {block: Pushing(block, 10 * i) for i, block in enumerate(BLOCKS)}
    return replace(exact, rigs=rigs, features={"perceptual": TwoLayers(90), "recognition": TwoLayers(95)})


@pytest.fixture(scope="module")
def prior(networks: Networks) -> PriorDraw:
    return describe(networks, networks.generator.sample(DRAWN, torch.Generator().manual_seed(4)))


@pytest.fixture(scope="module")
def target(networks: Networks) -> TargetView:
    """Two portraits, with landmarks that are not quite those of the model."""
    latent = networks.generator.sample(PORTRAITS, torch.Generator().manual_seed(5))
    image = networks.generator.synthesize(latent)
    return TargetView(networks, image, networks.need_landmarks().detect(image) + rand(1, 6, 2, seed=6))


@pytest.fixture(scope="module")
def latent() -> Tensor:
    return rand(PORTRAITS, LAYERS, TOY_LAYOUT.size, seed=7)


@pytest.fixture
def view(networks: Networks, latent: Tensor, prior: PriorDraw) -> LatentView:
    return LatentView(networks, latent, prior, BLOCKS)


# ---- what each energy is, written out for one portrait and one v ---------------------------------------------------


def analysis(
    image: Tensor, landmarks: Tensor, theta: Tensor, model: FaceModel, size: int, reduction: str
) -> dict[str, float]:
    """ℓ of one image (3, R, R) with its landmarks (K, 2) and one θ (P,)."""
    shown = model.render(theta[None], size)
    step = image.shape[-1] // size
    small = image.reshape(3, size, step, size, step).mean(dim=(2, 4))
    inside = shown.mask[0, 0] == 1
    pixels = int(inside.sum())
    assert 0 < pixels < size * size, "the mask leaves something out"
    colours = float((small - shown.image[0])[:, inside].square().sum())
    away = landmarks - shown.landmarks[0] * (image.shape[-1] / size)
    squared = [float(x * x + y * y) for x, y in away]
    if reduction == "sum":
        return {"photometric": colours, "landmark": sum(squared)}
    return {
        "photometric": colours / (3 * pixels),
        "landmark": sum(squared) / len(squared) / image.shape[-1] ** 2,
    }


def averages(
    of_one: Callable[[int, int, str], dict[str, float]], blocks: tuple[str, ...] = BLOCKS
) -> dict[str, list[float]]:
    """Of each part and portrait the mean over the v and the blocks."""
    every = [
        [of_one(portrait, v, block) for v in range(DRAWN) for block in blocks]
        for portrait in range(PORTRAITS)
    ]
    return {part: [sum(x[part] for x in one) / len(one) for one in every] for part in every[0][0]}


def check(found: Mapping[str, Tensor], expected: Mapping[str, list[float]]) -> None:
    assert found.keys() == expected.keys()
    for part, values in expected.items():
        assert found[part].tolist() == pytest.approx(values, rel=1e-8), part
        assert min(values) > 1e-6, f"{part} is pinned by nothing"


def edited_theta(
    networks: Networks, latent: Tensor, prior: PriorDraw, portrait: int, v: int, block: str
) -> Tensor:
    """θ_ŵ of ŵ = RigNet(w, θ_v^τ), (P,)."""
    rigged = networks.rigs[block].rig(latent[[portrait]], TOY_LAYOUT.get(prior.theta[[v]], block))
    return networks.need_encoder().encode(networks.generator.synthesize(rigged))[0]


def with_block(theta: Tensor, other: Tensor, block: str) -> Tensor:
    """θ with the block of another, (P,)."""
    mixed, where = theta.clone(), TOY_LAYOUT.slice(block)
    mixed[where] = other[where]
    return mixed


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("size", [0, 8])
def test_edit_is_the_mean_over_v_and_blocks_of_its_formula(
    networks: Networks,
    prior: PriorDraw,
    target: TargetView,
    latent: Tensor,
    view: LatentView,
    reduction: str,
    size: int,
) -> None:
    def one(portrait: int, v: int, block: str) -> dict[str, float]:
        read = edited_theta(networks, latent, prior, portrait, v, block)
        theta = with_block(prior.theta[v], read, block)
        face_model = networks.need_face_model()
        return analysis(prior.image[v], prior.landmarks[v], theta, face_model, size or SIZE, reduction)

    term = EditProperty(AnalysisConfig(size, reduction), CONTEXT)
    check(term.energy(view, target), averages(one))


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("size", [0, 8])
def test_invariance_is_the_mean_over_v_and_blocks_of_its_formula(
    networks: Networks,
    prior: PriorDraw,
    target: TargetView,
    latent: Tensor,
    view: LatentView,
    reduction: str,
    size: int,
) -> None:
    def one(portrait: int, v: int, block: str) -> dict[str, float]:
        read = edited_theta(networks, latent, prior, portrait, v, block)
        theta = with_block(read, target.theta[portrait], block)
        image, points = target.image[portrait], target.landmarks[portrait]
        return analysis(image, points, theta, networks.need_face_model(), size or SIZE, reduction)

    term = InvarianceProperty(AnalysisConfig(size, reduction), CONTEXT)
    check(term.energy(view, target), averages(one))


def distance(first: Mapping[str, Tensor], second: Mapping[str, Tensor], reduction: str) -> float:
    squared = [(first[layer] - second[layer]).square().flatten() for layer in ("map", "vector")]
    if reduction == "sum":
        return sum(float(values.sum()) for values in squared)
    return sum(float(values.sum()) / values.numel() for values in squared) / 2


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_recognition_is_its_formula(
    networks: Networks, prior: PriorDraw, target: TargetView, latent: Tensor, view: LatentView, reduction: str
) -> None:
    psi, generator = networks.features["recognition"], networks.generator

    def one(portrait: int, v: int, block: str) -> dict[str, float]:
        rigged = networks.rigs[block].rig(latent[[portrait]], TOY_LAYOUT.get(prior.theta[[v]], block))
        wanted = psi.features(target.image[[portrait]])
        return {
            "image": distance(wanted, psi.features(generator.synthesize(latent[[portrait]])), reduction),
            "edited": distance(wanted, psi.features(generator.synthesize(rigged)), reduction),
        }

    check(Recognition(DistanceConfig(reduction), CONTEXT).energy(view, target), averages(one))


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_synthesis_is_its_formula(
    networks: Networks, target: TargetView, latent: Tensor, view: LatentView, reduction: str
) -> None:
    phi, made = networks.features["perceptual"], networks.generator.synthesize(latent)
    count = 1 if reduction == "sum" else 3 * SIZE * SIZE
    expected = {
        "l2": [float((target.image[i] - made[i]).square().sum()) / count for i in range(PORTRAITS)],
        "perceptual": [
            distance(phi.features(target.image[[i]]), phi.features(made[[i]]), reduction)
            for i in range(PORTRAITS)
        ],
    }
    check(Synthesis(DistanceConfig(reduction), CONTEXT).energy(view, target), expected)


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("blocks", [BLOCKS, BLOCKS[:1]])
def test_identity_is_the_mean_over_blocks_of_its_formula(
    networks: Networks,
    prior: PriorDraw,
    target: TargetView,
    latent: Tensor,
    reduction: str,
    blocks: tuple[str, ...],
) -> None:
    generator = networks.generator
    assert isinstance(generator, ToyGenerator)
    theta = generator.theta(latent)
    count = 1 if reduction == "sum" else LAYERS * TOY_LAYOUT.size
    changes = torch.zeros(PORTRAITS, dtype=torch.float64)
    for block in blocks:
        rig = cast(Pushing, networks.rigs[block])
        moved = rig.offset + (TOY_LAYOUT.get(theta, block) @ rig.push)[:, None]
        changes += moved.square().sum(dim=(1, 2)) / count / len(blocks)
    view = LatentView(networks, latent, prior, blocks)
    found = IdentityPreservation(DistanceConfig(reduction), CONTEXT).energy(view, target)
    assert isinstance(found, Tensor)
    check({"": found}, {"": changes.tolist()})


# ---- gradients -----------------------------------------------------------------------------------------------------


TERMS = {
    "synthesis": lambda reduction: Synthesis(DistanceConfig(reduction), CONTEXT),
    "identity": lambda reduction: IdentityPreservation(DistanceConfig(reduction), CONTEXT),
    "edit": lambda reduction: EditProperty(AnalysisConfig(8, reduction), CONTEXT),
    "invariance": lambda reduction: InvarianceProperty(AnalysisConfig(0, reduction), CONTEXT),
    "recognition": lambda reduction: Recognition(DistanceConfig(reduction), CONTEXT),
}


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("name", TERMS)
def test_gradient_equals_finite_differences(
    networks: Networks, prior: PriorDraw, target: TargetView, latent: Tensor, name: str, reduction: str
) -> None:
    """Of each part and each portrait; nothing is detached, θ_w^τ in E_identity neither."""
    term = TERMS[name](reduction)

    def parts(at: Tensor) -> Tensor:
        value = term.energy(LatentView(networks, at, prior, BLOCKS), target)
        return torch.stack([value] if isinstance(value, Tensor) else list(value.values())).flatten()

    leaf = latent.clone().requires_grad_(True)
    values = parts(leaf)
    gradients = [torch.autograd.grad(value, leaf, retain_graph=True)[0] for value in values]
    step = 1e-5
    for seed in range(3):
        direction = rand(*latent.shape, seed=100 + seed)
        numeric = (parts(latent + step * direction) - parts(latent - step * direction)) / (2 * step)
        found = torch.stack([(gradient * direction).sum() for gradient in gradients])
        assert (found.abs() > 1e-7).all(), "a part has no gradient to compare"
        torch.testing.assert_close(found, numeric, rtol=1e-6, atol=1e-9)


def test_identity_sees_what_the_latent_shows_change(
    networks: Networks, prior: PriorDraw, target: TargetView, latent: Tensor
) -> None:
    """θ_w^τ depends on w: with it detached a rig that only adds to the latent would leave no gradient at all."""
    leaf = latent.clone().requires_grad_(True)
    value = IdentityPreservation(DistanceConfig(), CONTEXT).energy(
        LatentView(networks, leaf, prior, BLOCKS), target
    )
    (gradient,) = torch.autograd.grad(value.sum(), leaf)
    assert (gradient.abs().amax(dim=(1, 2)) > 1e-4).all()


@pytest.mark.parametrize("name", ["synthesis", "identity", "edit", "invariance", "recognition"])
def test_sums_are_means_times_what_they_are_taken_over(
    networks: Networks, prior: PriorDraw, target: TargetView, latent: Tensor, name: str
) -> None:
    """Where everything is compared at the generator's resolution; each layer of features has its own factor."""
    if name in ("edit", "invariance"):
        kind = EditProperty if name == "edit" else InvarianceProperty
        mean, total = (kind(AnalysisConfig(0, reduction), CONTEXT) for reduction in REDUCTIONS)
    else:
        mean, total = (TERMS[name](reduction) for reduction in REDUCTIONS)
    view = LatentView(networks, latent, prior, BLOCKS)
    one, other = mean.energy(view, target), total.energy(view, target)
    first = {"": one} if isinstance(one, Tensor) else dict(one)
    second = {"": other} if isinstance(other, Tensor) else dict(other)
    covered = int(networks.need_face_model().render(prior.theta[:1], SIZE).mask.sum())
    factors = {
        ("synthesis", "l2"): 3 * SIZE**2,
        ("identity", ""): LAYERS * TOY_LAYOUT.size,
        (name, "photometric"): 3 * covered,
        (name, "landmark"): 6 * SIZE**2,
    }
    assert first.keys() == second.keys()
    for part, value in first.items():
        factor = factors.get((name, part))
        if factor is None:  # features: 5 x 7 x 7 and 4 elements, of which the mean takes half each
            assert (second[part] > 2 * 4 * value).all() and (second[part] < 2 * 245 * value).all()
        else:
            torch.testing.assert_close(second[part], factor * value, rtol=1e-9, atol=0.0)


# ---- the pieces ----------------------------------------------------------------------------------------------------


def test_reduced_and_feature_distance_of_small_numbers() -> None:
    squared = torch.tensor([[[1.0, 2.0], [3.0, 6.0]], [[0.0, 0.0], [0.0, 4.0]]])
    assert reduced(squared).tolist() == reduced(squared, "mean").tolist() == [3.0, 1.0]
    assert reduced(squared, "sum").tolist() == [12.0, 4.0]
    first = {"a": torch.zeros(1, 2, 1, 2), "b": torch.zeros(1, 3)}
    second = {"a": torch.tensor([[[[1.0, 1.0]], [[1.0, 3.0]]]]), "b": torch.tensor([[2.0, 0.0, 1.0]])}
    assert feature_distance(first, second).item() == pytest.approx((12 / 4 + 5 / 3) / 2)
    assert feature_distance(first, second, "sum").item() == pytest.approx(12 + 5)
    assert feature_distance(second, second, "sum").item() == 0.0


def test_settings_are_checked() -> None:
    assert (DistanceConfig().reduction, AnalysisConfig().reduction, AnalysisConfig().size) == (
        "mean",
        "mean",
        64,
    )
    assert AnalysisConfig(size=0).size == 0
    for kind in (DistanceConfig, AnalysisConfig):
        with pytest.raises(ConfigError, match=r"reduction: 'summ' is not one of its values.*'sum'"):
            merge(kind, {"reduction": "summ"})
        with pytest.raises(FrozenInstanceError):
            kind().reduction = "sum"  # type: ignore[misc]
    with pytest.raises(ConfigError, match=r"size: -1 is too small\. It is at least 0\."):
        merge(AnalysisConfig, {"size": -1})


def test_the_declarations_say_what_each_energy_needs() -> None:
    edits = frozenset({"rig", "encoder", "face_model", "landmarks", "prior"})
    expected = {
        "synthesis": (Synthesis, DistanceConfig, {"features.perceptual"}),
        "identity": (IdentityPreservation, DistanceConfig, {"rig", "encoder"}),
        "edit": (EditProperty, AnalysisConfig, edits),
        "invariance": (InvarianceProperty, AnalysisConfig, edits),
        "recognition": (Recognition, DistanceConfig, {"rig", "encoder", "features.recognition", "prior"}),
    }
    found = {c.name: (c.load(), c.config, c.requires) for c in pie_components()}
    assert found == expected
    assert {c.kind for c in pie_components()} == {Kind.ENERGY}
    assert {c.api_version for c in pie_components()} == {API_VERSION}
    assert all(c.problem() is None for c in pie_components())
