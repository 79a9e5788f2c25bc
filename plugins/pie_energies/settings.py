"""Settings of the five energies."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class AnalysisConfig:
    """Settings of the terms that use the analysis loss ℓ.

    Attributes:
        size: side in pixels at which renderings are compared with images; 0 means the generator's resolution.
    """

    size: int = 64
