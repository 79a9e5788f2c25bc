"""Settings of the face model `bfm`; imports no torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from annotated_types import Interval

from pie_framework.api import AssetPath

#: A place, in fractions of the portrait's side.
Place = Annotated[float, Interval(ge=-1, le=2)]


@dataclass(frozen=True)
class BfmSettings:
    """Settings of the component.

    Attributes:
        path: `BFM_model_front.mat` of Deep3DFaceRecon, or an .npz with the same arrays.
        region: what is rendered: "front", the smaller region that the file keeps for photometric losses, or "whole".
        window_x: middle of the window of the portrait that Deep3DFaceRecon's camera sees, fraction of the portrait's
            width from its left, -1 to 2.
        window_y: the same downwards, fraction of the height from the top.
        window_side: side of that window, fraction of the portrait's side, 0.05 to 20.
    """

    path: AssetPath = ""
    region: Literal["front", "whole"] = "front"
    window_x: Place = 0.5
    window_y: Place = 0.58970
    window_side: Annotated[float, Interval(ge=0.05, le=20)] = 0.88368

    @property
    def window(self) -> tuple[float, float, float]:
        """(x, y, side)."""
        return (self.window_x, self.window_y, self.window_side)
