"""Portraits of which everything is known, for training and for measuring."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    import numpy as np
    from jaxtyping import Float, UInt8
    from torch import Tensor

    from pie_framework.api.layout import Layout


@runtime_checkable
class KnownPortraits(Protocol):
    """Portraits of a world that can render them again: their θ is known, and so is the true result of every edit."""

    @property
    def images(self) -> Float[Tensor, "B 3 R R"]:
        """RGB in [-1, 1]."""
        ...

    @property
    def theta(self) -> Float[Tensor, "B P"]:
        """True coefficients."""
        ...

    @property
    def landmarks(self) -> Float[Tensor, "B K 2"]:
        """True landmarks, pixels of the images."""
        ...

    @property
    def regions(self) -> UInt8[Tensor, "B R R"]:
        """Labels of what each pixel shows; 0 is the background, the others are the world's own."""
        ...

    @property
    def face(self) -> Float[Tensor, "B 1 R R"]:
        """Mask, 1 on the face with its eyes, brows and mouth, else 0."""
        ...

    @property
    def background(self) -> Float[Tensor, "B 1 R R"]:
        """Mask, 1 behind the person, else 0."""
        ...

    def edited(self, theta: Float[Tensor, "B P"]) -> KnownPortraits:
        """The true edit: the same persons and surroundings with the coefficients θ, rendered again.

        What θ does not describe stays as it is. With the portraits' own θ all is reproduced bit for bit.
        """
        ...

    def take(self, rows: Sequence[int]) -> KnownPortraits:
        """The portraits of these rows, in this order."""
        ...


@runtime_checkable
class Scenes(Protocol):
    """A source of portraits whose parameters and true edits are known.

    Attributes:
        size: R, height and width of the portraits, pixels.
    """

    size: int

    @property
    def layout(self) -> Layout:
        """Of the portraits' θ."""
        ...

    def draw(self, count: int, rng: np.random.Generator, shots: int = 1) -> KnownPortraits:
        """`count` different persons, `shots` portraits of each, person after person.

        A person's portraits differ in pose, expression, light and surroundings. The same `rng` state gives the same
        portraits, bit for bit.
        """
        ...
