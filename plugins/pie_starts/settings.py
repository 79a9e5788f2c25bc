"""Settings of the starts. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from annotated_types import Ge


@dataclass(frozen=True)
class NearestConfig:
    """Settings of the start at the nearest image.

    Attributes:
        candidates: how many latents of the prior it chooses among, at least 1.
    """

    candidates: Annotated[int, Ge(1)] = 64


@dataclass(frozen=True)
class SearchConfig:
    """Settings of the start at the nearest face.

    Attributes:
        candidates: how many latents of the prior it chooses among, at least 1.
    """

    candidates: Annotated[int, Ge(1)] = 256
