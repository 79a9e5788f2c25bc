"""Settings of the face model `bfm`; imports no torch."""

from __future__ import annotations

from dataclasses import dataclass

from pie_framework.api import AssetPath
from pie_framework.errors import ConfigError, did_you_mean

REGIONS = ("front", "whole")


@dataclass(frozen=True)
class BfmSettings:
    """Settings of the component.

    Attributes:
        path: `BFM_model_front.mat` of Deep3DFaceRecon, or an .npz with the same arrays.
        region: what is rendered: "front", the smaller region that the file keeps for photometric losses, or "whole".
        window_x: middle of the window of the portrait that Deep3DFaceRecon's camera sees, fraction of the portrait's
            width from its left.
        window_y: the same downwards, fraction of the height from the top.
        window_side: side of that window, fraction of the portrait's side.
    """

    path: AssetPath = ""
    region: str = "front"
    window_x: float = 0.5
    window_y: float = 0.58970
    window_side: float = 0.88368

    def __post_init__(self) -> None:
        if self.region not in REGIONS:
            raise ConfigError(f"face_model.region is '{self.region}'", did_you_mean(self.region, REGIONS))
        if not 0.05 <= self.window_side <= 20.0:
            raise ConfigError(
                f"face_model.window_side={self.window_side} is out of range", "It lies between 0.05 and 20."
            )
        for name, value in (("window_x", self.window_x), ("window_y", self.window_y)):
            if not -1.0 <= value <= 2.0:
                raise ConfigError(f"face_model.{name}={value} is out of range", "It lies between -1 and 2.")

    @property
    def window(self) -> tuple[float, float, float]:
        """(x, y, side)."""
        return (self.window_x, self.window_y, self.window_side)
