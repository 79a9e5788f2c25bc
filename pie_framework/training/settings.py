"""Settings that every training recipe has, and what a recipe asks of a dataset. Imports no torch."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from pie_framework.errors import ConfigError


class PortraitReader(Protocol):
    """Portraits whose parameters are known; n portraits are asked for by their indices. S is their side."""

    def __len__(self) -> int:
        """Number of portraits."""
        ...

    def images(self, indices: Sequence[int] | NDArray[np.integer[Any]]) -> NDArray[np.uint8]:
        """(n, S, S, 3) RGB."""
        ...

    def theta(self, indices: Sequence[int] | NDArray[np.integer[Any]]) -> NDArray[np.float32]:
        """(n, P) coefficients."""
        ...

    def landmarks(self, indices: Sequence[int] | NDArray[np.integer[Any]]) -> NDArray[np.float32]:
        """(n, K, 2) pixels."""
        ...

    def regions(self, indices: Sequence[int] | NDArray[np.integer[Any]]) -> NDArray[np.uint8]:
        """(n, S, S) region labels."""
        ...

    def person(self, indices: Sequence[int] | NDArray[np.integer[Any]]) -> NDArray[np.int64]:
        """(n,) number of the person shown."""
        ...


class EditReader(Protocol):
    """Portraits of which some are true edits of others: the same person and surroundings, one block changed."""

    def images(self, indices: Sequence[int] | NDArray[np.integer[Any]]) -> NDArray[np.uint8]:
        """(n, S, S, 3) RGB."""
        ...

    def theta(self, indices: Sequence[int] | NDArray[np.integer[Any]]) -> NDArray[np.float32]:
        """(n, P) coefficients."""
        ...

    def edits(self, block: str) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Indices (n,) of the portraits as they were, and (n,) of the same ones with `block` changed."""
        ...


@dataclass(frozen=True)
class TrainerSettings:
    """Settings common to the recipes.

    Attributes:
        dataset: folder of the portraits to train on.
        heldout: folder of portraits of other persons, for the curve's figures.
        reader: `module:callable` that opens a folder as a `PortraitReader`.
        out: weight file to write (`.safetensors`); the curve and the state are kept beside it.
        seconds: training time; the learning rate's schedule is stretched over it.
        clock: "wall", or "cpu" to count this process's own processor seconds (on a busy machine).
        steps: if above 0, this many steps instead of `seconds`, which makes a run reproducible.
        evaluate_every: seconds (or steps, when counted) between two rows of the curve.
        batch: portraits in a step.
        learning_rate: its peak.
        seed: of everything random.
        threads: processor threads.
        bf16: run the networks in bfloat16 where that is safe.
        resume: continue from the state beside `out`.
    """

    dataset: str = ""
    heldout: str = ""
    reader: str = "pie_synthetic.dataset:PortraitDataset"
    out: str = ""
    seconds: float = 600.0
    clock: str = "wall"
    steps: int = 0
    evaluate_every: float = 60.0
    batch: int = 64
    learning_rate: float = 2e-3
    seed: int = 1
    threads: int = 1
    bf16: bool = True
    resume: bool = False

    def __post_init__(self) -> None:
        if self.clock not in ("wall", "cpu"):
            raise ConfigError(f"clock is '{self.clock}'; it must be 'wall' or 'cpu'")
        if self.seconds <= 0 or self.batch < 2 or self.threads < 1 or self.evaluate_every <= 0:
            raise ConfigError(
                "seconds and evaluate_every must be above 0, batch at least 2, threads at least 1"
            )

    @property
    def curve_path(self) -> Path:
        """The curve, a CSV file beside the weights."""
        return Path(self.out).with_suffix(".curve.csv")

    @property
    def state_path(self) -> Path:
        """What `resume` continues from, beside the weights."""
        return Path(self.out).with_suffix(".state.pt")


def open_readers(settings: TrainerSettings) -> tuple[PortraitReader, PortraitReader]:
    """The training and the held-out portraits; ConfigError when a path is missing or the reader is
    unknown."""
    for name in ("dataset", "heldout", "out"):
        if not getattr(settings, name):
            raise ConfigError(f"training needs '{name}'", f"Give {name}=PATH")
    return open_reader(settings.reader, settings.dataset), open_reader(settings.reader, settings.heldout)


def open_reader(reader: str, folder: str) -> Any:
    """What `reader`, a `module:callable`, makes of `folder`; ConfigError when there is no such callable."""
    module_name, _, attribute = reader.partition(":")
    try:
        opener = getattr(importlib.import_module(module_name), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise ConfigError(f"the dataset reader '{reader}' cannot be loaded: {error}") from error
    return opener(folder)
