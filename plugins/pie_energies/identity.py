"""E_identity: asking the rig for what is already there changes nothing (§2, identity preservation)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from pie_energies.distances import reduced
from pie_energies.settings import DistanceConfig
from pie_framework.api import BuildContext, LatentView, TargetView

if TYPE_CHECKING:
    from jaxtyping import Float


class IdentityPreservation:
    """E_identity = λ_id ‖w - RigNet(w, θ_w^τ)‖².

    The mean over layers and latent coordinates or, with `reduction="sum"` as in the paper, the sum over L x D of them;
    averaged over the blocks τ of the iteration. It pulls w to where the rig network was trained.
    """

    def __init__(self, config: DistanceConfig, context: BuildContext) -> None:
        self.reduction = config.reduction

    def energy(self, view: LatentView, target: TargetView) -> Float[Tensor, "B"]:
        """Squared latent coordinates."""
        changes = [
            reduced((view.latent - view.rigged(block)).square(), self.reduction) for block in view.blocks
        ]
        return torch.stack(changes).mean(dim=0)
