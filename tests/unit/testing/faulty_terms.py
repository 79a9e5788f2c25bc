"""Energy terms that break the contract, each in one way, and good ones that do not.

`FAULTY` maps what is wrong to the term and a word of the check that must say so.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pie_framework.api import EnergyTerm, LatentView, TargetView

Energy = Callable[[LatentView, TargetView], Any]
ALL = frozenset({"encoder", "face_model", "rig", "landmarks", "prior", "features.perceptual"})


@dataclass(frozen=True)
class Case:
    """A term with what it declares to require and words of the check that must find its fault."""

    make: Callable[[], Any]
    requires: frozenset[str] = frozenset()
    found_by: str = ""


class FromFunction:
    """A term whose energy is a function."""

    def __init__(self, function: Energy) -> None:
        self.function = function

    def energy(self, view: LatentView, target: TargetView) -> Any:
        return self.function(view, target)


FAULTY: dict[str, Case] = {}
GOOD: dict[str, Case] = {}


def faulty(name: str, found_by: str, *requires: str) -> Callable[[Energy], Energy]:
    def keep(function: Energy) -> Energy:
        FAULTY[name] = Case(lambda: FromFunction(function), frozenset(requires), found_by)
        return function

    return keep


def good(name: str, *requires: str) -> Callable[[Energy], Energy]:
    def keep(function: Energy) -> Energy:
        GOOD[name] = Case(lambda: FromFunction(function), frozenset(requires))
        return function

    return keep


def pixels(view: LatentView, target: TargetView) -> Tensor:
    """Mean squared difference of the images, (B,)."""
    return (view.image - target.image).square().mean(dim=(1, 2, 3))


# ---- good ------------------------------------------------------------------------------------------------------

good("pixels")(pixels)


good("the generator is required", "generator")(pixels)


@good("parts")
def _parts(view: LatentView, target: TargetView) -> Mapping[str, Tensor]:
    return {"L2": pixels(view, target), "latent": view.latent.square().mean(dim=(1, 2))}


@good("a role of its own", "features.depth")
def _role(view: LatentView, target: TargetView) -> Tensor:
    own, other = view.features("depth")["projected"], target.features("depth")["projected"]
    return (own - other).square().mean(dim=1)


@good("edits", "rig", "encoder", "prior", "landmarks")
def _edits(view: LatentView, target: TargetView) -> Tensor:
    moved = [view.mean_over_prior(view.edited(b).theta.square().mean(dim=1)) for b in view.blocks]
    return torch.stack(moved).mean(dim=0) + view.landmarks.square().mean(dim=(1, 2)) / 256


@good("memo")
def _memo(view: LatentView, target: TargetView) -> Tensor:
    small = target.memo("memo.small", lambda: target.image.mean(dim=(2, 3)))
    return (view.memo("memo.small", lambda: view.image.mean(dim=(2, 3))) - small).square().mean(dim=1)


# ---- precision -------------------------------------------------------------------------------------------------


@faulty("another constant in float32", "float32 agrees")
def _constant(view: LatentView, target: TargetView) -> Tensor:
    return pixels(view, target) * (1.001 if view.latent.dtype == torch.float32 else 1.0)


@faulty("bfloat16 in float32", "float32 agrees")
def _bfloat(view: LatentView, target: TargetView) -> Tensor:
    if view.latent.dtype == torch.float32:
        return (view.image.bfloat16() - target.image.bfloat16()).float().square().mean(dim=(1, 2, 3))
    return pixels(view, target)


@faulty("overflow in float32", "float32 agrees")
def _overflow(view: LatentView, target: TargetView) -> Tensor:
    return (pixels(view, target) * 1e30) ** 2 / 1e60


@faulty("an epsilon that float32 does not know", "finite wherever")
def _epsilon(view: LatentView, target: TargetView) -> Tensor:
    return (pixels(view, target).square() + 1e-60).log()


@faulty("an epsilon of 1e-30 under a power", "finite wherever")
def _inverse(view: LatentView, target: TargetView) -> Tensor:
    return 1 - 1e-30 / (pixels(view, target) + 1e-30).square() * 1e-30


@faulty("float32 whatever the run's precision", "one finite value")
def _single(view: LatentView, target: TargetView) -> Tensor:
    return pixels(view, target).float()


@faulty("whole numbers", "one finite value")
def _whole(view: LatentView, target: TargetView) -> Tensor:
    return pixels(view, target).long()


# ---- what it is given is not its own ---------------------------------------------------------------------------


@faulty("view.image.data is emptied", "changes nothing")
def _empties(view: LatentView, target: TargetView) -> Tensor:
    value = pixels(view, target)
    view.image.data.zero_()
    return value


@faulty("view.image is scaled in place", "changes nothing")
def _scales(view: LatentView, target: TargetView) -> Tensor:
    return (view.image.mul_(0.5) - target.image).square().mean(dim=(1, 2, 3))


@faulty("view.theta is changed", "changes nothing", "encoder")
def _theta(view: LatentView, target: TargetView) -> Tensor:
    value = (view.theta - target.theta).square().mean(dim=1)
    view.theta.data += 1
    return value


@faulty("features are changed", "changes nothing", "features.perceptual")
def _features(view: LatentView, target: TargetView) -> Tensor:
    own, other = view.features("perceptual")["projected"], target.features("perceptual")["projected"]
    value = (own - other).square().mean(dim=1)
    other.zero_()
    return value


@faulty("the latent is changed", "changes nothing")
def _latent(view: LatentView, target: TargetView) -> Tensor:
    value = view.latent.square().mean(dim=(1, 2))
    view.latent.data.mul_(0.99)
    return value


@faulty("target.image is emptied", "changes nothing")
def _target(view: LatentView, target: TargetView) -> Tensor:
    value = pixels(view, target)
    target.image.zero_()
    return value


@faulty("target.landmarks are changed", "changes nothing", "landmarks")
def _points(view: LatentView, target: TargetView) -> Tensor:
    value = (view.landmarks - target.landmarks).square().mean(dim=(1, 2))
    target.landmarks.add_(1)
    return value


@faulty("v is changed", "changes nothing", "prior", "rig")
def _prior(view: LatentView, target: TargetView) -> Tensor:
    value = view.mean_over_prior(view.edited(view.blocks[0]).latent.square().mean(dim=(1, 2)))
    view.prior.theta.zero_()
    return value


@faulty("a network's buffer is changed", "changes nothing")
def _buffer(view: LatentView, target: TargetView) -> Tensor:
    value = pixels(view, target)
    view.networks.generator.mixing.mul_(1.001)  # type: ignore[attr-defined]
    return value


@faulty("a network is put into training mode", "changes nothing")
def _training(view: LatentView, target: TargetView) -> Tensor:
    generator: Any = view.networks.generator
    generator.train(not generator.training)
    return pixels(view, target)


# ---- gradients -------------------------------------------------------------------------------------------------


@faulty("everything under no_grad", "gradient")
def _no_grad(view: LatentView, target: TargetView) -> Tensor:
    with torch.no_grad():
        return pixels(view, target)


@faulty("a detached latent", "gradient")
def _detached(view: LatentView, target: TargetView) -> Tensor:
    return (view.latent.detach() - 1).square().mean(dim=(1, 2)) + 0 * pixels(view, target)


@faulty("the image is cut from its gradient", "leaves the gradients")
def _cut(view: LatentView, target: TargetView) -> Tensor:
    return (view.image.detach_() - target.image).square().mean(dim=(1, 2, 3))


@faulty("half of it detached", "finite differences")
def _half_detached(view: LatentView, target: TargetView) -> Tensor:
    return ((view.image - target.image) * (view.image.detach() - target.image)).mean(dim=(1, 2, 3))


@faulty("a square root at 0", "finite wherever")
def _root(view: LatentView, target: TargetView) -> Tensor:
    return pixels(view, target).sqrt()


@faulty("a length at the mean latent", "finite wherever")
def _length(view: LatentView, target: TargetView) -> Tensor:
    mean = view.networks.generator.mean_latent()
    return (view.latent - mean).square().sum(dim=(1, 2)).sqrt()


@faulty("not finite for a uniform portrait", "finite wherever")
def _contrast(view: LatentView, target: TargetView) -> Tensor:
    return pixels(view, target) / target.image.square().mean(dim=(1, 2, 3))


@faulty("gradients switched off for good", "changes nothing")
def _off(view: LatentView, target: TargetView) -> Tensor:
    value = pixels(view, target)
    torch.set_grad_enabled(False)
    return value


# ---- names and shapes ------------------------------------------------------------------------------------------

for _name, _word in ((1, "number"), ("a/b", "slash"), ("a.b", "dot"), ("", "nothing"), ("L 2", "space")):
    faulty(f"a part named {_name!r}", "part names")(
        lambda view, target, name=_name: {name: pixels(view, target)}  # type: ignore[misc]
    )
faulty("a part that is a float", "one finite value")(lambda v, t: {"l2": float(pixels(v, t).sum())})
faulty("no part", "one finite value")(lambda v, t: {})
faulty("(B, 1)", "one finite value")(lambda v, t: pixels(v, t)[:, None])
faulty("a scalar", "one finite value")(lambda v, t: pixels(v, t).sum())
faulty("(2B,)", "one finite value")(lambda v, t: pixels(v, t).repeat(2))
faulty("an image", "one finite value")(lambda v, t: (v.image - t.image).square())
faulty("a float", "one finite value")(lambda v, t: float(pixels(v, t).sum()))
faulty("None", "one finite value")(lambda v, t: None)
faulty("a list", "one finite value")(lambda v, t: [pixels(v, t)])

_COUNTER: Iterator[int] = iter(range(1_000_000))


@faulty("names that change", "part names")
def _renames(view: LatentView, target: TargetView) -> Mapping[str, Tensor]:
    return {f"l{next(_COUNTER)}": pixels(view, target)}


# ---- one portrait is not another, one call not the next --------------------------------------------------------


@faulty("the batch's mean is taken away", "batch equals single")
def _mean(view: LatentView, target: TargetView) -> Tensor:
    value = view.latent.square().mean(dim=(1, 2))
    return value - 0.5 * value.mean().detach()


@faulty("the batch's sum for everybody", "no gradient flows between")
def _sum(view: LatentView, target: TargetView) -> Tensor:
    return pixels(view, target).mean().expand(view.batch)


@faulty("the first portrait for everybody", "batch equals single")
def _first(view: LatentView, target: TargetView) -> Tensor:
    return (view.image - target.image[:1]).square().mean(dim=(1, 2, 3))


@faulty("only two portraits", "one finite value")
def _two(view: LatentView, target: TargetView) -> Tensor:
    one, other = view.image
    return torch.stack([one.square().mean(), other.square().mean()])


@faulty("only two v", "one block and one v", "prior", "rig")
def _two_v(view: LatentView, target: TargetView) -> Tensor:
    latent = view.edited(view.blocks[0]).latent.square().mean(dim=(1, 2))
    return latent.reshape(view.batch, 2).mean(dim=1)


class Counts:
    """Its value depends on how often it was asked."""

    calls = 0

    def energy(self, view: LatentView, target: TargetView) -> Tensor:
        self.calls += 1
        return pixels(view, target) * (1 + 0.01 * self.calls)


class RemembersTheFirstPortrait:
    """Compares with the first portrait that it ever saw, of each number of portraits."""

    def __init__(self) -> None:
        self.first: dict[int, Tensor] = {}

    def energy(self, view: LatentView, target: TargetView) -> Tensor:
        portrait = self.first.setdefault(view.batch, target.image.clone())
        return (view.image - portrait).square().mean(dim=(1, 2, 3))


class KeepsTheView:
    """Keeps every view."""

    def __init__(self) -> None:
        self.views: list[LatentView] = []

    def energy(self, view: LatentView, target: TargetView) -> Tensor:
        self.views.append(view)
        return pixels(view, target)


class KeepsItsValues:
    """Keeps every value with its graph."""

    def __init__(self) -> None:
        self.history: list[Tensor] = []

    def energy(self, view: LatentView, target: TargetView) -> Tensor:
        self.history.append(pixels(view, target))
        return self.history[-1]


class HoldsItInACycle:
    """What it made is free only when the garbage collector comes by."""

    def energy(self, view: LatentView, target: TargetView) -> Tensor:
        held: list[object] = [view]
        held.append(held)
        return pixels(view, target)


class NoEnergy:
    """Has no energy."""


FAULTY["counts its calls"] = Case(Counts, found_by="batch equals single")
FAULTY["remembers the first portrait"] = Case(RemembersTheFirstPortrait, found_by="remembers nothing")
FAULTY["keeps the view"] = Case(KeepsTheView, found_by="keeps nothing alive")
FAULTY["keeps its values"] = Case(KeepsItsValues, found_by="keeps nothing alive")
FAULTY["holds the view in a cycle"] = Case(HoldsItInACycle, found_by="keeps nothing alive")
FAULTY["has no energy"] = Case(NoEnergy, found_by="satisfies the protocol")


# ---- what is global --------------------------------------------------------------------------------------------


@faulty("torch's random numbers", "batch equals single")
def _draws(view: LatentView, target: TargetView) -> Tensor:
    return pixels(view, target) + 0 * torch.rand(())


@faulty("numpy's random numbers", "batch equals single")
def _draws_numpy(view: LatentView, target: TargetView) -> Tensor:
    return pixels(view, target) + 0 * float(np.random.rand())


@faulty("python's random numbers", "batch equals single")
def _draws_python(view: LatentView, target: TargetView) -> Tensor:
    return pixels(view, target) + 0 * random.random()


@faulty("a seed for everybody", "batch equals single")
def _seeds(view: LatentView, target: TargetView) -> Tensor:
    torch.manual_seed(0)
    return pixels(view, target)


@faulty("another default dtype", "batch equals single")
def _default(view: LatentView, target: TargetView) -> Tensor:
    torch.set_default_dtype(torch.float64)
    return pixels(view, target)


# ---- what is required, what it costs, how it leaves ------------------------------------------------------------

faulty("an encoder that is not required", "asks only")(lambda v, t: v.theta.square().mean(dim=1))
faulty("a prior that is not required", "asks only", "rig", "encoder")(
    lambda v, t: v.mean_over_prior(v.edited(v.blocks[0]).latent.square().mean(dim=(1, 2)))
)
faulty("a role that is not required", "asks only", "features.perceptual")(
    lambda v, t: v.features("recognition")["projected"].square().mean(dim=1)
)
faulty("a network taken past the view", "asks only")(
    lambda v, t: v.networks.encoder.encode(v.image).square().mean(dim=1)  # type: ignore[union-attr]
)
faulty("more is required than is used", "uses what it requires", "face_model", "features.perceptual")(pixels)


@faulty("slow", "cost")
def _slow(view: LatentView, target: TargetView) -> Tensor:
    time.sleep(1.0)
    return pixels(view, target)


@faulty("raises", "one finite value")
def _raises(view: LatentView, target: TargetView) -> Tensor:
    raise RuntimeError("nothing works")


@faulty("exits", "one finite value")
def _exits(view: LatentView, target: TargetView) -> Tensor:
    raise SystemExit(3)


def checked(case: Case) -> EnergyTerm:
    """A new term of a case."""
    made: EnergyTerm = case.make()
    return made
