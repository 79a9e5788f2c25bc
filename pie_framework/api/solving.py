"""What a term of E(w), an update rule and a start must offer. B batch, L layers, D latent width."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    import torch
    from jaxtyping import Float, Shaped
    from torch import Tensor

    from pie_framework.api.networks import Networks
    from pie_framework.api.view import LatentView, TargetView


@runtime_checkable
class EnergyTerm(Protocol):
    """One term of E(w) (§2).

    What it needs is declared with it (`Component.requires`): "encoder", "face_model", "rig", "prior", "landmarks",
    and "features.ROLE" such as "features.perceptual". Weights are not the term's business: they belong to the
    objective.
    """

    def energy(
        self, view: LatentView, target: TargetView
    ) -> Float[Tensor, "B"] | Mapping[str, Float[Tensor, "B"]]:
        """One value for each portrait, or named parts that the objective weights one by one.

        Unweighted, not reduced over the batch, differentiable in `view.latent`.
        """
        ...


@runtime_checkable
class Optimizer(Protocol):
    """One update rule as a pure function: state comes in, state goes out, nothing is hidden. That makes resume exact.

    Portraits solved in one batch must not influence one another: row b of what comes out depends on row b of what goes
    in. In a W stage the variable has one layer, L = 1.
    """

    def init(self, variable: Float[Tensor, "B L D"]) -> tuple[Shaped[Tensor, "B ..."], ...]:
        """The state before the first step."""
        ...

    def update(
        self,
        variable: Float[Tensor, "B L D"],
        gradient: Float[Tensor, "B L D"],
        state: tuple[Shaped[Tensor, "B ..."], ...],
        lr: float,
        step: int,
    ) -> tuple[Float[Tensor, "B L D"], tuple[Shaped[Tensor, "B ..."], ...]]:
        """-> (what to add to the variable, the new state); `step` starts at 1 and counts within a stage.

        The new state may have more tensors than `init` gave, if `init` gave none.
        """
        ...


@runtime_checkable
class Initializer(Protocol):
    """Where w starts."""

    def start(
        self, networks: Networks, images: Float[Tensor, "B 3 R R"], rng: torch.Generator
    ) -> Float[Tensor, "B L D"]:
        """w of the first step for portraits; called without gradients.

        Each portrait's start depends on that portrait and on `rng` alone, not on the others of the batch.
        """
        ...
