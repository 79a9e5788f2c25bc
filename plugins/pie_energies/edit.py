"""E_edit: the edit did what was asked (§2, edit property)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from pie_energies.settings import AnalysisConfig
from pie_framework.api import BuildContext, LatentView, TargetView, analysis_losses

if TYPE_CHECKING:
    from jaxtyping import Float


class EditProperty:
    """E_edit = λ_edit E_v[ ℓ(I_v, [θ_v^τ̄, θ_ŵ^τ]) ] with ŵ = RigNet(w, θ_v^τ), θ_ŵ = MoFA(G(ŵ)).

    The block τ read back from the edited portrait, put into v's own parameters, must still explain v's image.
    Parts: `photometric` and `landmark` of ℓ (see `pie_framework.api.analysis`), averaged over the v and the blocks
    of the iteration. `reduction` is that of ℓ.
    """

    def __init__(self, config: AnalysisConfig, context: BuildContext) -> None:
        self.size = config.size or None
        self.reduction = config.reduction

    def energy(self, view: LatentView, target: TargetView) -> Mapping[str, Float[Tensor, "B"]]:
        """-> "photometric" and "landmark"."""
        layout = view.networks.need_face_model().layout
        image = view.prior_per_pair(view.prior.image)
        landmarks = view.prior_per_pair(view.prior.landmarks)
        own = view.prior_per_pair(view.prior.theta)
        mixed = [layout.replace(own, view.edited(block).theta, block) for block in view.blocks]
        n = len(mixed)
        losses = analysis_losses(
            image.repeat(n, 1, 1, 1),
            landmarks.repeat(n, 1, 1),
            torch.cat(mixed),
            view.networks,
            self.size,
            self.reduction,
        )
        return {
            part: view.mean_over_prior(value.reshape(n, -1).mean(dim=0)) for part, value in losses.items()
        }
