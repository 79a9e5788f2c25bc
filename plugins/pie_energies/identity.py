"""E_identity: asking the rig for what is already there changes nothing (§2, identity preservation)."""

from __future__ import annotations

import torch
from torch import Tensor

from pie_framework.api import BuildContext, EmptyConfig, LatentView, TargetView


class IdentityPreservation:
    """E_identity = λ_id ‖w - RigNet(w, θ_w^τ)‖².

    The mean over layers and latent coordinates, averaged over the blocks τ of the iteration. It pulls w to where
    the rig network was trained. The paper sums over the L x D coordinates.
    """

    def __init__(self, config: EmptyConfig, context: BuildContext) -> None:
        pass

    def energy(self, view: LatentView, target: TargetView) -> Tensor:
        """-> (B,)."""
        changes = [(view.latent - view.rigged(block)).square().mean(dim=(1, 2)) for block in view.blocks]
        return torch.stack(changes).mean(dim=0)
