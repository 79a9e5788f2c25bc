"""Settings of the encoder `deep3d`; imports no torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pie_framework.api import AssetPath


@dataclass(frozen=True)
class Deep3DConfig:
    """Settings of the component.

    Attributes:
        weights: Deep3DFaceRecon_pytorch's checkpoint, such as `epoch_20.pth`, or what `pie convert` made of it.
        crop: where the network's own picture is cut out of the portrait: "fixed", one window for all (portraits that
            are aligned alike), or "landmarks", around each face.
        features: dtype of the feature maps: "same" as the run's, "float32", or "bfloat16".
    """

    weights: AssetPath = ""
    crop: Literal["fixed", "landmarks"] = "fixed"
    features: Literal["same", "float32", "bfloat16"] = "same"
