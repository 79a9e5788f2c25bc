"""What a component may offer beyond its kind; whoever needs it asks with `isinstance`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor


@runtime_checkable
class HasRanges(Protocol):
    """A face model that says within which values its controls are meant to be used (optional)."""

    @property
    def ranges(self) -> Mapping[str, tuple[float, float]]:
        """Control name, such as "rotation.yaw", to (low, high) in the control's unit; edits beyond are warned about."""
        ...


@runtime_checkable
class HasExpressionAliases(Protocol):
    """A face model that names further expressions by its own coefficients (optional)."""

    @property
    def expression_aliases(self) -> Mapping[str, Mapping[str, float]]:
        """Control name to {coefficient of the expression block: amount at 1}; an edit sets those coefficients."""
        ...


@runtime_checkable
class HasExpressionDirections(Protocol):
    """A face model that names further expressions as directions in the whole block (optional)."""

    @property
    def expression_directions(self) -> Mapping[str, Sequence[float]]:
        """Control name to the amount of every expression coefficient at 1; an edit sets the share along it."""
        ...


@runtime_checkable
class Mirrors(Protocol):
    """A face model that knows the θ of a flipped image (optional; recipes use it)."""

    @property
    def mirror_theta(self) -> Callable[[Float[Tensor, "B P"]], Float[Tensor, "B P"]] | None:
        """θ of the image flipped left to right; None where it is not known. May be a method."""
        ...


@runtime_checkable
class HasLatentShape(Protocol):
    """A network of latents that says which shape they have (optional for rigs; checked against the generator)."""

    num_layers: int
    latent_dim: int


@runtime_checkable
class MadeForGenerator(Protocol):
    """A network that remembers for which generator it was trained (optional for rigs)."""

    @property
    def made_for(self) -> Mapping[str, Any]:
        """`pie_framework.api.identity.generator_identity` of that generator, or what is known of it; may be
        empty."""
        ...
