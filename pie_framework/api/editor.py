"""The editor that goes through the rig networks: ŵ = RigNet(w, θ'^τ) (§3)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from pie_framework.errors import ConfigError

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

    from pie_framework.api.component import BuildContext
    from pie_framework.api.models import RigNetwork


class RigEditor:
    """One rig network for each block. Satisfies `Editor`.

    Args:
        rigs: by block τ.
    """

    def __init__(self, rigs: Mapping[str, RigNetwork]) -> None:
        self.rigs = dict(rigs)
        self.blocks = tuple(rigs)

    def edit(
        self,
        latent: Float[Tensor, "B L D"],
        before: Float[Tensor, "B P"],
        asked: Float[Tensor, "B P"],
        block: str,
    ) -> Float[Tensor, "B L D"]:
        """RigNet(w, θ'^τ); `before` is not needed.

        Raises:
            ConfigError: there is no rig network for the block.
        """
        if block not in self.rigs:
            raise ConfigError(
                f"no rig network edits the block '{block}'", f"There are: {', '.join(self.rigs)}."
            )
        rig = self.rigs[block]
        return rig.rig(latent, rig.layout.get(asked, block))


def build(config: object, context: BuildContext) -> RigEditor:
    """The editor `rig`: the composed rig networks of the run's blocks."""
    return RigEditor({block: context.rig(block) for block in context.blocks})
