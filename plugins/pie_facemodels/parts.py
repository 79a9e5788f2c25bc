"""Finding the eyeballs of a head that does not say where they are: they are pieces of their own."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Index = npt.NDArray[np.int64]
Floats = npt.NDArray[np.floating]

#: The 66 landmarks around the person's right and left eye.
RIGHT_EYE, LEFT_EYE = range(36, 42), range(42, 48)


def pieces(faces: Index, count: int) -> Index:
    """(V,) for each vertex the lowest vertex of the connected piece of surface it lies on."""
    labels = np.arange(count)
    while True:
        lowest = np.repeat(labels[faces].min(1), 3)
        lower = labels.copy()
        np.minimum.at(lower, faces.reshape(-1), lowest)
        lower = lower[lower]
        if np.array_equal(lower, labels):
            return labels
        labels = lower


def eyeballs(points: Floats, faces: Index, landmarks: Floats) -> dict[str, Index]:
    """Vertices of "eye_left" and "eye_right", the person's own; empty where no such pieces are found.

    An eyeball is a piece of fewer than a quarter of all vertices whose middle lies, seen from the front, within the
    eye's landmarks, and which is at most twice as wide as they are; the largest of those, for there may be lashes.
    """
    labels = pieces(faces, len(points))
    found: dict[str, Index] = {}
    for name, around in (("eye_left", LEFT_EYE), ("eye_right", RIGHT_EYE)):
        eye = landmarks[list(around), :2]
        middle, width = eye.mean(0), float(np.ptp(eye[:, 0]))
        for label in np.unique(labels):
            index = np.flatnonzero(labels == label)
            if not 8 <= len(index) < len(points) // 4:
                continue
            low, high = points[index].min(0), points[index].max(0)
            near = np.linalg.norm((low + high)[:2] / 2 - middle) < 0.5 * width
            if near and (high - low)[0] < 2.0 * width and len(index) > len(found.get(name, ())):
                found[name] = index
    return found if len(found) == 2 else {}
