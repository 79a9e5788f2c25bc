"""What flipping an image does to the coefficients of a face model: its left-right symmetry."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pie_framework.errors import AssetError

Array = npt.NDArray[np.float64]
Floats = npt.NDArray[np.float32]
Index = npt.NDArray[np.int64]

#: Root mean square of what mirrored coefficients leave unexplained, relative to the mode: more is no symmetry.
TOLERANCE = 0.1


def mirror_vertices(points: Floats, tolerance: float) -> Index:
    """(V,) the vertex nearest to each vertex's mirror image in the plane x = 0; -1 where there is none.

    Partners are each other's partners, so of vertices that coincide (closed lips and lids) only one has one.

    Args:
        points: (V, 3) a neutral face whose plane of symmetry is x = 0.
        tolerance: largest distance, in the unit of the points.
    """
    cell = max(2.0 * tolerance, 1e-12)
    table: dict[tuple[int, ...], list[int]] = {}
    for index, key in enumerate(np.floor(points / cell).astype(np.int64).tolist()):
        table.setdefault(tuple(key), []).append(index)
    flipped = points * np.array([-1.0, 1.0, 1.0])
    near = [(i, j, k) for i in (-1, 0, 1) for j in (-1, 0, 1) for k in (-1, 0, 1)]
    partner = np.full(len(points), -1)
    for index, (x, y, z) in enumerate(np.floor(flipped / cell).astype(np.int64).tolist()):
        found = [v for i, j, k in near for v in table.get((x + i, y + j, z + k), ())]
        if found:
            away = np.linalg.norm(points[found] - flipped[index], axis=1)
            if away.min() <= tolerance:
                partner[index] = found[int(away.argmin())]
    mutual = (partner >= 0) & (partner[partner] == np.arange(len(points)))
    return np.where(mutual, partner, -1)


def mirror_matrix(basis: Floats, partner: Index, colours: bool = False) -> Array | None:
    """(n, n) M so that coefficients c @ M give the mirror image of what c gives, or None where none do.

    Args:
        basis: (n, V, 3) offsets, or colours.
        partner: (V,) the vertex on the other side; vertices of -1 are left out.
        colours: whether x keeps its sign: colours are only exchanged.

    Raises:
        AssetError: the partners do not fit the basis.
    """
    count = len(basis)
    if basis.shape[1:] != (len(partner), 3):
        raise AssetError(f"{len(partner)} mirrored vertices do not fit a basis of shape {basis.shape}")
    if not count:
        return np.zeros((0, 0))
    here = np.flatnonzero(partner >= 0)
    sign = np.array([1.0, 1.0, 1.0] if colours else [-1.0, 1.0, 1.0], dtype=np.float32)
    own = basis[:, here].reshape(count, -1)
    flipped = (basis[:, partner[here]] * sign).reshape(count, -1)
    gram, cross = (own @ own.T).astype(np.float64), (flipped @ own.T).astype(np.float64)
    matrix = cross @ np.linalg.pinv(gram, rcond=1e-9, hermitian=True)
    rest = np.linalg.norm(flipped - matrix.astype(np.float32) @ own, axis=1)
    size = np.linalg.norm(own, axis=1)
    return np.asarray(matrix) if np.all(rest <= TOLERANCE * np.maximum(size, 0.1 * size.max())) else None
