"""E_synth: the generated image looks like the portrait (§2, synthesis)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from torch import Tensor

from pie_energies.distances import feature_distance, reduced
from pie_energies.settings import DistanceConfig
from pie_framework.api import BuildContext, LatentView, TargetView

if TYPE_CHECKING:
    from jaxtyping import Float


class Synthesis:
    """E_synth = λ_l2 ‖I - I_w‖² + λ_p ‖Φ(I) - Φ(I_w)‖².

    Parts: `l2`, the mean squared difference over pixels and channels; `perceptual`, the mean squared difference of
    each layer of Φ over its channels and positions, averaged over the layers. With `reduction="sum"` both are sums, as
    in the paper: over pixels and channels, and over all elements of all layers. Means hold at every resolution: at
    1024 px one unit of the mean `l2` is 3·1024² units of the sum.
    """

    def __init__(self, config: DistanceConfig, context: BuildContext) -> None:
        self.reduction = config.reduction

    def energy(self, view: LatentView, target: TargetView) -> Mapping[str, Float[Tensor, "B"]]:
        """-> "l2" and "perceptual"."""
        return {
            "l2": reduced((target.image - view.image).square(), self.reduction),
            "perceptual": feature_distance(
                target.features("perceptual"), view.features("perceptual"), self.reduction
            ),
        }
