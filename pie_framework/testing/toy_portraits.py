"""Toy portraits for tests: a disc for a face whose colour is the person, with landmarks on a ring."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Indices = Sequence[int] | NDArray[np.integer[Any]]
SIDE = 64
LANDMARKS = 66


class ToyPortraits:
    """`persons` persons with `shots` portraits each; θ is pose (2), person (2) and a constant."""

    def __init__(self, persons: int = 6, shots: int = 3, seed: int = 0) -> None:
        rng = np.random.default_rng(seed)
        count = persons * shots
        self._person = np.repeat(np.arange(persons), shots) + 100
        traits = rng.uniform(-1, 1, (persons, 3)).astype(np.float32)
        centres = rng.uniform(24, 40, (count, 2)).astype(np.float32)
        colours = (128 + 120 * traits[np.repeat(np.arange(persons), shots)]).astype(np.uint8)
        axis = np.arange(SIDE) + 0.5
        offsets = np.hypot(
            axis[None, None, :] - centres[:, :1, None], axis[None, :, None] - centres[:, 1:, None]
        )
        self._regions = (offsets < 16).astype(np.uint8)
        self._images = np.where(self._regions[..., None] == 1, colours[:, None, None, :], np.uint8(60))
        turn = np.linspace(0, 2 * np.pi, LANDMARKS, endpoint=False)
        ring = 16 * np.stack([np.cos(turn), np.sin(turn)], axis=-1)
        self._landmarks = (centres[:, None, :] + ring).astype(np.float32)
        own = traits[np.repeat(np.arange(persons), shots), :2]
        self._theta = np.concatenate([centres, own, np.ones((count, 1))], axis=1).astype(np.float32)

    def __len__(self) -> int:
        return len(self._person)

    def images(self, indices: Indices) -> NDArray[np.uint8]:
        return np.asarray(self._images[np.asarray(indices)], dtype=np.uint8)

    def theta(self, indices: Indices) -> NDArray[np.float32]:
        return np.asarray(self._theta[np.asarray(indices)], dtype=np.float32)

    def landmarks(self, indices: Indices) -> NDArray[np.float32]:
        return np.asarray(self._landmarks[np.asarray(indices)], dtype=np.float32)

    def regions(self, indices: Indices) -> NDArray[np.uint8]:
        return np.asarray(self._regions[np.asarray(indices)], dtype=np.uint8)

    def person(self, indices: Indices) -> NDArray[np.int64]:
        return np.asarray(self._person[np.asarray(indices)], dtype=np.int64)
