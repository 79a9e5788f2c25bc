"""What a factory gets in a test: the toy world as a `BuildContext`, limited to what a declaration requires."""

from __future__ import annotations

import zlib
from typing import Any

import torch

from pie_framework.api import BuildContext, FeatureNetwork, Kind, Networks, Slot
from pie_framework.errors import ComponentError
from pie_framework.testing.toys import TOY_LAYOUT, ToyFeatures, toy_networks


class UndeclaredError(ComponentError):
    """A factory asked for something that its declaration does not require."""


class ToyContext(BuildContext):
    """The toy world, every component of it under the kind's name whatever name is asked for. Satisfies `BuildContext`.

    Args:
        networks: the world.
        device: of the world.
        dtype: of the world.
        blocks: the blocks τ of the run.
    """

    def __init__(
        self, networks: Networks, device: torch.device, dtype: torch.dtype, blocks: tuple[str, ...]
    ) -> None:
        self.networks = networks
        self.device, self.dtype, self.blocks = device, dtype, blocks
        self._features: dict[str, FeatureNetwork] = {}

    def get(self, kind: Kind | str, name: str | None = None) -> Any:
        """The toy component; of rigs that of a block, of feature networks that of a role, which may be any."""
        kind = Kind(kind)
        if kind.slot in (Slot.PER_BLOCK, Slot.PER_ROLE) and name is None:
            raise ComponentError(f"{kind.article} was asked for without saying which block or role")
        if kind is Kind.RIG:
            return self.networks.need_rig(str(name))
        if kind is Kind.FEATURES:
            role = str(name)
            return self._features.setdefault(role, toy_features(self.networks, role))
        if not kind.network:
            raise ComponentError(f"the toy world has no {kind}")
        return getattr(self.networks, kind.value)

    def chosen(self, kind: Kind | str, name: str | None = None) -> str | None:
        """ "toy" for what the world has, else None."""
        kind = Kind(kind)
        there = kind.network and (kind is not Kind.RIG or name is None or name in self.networks.rigs)
        return "toy" if there else None

    def asset(self, uri: str, folder: bool = False) -> str:
        """The local path of an asset; unlike in a run, no declared digest is compared."""
        from pie_framework.assets import resolve

        return str(resolve(uri, None, folder))


class DeclaredContext(BuildContext):
    """A context that gives only what a declaration requires, and notes what was used. Satisfies `BuildContext`.

    A component that is asked for by its registered name does not depend on what a run composes and need not be
    required; nor need what was asked for with `chosen` first.

    Args:
        inner: gives the components.
        requires: of the declaration.
    """

    def __init__(self, inner: BuildContext, requires: frozenset[str]) -> None:
        self.inner, self.requires = inner, frozenset(requires)
        self.device, self.dtype, self.blocks = inner.device, inner.dtype, inner.blocks
        self.used: set[str] = set()
        self._asked: set[str] = set()

    def get(self, kind: Kind | str, name: str | None = None) -> Any:
        kind = Kind(kind)
        if name is None or kind.slot in (Slot.PER_BLOCK, Slot.PER_ROLE):
            what = f"{kind}.{name}" if kind.slot is Slot.PER_ROLE else kind.value
            self.used |= {what, kind.value}
            if not {what, kind.value} & (self.requires | self._asked):
                raise UndeclaredError(
                    f"the context was asked for '{what}', which the declaration does not require",
                    f"Add '{what}' to requires.",
                )
        return self.inner.get(kind, name)

    def chosen(self, kind: Kind | str, name: str | None = None) -> str | None:
        kind = Kind(kind)
        chosen = self.inner.chosen(kind, name)
        if chosen is not None:
            self._asked.add(f"{kind}.{name}" if kind.slot is Slot.PER_ROLE else kind.value)
        return chosen

    def asset(self, uri: str, folder: bool = False) -> str:
        return self.inner.asset(uri, folder)


def toy_features(networks: Networks, role: str) -> FeatureNetwork:
    """The toy feature network of a role; a role that the world does not have gets one of its own."""
    if role in networks.features:
        return networks.features[role]
    known = networks.features["perceptual"]
    assert isinstance(known, ToyFeatures)
    return ToyFeatures(known.size, seed=zlib.crc32(role.encode())).to(known.projection)


def toy_context(
    dtype: torch.dtype = torch.float32,
    blocks: tuple[str, ...] = TOY_LAYOUT.editable,
    device: torch.device | str = "cpu",
    requires: frozenset[str] | None = None,
) -> BuildContext:
    """The toy world for a factory under test: `build(config, toy_context())`.

    Args:
        dtype: of all networks.
        blocks: the blocks τ, one rig network for each.
        device: of all networks.
        requires: as in a declaration; what is not required is then refused. None gives everything.
    """
    place = torch.device(device)
    world = ToyContext(toy_networks(blocks, dtype=dtype, device=place), place, dtype, blocks)
    return world if requires is None else DeclaredContext(world, requires)
