"""Settings of the five energies."""

from __future__ import annotations

from dataclasses import dataclass

from pie_framework.api.analysis import check_reduction
from pie_framework.errors import ConfigError


@dataclass(frozen=True)
class DistanceConfig:
    """Settings of the terms that are squared distances.

    Attributes:
        reduction: "mean" of the squared differences, so that weights hold at every resolution, or their "sum", as in
            the paper.
    """

    reduction: str = "mean"

    def __post_init__(self) -> None:
        check_reduction(self.reduction)


@dataclass(frozen=True)
class AnalysisConfig:
    """Settings of the terms that use the analysis loss ℓ.

    Attributes:
        size: side in pixels at which renderings are compared with images; 0 means the generator's resolution.
        reduction: of both parts of ℓ, as in `DistanceConfig`: the "mean" over the covered pixels and channels and over
            the landmarks in image sides, or the "sum" of the former and of the landmarks in pixels.
    """

    size: int = 64
    reduction: str = "mean"

    def __post_init__(self) -> None:
        check_reduction(self.reduction)
        if self.size < 0:
            raise ConfigError(f"size: {self.size} is not a side in pixels", "0 means the generator's own.")
