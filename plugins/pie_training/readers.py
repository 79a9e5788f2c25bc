"""Datasets of portraits: what a recipe asks of them, and how they are opened. Imports no torch."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

from pie_framework.errors import ConfigError
from pie_training.settings import TrainerSettings

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


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


def open_readers(settings: TrainerSettings) -> tuple[PortraitReader, PortraitReader]:
    """The training and the held-out portraits; ConfigError when a path is missing or the reader is unknown."""
    for name in ("dataset", "heldout", "out"):
        if not getattr(settings, name):
            raise ConfigError(f"training needs '{name}'", f"Give {name}=PATH")
    return open_reader(settings.reader, settings.dataset), open_reader(settings.reader, settings.heldout)


def open_reader(reader: str, folder: str) -> Any:
    """What `reader`, a `module:callable`, makes of `folder`; ConfigError when there is no such callable."""
    if not reader:
        raise ConfigError("training on portraits needs a 'reader'", "Give reader=module:callable.")
    module_name, _, attribute = reader.partition(":")
    try:
        opener = getattr(importlib.import_module(module_name), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise ConfigError(f"the dataset reader '{reader}' cannot be loaded: {error}") from error
    return opener(folder)
