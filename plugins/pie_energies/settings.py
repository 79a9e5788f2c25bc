"""Settings of the five energies."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from annotated_types import Ge

#: What becomes of the squares of a distance; `pie_framework.api.analysis.REDUCTIONS`.
Reduction = Literal["mean", "sum"]


@dataclass(frozen=True)
class DistanceConfig:
    """Settings of the terms that are squared distances.

    Attributes:
        reduction: "mean" of the squared differences, so that weights hold at every resolution, or their "sum", as in
            the paper.
    """

    reduction: Reduction = "mean"


@dataclass(frozen=True)
class AnalysisConfig:
    """Settings of the terms that use the analysis loss ℓ.

    Attributes:
        size: side in pixels at which renderings are compared with images; 0 means the generator's resolution.
        reduction: of both parts of ℓ, as in `DistanceConfig`: the "mean" over the covered pixels and channels and over
            the landmarks in image sides, or the "sum" of the former and of the landmarks in pixels.
    """

    size: Annotated[int, Ge(0)] = 64
    reduction: Reduction = "mean"
