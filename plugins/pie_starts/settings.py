"""Settings of the starts. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass

from pie_framework.errors import ConfigError


@dataclass(frozen=True)
class NearestConfig:
    """Settings of the start at the nearest image.

    Attributes:
        candidates: how many latents of the prior it chooses among, at least 1.
    """

    candidates: int = 64

    def __post_init__(self) -> None:
        _at_least_one(self.candidates)


@dataclass(frozen=True)
class SearchConfig:
    """Settings of the start at the nearest face.

    Attributes:
        candidates: how many latents of the prior it chooses among, at least 1.
    """

    candidates: int = 256

    def __post_init__(self) -> None:
        _at_least_one(self.candidates)


def _at_least_one(candidates: int) -> None:
    if candidates < 1:
        raise ConfigError(f"a start chooses among {candidates} candidates", "Give at least 1.")
