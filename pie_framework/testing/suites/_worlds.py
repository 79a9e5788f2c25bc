"""The toy world as a term or a start sees it: limited to what is declared, and watched."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

from pie_framework.api import FeatureNetwork, LatentView, Networks, PriorDraw, TargetView
from pie_framework.testing._context import toy_features
from pie_framework.testing.toys import toy_networks

#: Parts of `Networks` that a declaration may require, all under the name of their kind but the rigs.
PARTS = {
    "encoder": "encoder",
    "face_model": "face_model",
    "rig": "rigs",
    "landmarks": "landmarks",
    "editor": "editor",
    "inverter": "inverter",
}


def limited(whole: Networks, requires: frozenset[str]) -> Networks:
    """The world reduced to the generator and what is required."""
    roles = [name.partition(".")[2] for name in requires if name.startswith("features.")]
    if "features" in requires:
        roles += list(whole.features)
    absent: dict[str, Any] = {
        part: ({} if part == "rigs" else None) for what, part in PARTS.items() if what not in requires
    }
    return dataclasses.replace(whole, features={role: toy_features(whole, role) for role in roles}, **absent)


def inexact_world(dtype: torch.dtype, device: torch.device) -> Networks:
    """A toy world in which no energy is 0 everywhere: rigs go 70 % of the way and a little beside it, and the encoder
    reads 90 %."""
    return toy_networks(strength=0.7, dtype=dtype, offset=0.1, gain=0.9, device=device)


def drawn(count: int, rng: torch.Generator, dtype: torch.dtype, device: torch.device) -> dict[str, Tensor]:
    """`count` latents v of the exact toy world with all that is known of them; fields of a `PriorDraw`."""
    whole = toy_networks(dtype=dtype, device=device)
    v = whole.generator.sample(count, rng)
    image = whole.generator.synthesize(v)
    return {
        "latent": v.contiguous(),
        "image": image,
        "theta": whole.need_encoder().encode(image),
        "landmarks": whole.need_landmarks().detect(image),
    }


def everything(networks: Networks, view: LatentView, target: TargetView) -> dict[str, Any]:
    """All that a term may look at, asked for and named, with the networks themselves."""
    found: dict[str, Any] = {
        "the networks": networks,
        "the latent": view.latent,
        "target.image": target.image,
    }
    found["view.image"] = view.image
    if networks.encoder is not None:
        found.update({"view.theta": view.theta, "target.theta": target.theta})
    if networks.landmarks is not None:
        found.update({"view.landmarks": view.landmarks, "target.landmarks": target.landmarks})
    for role in networks.features:
        found[f"view.features({role})"] = view.features(role)
        found[f"target.features({role})"] = target.features(role)
    if view._prior is not None:
        found["view.prior"] = dict(vars(view._prior))
    for block in networks.rigs:
        if networks.encoder is not None:
            found[f"view.rigged({block})"] = view.rigged(block)
        if view._prior is not None:
            edited = view.edited(block)
            found[f"view.edited({block}).latent"] = edited.latent
            found[f"view.edited({block}).image"] = edited.image
            if networks.encoder is not None:
                found[f"view.edited({block}).theta"] = edited.theta
    return found


class WatchedNetworks(Networks):
    """Networks that note which of their parts were looked at, as a declaration would name them."""

    def __getattribute__(self, name: str) -> Any:
        value = object.__getattribute__(self, name)
        for what, part in PARTS.items():
            if name == part and value:
                object.__getattribute__(self, "seen").add(what)
        return value

    @classmethod
    def of(cls, networks: Networks) -> WatchedNetworks:
        """The same networks, watched; `seen` is what was looked at."""
        made: WatchedNetworks = object.__new__(cls)
        seen: set[str] = set()
        object.__setattr__(made, "seen", seen)
        for field in dataclasses.fields(Networks):
            object.__setattr__(made, field.name, getattr(networks, field.name))
        object.__setattr__(made, "features", _Roles(networks.features, seen))
        return made

    @property
    def looked_at(self) -> set[str]:
        found: set[str] = object.__getattribute__(self, "seen")
        return found


class _Roles(Mapping[str, FeatureNetwork]):
    """Feature networks by role that note which were taken."""

    def __init__(self, roles: Mapping[str, FeatureNetwork], seen: set[str]) -> None:
        self._roles, self._seen = roles, seen

    def __getitem__(self, role: str) -> FeatureNetwork:
        found = self._roles[role]
        self._seen |= {f"features.{role}", "features"}
        return found

    def __iter__(self) -> Iterator[str]:
        return iter(self._roles)

    def __len__(self) -> int:
        return len(self._roles)


class WatchedPrior(PriorDraw):
    """A draw that notes whether it was looked at."""

    def __getattribute__(self, name: str) -> Any:
        if name in ("latent", "image", "theta", "landmarks"):
            object.__getattribute__(self, "__dict__").setdefault("seen", True)
        return object.__getattribute__(self, name)

    @property
    def looked_at(self) -> bool:
        return "seen" in object.__getattribute__(self, "__dict__")
