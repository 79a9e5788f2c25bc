"""E_invariance: the edit changed nothing but τ (§2, invariance property)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from pie_energies.settings import AnalysisConfig
from pie_framework.api import BuildContext, LatentView, TargetView, analysis_losses

if TYPE_CHECKING:
    from jaxtyping import Float


class InvarianceProperty:
    """E_invariance = λ_inv E_v[ ℓ(I, [θ_ŵ^τ̄, θ_I^τ]) ] with ŵ = RigNet(w, θ_v^τ), θ_ŵ = MoFA(G(ŵ)).

    Everything but τ, read back from the edited portrait and given I's own τ, must still explain I. Parts:
    `photometric` and `landmark` of ℓ, averaged over the v and the blocks of the iteration. `reduction` is that of ℓ.
    """

    def __init__(self, config: AnalysisConfig, context: BuildContext) -> None:
        self.size = config.size or None
        self.reduction = config.reduction

    def energy(self, view: LatentView, target: TargetView) -> Mapping[str, Float[Tensor, "B"]]:
        """-> "photometric" and "landmark"."""
        layout = view.networks.need_face_model().layout
        image, landmarks = view.per_pair(target.image), view.per_pair(target.landmarks)
        own = view.per_pair(target.theta)
        mixed = [layout.replace(view.edited(block).theta, own, block) for block in view.blocks]
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
