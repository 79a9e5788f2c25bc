"""The layout of θ: which coefficients of a 3D morphable face model lie where.

A model has its own block sizes (§1 of the system description gives 257 for the paper's); code asks the layout
and never writes a size. This module imports no torch until a tensor is handled.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pie_framework.errors import ConfigError, did_you_mean

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

#: The blocks a rig network can edit (τ), in the order in which several edits are applied.
EDITABLE_BLOCKS = ("rotation", "expression", "illumination")


@dataclass(frozen=True)
class Block:
    """One named run of coefficients.

    Attributes:
        name: rotation, translation, identity, albedo, expression or illumination (others are allowed).
        size: number of coefficients; illumination has 27, three colour channels of the nine bands 1, y, z, x, xy, yz,
            3z² - 1, xz, x² - y², channel first (`pie_framework.rendering`).
        unit: "radians", "model units", "standard deviations", "activation" or "spherical harmonics".
        names: names of the first coefficients, for controls; may be shorter than `size`.
    """

    name: str
    size: int
    unit: str = ""
    names: tuple[str, ...] = ()


@dataclass(frozen=True)
class Layout:
    """The blocks of θ in their order; θ has shape (B, P), that of one face (P,), with P = `size`."""

    blocks: tuple[Block, ...]
    _offsets: dict[str, int] = field(init=False, repr=False, compare=False, default_factory=dict)

    def __post_init__(self) -> None:
        offset = 0
        for block in self.blocks:
            if block.name in self._offsets:
                raise ConfigError(f"the layout names the block '{block.name}' twice")
            self._offsets[block.name] = offset
            offset += block.size

    @property
    def size(self) -> int:
        """P, the number of coefficients of θ."""
        return sum(block.size for block in self.blocks)

    @property
    def block_names(self) -> tuple[str, ...]:
        return tuple(block.name for block in self.blocks)

    @property
    def editable(self) -> tuple[str, ...]:
        """The blocks of this layout that a rig network can edit."""
        return tuple(name for name in EDITABLE_BLOCKS if name in self._offsets)

    def block(self, name: str) -> Block:
        for block in self.blocks:
            if block.name == name:
                return block
        raise ConfigError(f"the face model has no block '{name}'", did_you_mean(name, self._offsets))

    def slice(self, name: str) -> slice:
        """Where the block lies in the last axis of θ."""
        block = self.block(name)
        start = self._offsets[name]
        return slice(start, start + block.size)

    def names(self, name: str) -> tuple[str, ...]:
        """Names of the block's coefficients; unnamed ones are called `<block>_<index>`."""
        block = self.block(name)
        rest = (f"{name}_{i}" for i in range(len(block.names), block.size))
        return (*block.names, *rest)

    def index(self, block: str, coefficient: str) -> int:
        """Column of θ that holds a named coefficient of a block."""
        names = self.names(block)
        if coefficient not in names:
            raise ConfigError(
                f"the block '{block}' has no coefficient '{coefficient}'",
                did_you_mean(coefficient, self.block(block).names),
            )
        return self._offsets[block] + names.index(coefficient)

    def difference(self, other: Layout) -> str | None:
        """What tells another layout apart from this one, in words; None where they are the same."""
        if self.block_names != other.block_names:
            return f"its blocks are {', '.join(other.block_names)}, not {', '.join(self.block_names)}"
        for ours, theirs in zip(self.blocks, other.blocks, strict=True):
            if ours.size != theirs.size:
                return f"its block '{ours.name}' has {theirs.size} coefficients, not {ours.size}"
            if ours.names != theirs.names:
                return f"its block '{ours.name}' names its coefficients otherwise"
        return None

    def check(self, theta: Float[Tensor, "*B P"]) -> Float[Tensor, "*B P"]:
        """Return θ unchanged; raise ConfigError when its last axis is not P."""
        if theta.shape[-1] != self.size:
            raise ConfigError(
                f"θ has {theta.shape[-1]} coefficients, this face model's layout has {self.size}"
            )
        return theta

    def get(self, theta: Float[Tensor, "*B P"], name: str) -> Float[Tensor, "*B block"]:
        """θ^τ: one block of θ, a view."""
        return self.check(theta)[..., self.slice(name)]

    def split(self, theta: Float[Tensor, "*B P"]) -> dict[str, Float[Tensor, "*B _"]]:
        """All blocks of θ by name, as views."""
        return {name: self.get(theta, name) for name in self.block_names}

    def join(self, parts: Mapping[str, Float[Tensor, "*B _"]]) -> Float[Tensor, "*B P"]:
        """The inverse of `split`; every block must be there."""
        import torch

        missing = [name for name in self.block_names if name not in parts]
        if missing:
            raise ConfigError(f"θ cannot be joined: no values for {', '.join(missing)}")
        return torch.cat([parts[name] for name in self.block_names], dim=-1)

    def replace(
        self, theta: Float[Tensor, "*B P"], other: Float[Tensor, "*B P"], names: str | Iterable[str]
    ) -> Float[Tensor, "*B P"]:
        """[θ1^τ̄, θ2^τ]: θ1 with the named blocks taken from θ2 (§1); differentiable in both."""
        chosen = {names} if isinstance(names, str) else set(names)
        for name in chosen:
            self.block(name)
        first, second = self.split(theta), self.split(other)
        return self.join({name: (second if name in chosen else first)[name] for name in self.block_names})
