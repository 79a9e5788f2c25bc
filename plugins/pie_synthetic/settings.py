"""Settings of the embedded world's components. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

from annotated_types import Ge


@dataclass(frozen=True)
class SceneSettings:
    """Settings of the source of portraits.

    Attributes:
        size: height and width of the portraits, pixels, at least 8.
    """

    size: Annotated[int, Ge(8)] = 128


@dataclass(frozen=True)
class PortraitRecipe:
    """What `pie train portraits` renders.

    Attributes:
        folder: where the dataset is written; an interrupted one of the same settings is continued.
        persons: number of different persons.
        shots: portraits of each person, with differing pose, expression, light and surroundings.
        seed: of the whole dataset; use different seeds for training and for held-out data.
        size: height and width of the portraits, pixels.
        workers: number of single-threaded processes.
        edits: whether each person's first shot is rendered again with another rotation, another expression and
            another illumination.
    """

    folder: str = "data/train"
    persons: int = 6000
    shots: int = 4
    seed: int = 1
    size: int = 128
    workers: int = 1
    edits: bool = False

    #: Opens the folder, for the recipes that train on it.
    portrait_reader: ClassVar[str] = "pie_synthetic.dataset:PortraitDataset"
