"""The view: each value once, with its gradient whoever asks first, and nothing that keeps a view alive."""

from __future__ import annotations

import gc
import weakref
from typing import Any

import pytest
import torch
from torch import Tensor

from pie_framework.api import EditedView, LatentView, Networks, Rendering, TargetView
from pie_framework.api.view import ImageView
from pie_framework.errors import ComponentError, PluginError
from pie_framework.optimisation.objective import Objective, WeightedTerm
from pie_framework.optimisation.prior import PriorSampler
from pie_framework.optimisation.schedule import PriorSettings, Stage
from pie_framework.optimisation.solver import solve
from pie_framework.optimisation.start import make_problem
from pie_framework.testing.toys import TOY_LAYOUT, toy_networks
from pie_optimizers.adam import Adam

BLOCKS = TOY_LAYOUT.editable


def make(networks: Networks, per_step: int = 2, batch: int = 3) -> LatentView:
    prior = PriorSampler(networks, 0, per_step, pool=5).draw(0)
    latent = networks.generator.sample(batch, torch.Generator().manual_seed(2)).contiguous()
    return LatentView(networks, latent.requires_grad_(True), prior, BLOCKS)


ASKED = {
    "image": lambda view: view.image,
    "theta": lambda view: view.theta,
    "landmarks": lambda view: view.landmarks,
    "features": lambda view: view.features("perceptual")["projected"],
    "rigged": lambda view: view.rigged("rotation"),
    "edited latent": lambda view: view.edited("rotation").latent,
    "edited image": lambda view: view.edited("rotation").image,
    "edited theta": lambda view: view.edited("rotation").theta,
    "memo": lambda view: view.memo("mine", lambda: view.latent.square()),
}


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode, torch.enable_grad])
@pytest.mark.parametrize("asked", list(ASKED))
def test_what_is_first_asked_for_without_gradient_has_one_all_the_same(asked: str, mode: Any) -> None:
    view = make(toy_networks())
    with mode():
        first = ASKED[asked](view)
    assert first is ASKED[asked](view)
    (gradient,) = torch.autograd.grad(first.square().sum(), view.latent)
    assert gradient.abs().max() > 0


def test_the_target_has_no_gradient_and_is_a_copy() -> None:
    networks = toy_networks()
    images = make(networks).image
    assert images.requires_grad
    target = TargetView(networks, images)
    values = [target.image, target.theta, target.landmarks, target.features("perceptual")["projected"]]
    values.append(target.memo("mine", lambda: images * 2))
    assert not any(value.requires_grad for value in values)
    kept = target.image.clone()
    with torch.no_grad():
        images.zero_()
    assert torch.equal(target.image, kept)


def test_pairs_are_portrait_first_and_averaged_over_v() -> None:
    view = make(toy_networks(), per_step=2, batch=3)
    own = torch.arange(3.0)
    drawn = torch.tensor([10.0, 20.0])
    assert view.per_pair(own).tolist() == [0, 0, 1, 1, 2, 2]
    assert view.prior_per_pair(drawn).tolist() == [10, 20] * 3
    assert view.prior_per_pair(drawn[:, None, None]).shape == (6, 1, 1)
    assert view.mean_over_prior(torch.tensor([1.0, 3.0, 5.0, 9.0, 0.0, 1.0])).tolist() == [2.0, 7.0, 0.5]


def test_an_edit_asks_the_rig_for_the_block_of_every_v() -> None:
    networks: Any = toy_networks()
    view = make(networks, per_step=2, batch=3)
    edited = view.edited("expression")
    assert edited.block == "expression"
    theta = networks.generator.theta(edited.latent)
    wanted = TOY_LAYOUT.get(view.prior.theta, "expression").repeat(3, 1)
    torch.testing.assert_close(TOY_LAYOUT.get(theta, "expression"), wanted, rtol=1e-4, atol=1e-4)
    kept = TOY_LAYOUT.get(networks.generator.theta(view.latent), "identity").repeat_interleave(2, dim=0)
    torch.testing.assert_close(TOY_LAYOUT.get(theta, "identity"), kept, rtol=1e-4, atol=1e-4)


def test_without_a_prior_or_a_component_the_error_names_it() -> None:
    networks = toy_networks()
    latent = networks.generator.sample(1, torch.Generator().manual_seed(0))
    with pytest.raises(ComponentError, match="prior sample"):
        _ = LatentView(networks, latent).prior
    bare = LatentView(Networks(networks.generator), latent)
    asked = {
        "encoder": lambda: bare.theta,
        "landmarks": lambda: bare.landmarks,
        "role 'perceptual'": lambda: bare.features("perceptual"),
        "block 'rotation'": lambda: bare.rigged("rotation"),
    }
    for what, ask in asked.items():
        with pytest.raises(ComponentError, match=what):
            ask()


def test_views_are_freed_at_once() -> None:
    networks = toy_networks()
    view = make(networks)
    edited = [view.edited(block) for block in BLOCKS]
    assert all(ask(view) is not None for ask in ASKED.values())
    total = sum(part.image.sum() for part in edited) + view.rigged("rotation").sum()
    torch.autograd.grad(total, view.latent)
    watched = [weakref.ref(view), *(weakref.ref(part) for part in edited)]
    gc.collect()
    gc.disable()
    try:
        del view, edited, total
        assert [ref() for ref in watched] == [None] * len(watched)
    finally:
        gc.enable()


class Everything:
    """Asks for all there is."""

    def energy(self, view: LatentView, target: TargetView) -> Tensor:
        edited = [view.edited(block) for block in view.blocks]
        changed = torch.stack([view.mean_over_prior(e.image.square().mean(dim=(1, 2, 3))) for e in edited])
        apart = torch.stack([(view.latent - view.rigged(b)).square().mean(dim=(1, 2)) for b in view.blocks])
        own = (view.image - target.image).square().mean(dim=(1, 2, 3)) + view.theta.square().mean(dim=1)
        return own + changed.mean(dim=0) + apart.mean(dim=0)


def test_memory_is_constant_over_200_steps_without_the_garbage_collector() -> None:
    networks = toy_networks()
    images = networks.generator.synthesize(networks.generator.sample(2, torch.Generator().manual_seed(3)))
    problem = make_problem(
        networks,
        Objective({"all": WeightedTerm(Everything())}),
        images,
        (Stage("p", "w_plus", 200, 0.01),),
        Adam(),
        BLOCKS,
        PriorSettings(pool=4),
    )
    alive: list[tuple[int, int]] = []

    def count(state: Any, history: Any) -> None:
        # Frozen dataclasses and lists are few; what grows with leaked views are tensors and views.
        objects = gc.get_objects()
        views = sum(type(o) in (LatentView, EditedView) for o in objects)
        tensors = sum(type(o) is Tensor for o in objects)
        alive.append((views - others, tensors))

    g = networks.generator
    gc.collect()
    # The traceback of a test before this one may hold some.
    others = sum(type(o) in (LatentView, EditedView) for o in gc.get_objects())
    gc.disable()
    try:
        start = g.mean_latent().expand(2, g.num_layers, g.latent_dim)
        solve(problem, problem.start(start), check_every=20, on_check=count)
    finally:
        gc.enable()
    views, tensors = zip(*alive, strict=True)
    assert len(alive) == 10
    assert max(views) == 0, "a view outlives its step"
    assert max(tensors[1:]) <= tensors[0] + 2, f"tensors pile up: {tensors}"


def sampled(view: LatentView) -> Tensor:
    return view.networks.sample(3, torch.Generator())


def rendered(view: LatentView) -> Rendering:
    return view.networks.render(view.theta.detach(), 16)


@pytest.mark.usefixtures("unchecked_shapes")
@pytest.mark.parametrize(
    ("role", "ask", "wrong", "said"),
    [
        ("generator", lambda v: v.image, lambda *a: 3, "gave int instead of a tensor"),
        (
            "generator",
            lambda v: v.image,
            lambda *a: torch.zeros(3, 3, 8, 8),
            r"image of the shape \(3, 3, 8, 8\)",
        ),
        (
            "encoder",
            lambda v: v.theta,
            lambda *a: torch.zeros(3, 5),
            r"coefficients of the shape \(3, 5\), not",
        ),
        ("encoder", lambda v: v.theta, lambda *a: torch.zeros(3, 44).long(), "int64"),
        ("landmarks", lambda v: v.landmarks, lambda *a: torch.zeros(3, 7, 2), r"not \(3, 6, 2\)"),
        (
            "features.perceptual",
            lambda v: v.features("perceptual"),
            lambda *a: [],
            "gave list instead of named",
        ),
        (
            "features.perceptual",
            lambda v: v.features("perceptual"),
            lambda *a: [1],
            "gave list instead of named",
        ),
        (
            "features.perceptual",
            lambda v: v.features("perceptual"),
            lambda *a: {},
            "gave dict instead of named",
        ),
        (
            "features.perceptual",
            lambda v: v.features("perceptual"),
            lambda *a: {"x": torch.zeros(4, 5)},
            r"feature map 'x' of the shape \(4, 5\), not \(3, \.\.\.\)",
        ),
        (
            "features.perceptual",
            lambda v: v.features("perceptual"),
            lambda *a: {"x": torch.zeros(2, 4)},
            r"feature map 'x' of the shape \(2, 4\), not \(3, ...\)",
        ),
        (
            "rig.rotation",
            lambda v: v.rigged("rotation"),
            lambda *a: torch.zeros(3, 1, 44),
            r"not \(3, 4, 44\)",
        ),
        *(
            ("generator", sampled, lambda *a, s=shape: torch.zeros(s), "samples of its prior of the shape")
            for shape in ((2, 4, 44), (4, 4, 44), (3, 3, 44), (3, 5, 44), (3, 4, 43), (3, 4, 45), (3, 44))
        ),
        ("generator", sampled, lambda *a: None, "gave NoneType instead of a tensor"),
        *(
            (
                "face_model",
                rendered,
                lambda *a, p=parts: Rendering(*map(torch.zeros, p)),
                f"gave {said.strip()} of the shape",
            )
            for said, parts in {
                "image": ((3, 2, 16, 16), (3, 1, 16, 16), (3, 6, 2)),
                "image ": ((3, 4, 16, 16), (3, 1, 16, 16), (3, 6, 2)),
                "mask": ((3, 3, 16, 16), (3, 3, 16, 16), (3, 6, 2)),
                "landmarks": ((3, 3, 16, 16), (3, 1, 16, 16), (3, 6, 1)),
                "landmarks ": ((3, 3, 16, 16), (3, 1, 16, 16), (3, 6, 3)),
            }.items()
        ),
        ("face_model", rendered, lambda *a: torch.zeros(3, 3, 16, 16), "gave Tensor instead of a Rendering"),
        ("generator", lambda v: v.image, None, "failed in .*ZeroDivisionError"),
        ("encoder", lambda v: v.theta, None, "failed in .*ZeroDivisionError"),
        ("landmarks", lambda v: v.landmarks, None, "failed in .*ZeroDivisionError"),
        ("rig.rotation", lambda v: v.edited("rotation").image, None, "failed in .*ZeroDivisionError"),
    ],
)
def test_what_a_network_does_wrong_names_it(role: str, ask: Any, wrong: Any, said: str) -> None:
    networks: Any = toy_networks()
    view = make(networks)
    part, method = {
        "generator": (networks.generator, "synthesize"),
        "face_model": (networks.face_model, "render"),
        "encoder": (networks.encoder, "encode"),
        "landmarks": (networks.landmarks, "detect"),
        "features.perceptual": (networks.features["perceptual"], "features"),
        "rig.rotation": (networks.rigs["rotation"], "rig"),
    }[role]
    if ask is sampled:
        method = "sample"
    setattr(part, method, wrong or (lambda *a: 1 / 0))
    networks.origins[role] = f"the {role} 'bad' of bad-dist 1.0"
    with pytest.raises(PluginError, match=f"the {role} 'bad' of bad-dist 1.0 .*{said}"):
        ask(view)


def test_a_view_of_no_image_says_so() -> None:
    with pytest.raises(NotImplementedError):
        _ = ImageView(toy_networks()).image


def test_what_is_known_of_a_portrait_takes_part_in_gradients() -> None:
    networks = toy_networks()
    latent = networks.generator.sample(2, torch.Generator().manual_seed(0)).contiguous().requires_grad_()
    target = TargetView(networks, torch.rand(2, 3, 16, 16))
    (LatentView(networks, latent).theta * target.theta).sum().backward()
    assert latent.grad is not None and bool(latent.grad.any())


@pytest.mark.parametrize("known", [True, False])
def test_portraits_are_taken_with_their_landmarks(known: bool) -> None:
    networks = toy_networks()
    image = torch.rand(3, 3, 16, 16)
    landmarks = torch.arange(6.0).view(3, 1, 2) if known else None
    part = TargetView(networks, image, landmarks).take([2, 0])
    assert torch.equal(part.image, image[[2, 0]])
    wanted = networks.detect(image[[2, 0]]) if landmarks is None else landmarks[[2, 0]]
    torch.testing.assert_close(part.landmarks, wanted)
