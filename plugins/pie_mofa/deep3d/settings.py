"""Settings of the encoder `deep3d`; imports no torch."""

from __future__ import annotations

from dataclasses import dataclass

from pie_framework.api import AssetPath
from pie_framework.errors import ConfigError, did_you_mean

CROPS = ("fixed", "landmarks")
FEATURES = ("same", "float32", "bfloat16")


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
    crop: str = "fixed"
    features: str = "same"

    def __post_init__(self) -> None:
        if self.crop not in CROPS:
            raise ConfigError(f"encoder.crop is '{self.crop}'", did_you_mean(self.crop, CROPS))
        if self.features not in FEATURES:
            raise ConfigError(f"encoder.features is '{self.features}'", did_you_mean(self.features, FEATURES))
