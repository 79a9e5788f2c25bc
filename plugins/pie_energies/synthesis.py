"""E_synth: the generated image looks like the portrait (§2, synthesis)."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from pie_energies.distances import feature_distance
from pie_framework.api import BuildContext, EmptyConfig, LatentView, TargetView


class Synthesis:
    """E_synth = λ_l2 ‖I - I_w‖² + λ_p ‖Φ(I) - Φ(I_w)‖².

    Parts: `l2`, the mean squared difference over pixels and channels; `perceptual`, the mean squared difference of
    each layer of Φ over its channels and positions, averaged over the layers. The paper sums where this takes means,
    so that weights hold at every resolution: at 1024 px one unit of `l2` is 3·1024² units of the paper's sum.
    """

    def __init__(self, config: EmptyConfig, context: BuildContext) -> None:
        pass

    def energy(self, view: LatentView, target: TargetView) -> Mapping[str, Tensor]:
        """-> {"l2": (B,), "perceptual": (B,)}."""
        return {
            "l2": (target.image - view.image).square().mean(dim=(1, 2, 3)),
            "perceptual": feature_distance(target.features("perceptual"), view.features("perceptual")),
        }
