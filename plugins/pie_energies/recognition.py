"""E_recognition: it stays the same person, before and after an edit (§2, recognition)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from pie_energies.distances import feature_distance
from pie_energies.settings import DistanceConfig
from pie_framework.api import BuildContext, LatentView, TargetView

if TYPE_CHECKING:
    from jaxtyping import Float


class Recognition:
    """E_recognition = λ_rw ‖Ψ(I) - Ψ(I_w)‖²_F + λ_rŵ E_v[ ‖Ψ(I) - Ψ(G(ŵ))‖²_F ].

    Parts: `image` compares with the generated portrait, `edited` with its edits, averaged over the v and the blocks
    of the iteration. Distances are means over each layer of Ψ, averaged over the layers; with `reduction="sum"`, as in
    the paper, sums over all elements of all layers.
    """

    def __init__(self, config: DistanceConfig, context: BuildContext) -> None:
        self.reduction = config.reduction

    def energy(self, view: LatentView, target: TargetView) -> Mapping[str, Float[Tensor, "B"]]:
        """-> "image" and "edited"."""
        wanted = target.features("recognition")
        per_pair = {name: view.per_pair(value) for name, value in wanted.items()}
        edited = [
            view.mean_over_prior(
                feature_distance(per_pair, view.edited(block).features("recognition"), self.reduction)
            )
            for block in view.blocks
        ]
        return {
            "image": feature_distance(wanted, view.features("recognition"), self.reduction),
            "edited": torch.stack(edited).mean(dim=0),
        }
