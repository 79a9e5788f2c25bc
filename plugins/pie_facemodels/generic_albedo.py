"""An albedo for face models that have none: skin, lips, brows and eyes where the landmarks say they are.

Mean and named coefficients are the procedural model's, formulas that no photograph went into, evaluated where a
thin-plate spline through the landmarks puts each vertex on the procedural face (`pie_facemodels.warp`). The other
coefficients are smooth: polynomials of the direction from the head's middle, times three axes of colour (lightness, red
against green, yellow against blue), orthogonal to one another and to the named ones.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pie_facemodels.procedural import albedo
from pie_facemodels.procedural.fields import smoothstep
from pie_facemodels.warp import canonical
from pie_framework.errors import ConfigError

Array = npt.NDArray[np.float64]
Floats = npt.NDArray[np.float32]
Index = npt.NDArray[np.int64]

DEFAULT_SIZE = 80
#: Parts of a head that are no skin.
EYES, TEETH, MOUTH, GUMS = ("eye_left", "eye_right"), "teeth", "mouth", "gums"
GUM_COLOUR = np.array([0.56, 0.27, 0.26])
#: Radii of pupil and iris on the eyeball, as the sine of the angle seen from its centre.
PUPIL_SINE, IRIS_SINE = 0.17, 0.47
#: Root mean square of the first smooth coefficient's change of colour; those of higher degree change less.
SMOOTH_RMS = 0.012
#: Of the polynomials.
MAX_DEGREE = 24
#: Axes of colour with their share of the change: skin differs more in lightness than in hue.
COLOUR_AXES: tuple[tuple[tuple[float, float, float], float], ...] = (
    ((1.0, 0.95, 0.9), 1.0),
    ((1.0, -0.7, -0.5), 0.45),
    ((0.4, 0.3, -1.0), 0.45),
)


@dataclass(frozen=True)
class GenericAlbedo:
    """Albedo of V vertices.

    Attributes:
        mean: (V, 3) colours in [0, 1].
        basis: (k, V, 3) change of colour per standard deviation.
        names: of the first coefficients.
    """

    mean: Floats
    basis: Floats
    names: tuple[str, ...]


def generic_albedo(
    points: npt.NDArray[np.floating],
    landmarks: npt.NDArray[np.floating],
    parts: Mapping[str, Index] | None = None,
    size: int = DEFAULT_SIZE,
) -> GenericAlbedo:
    """Colours for a head without any; the same head gives the same colours, bit for bit.

    Args:
        points: (V, 3) neutral vertices in world units, placed by `Placement.aligned`.
        landmarks: (66, 3) world positions.
        parts: vertices that are no skin: "eye_left" and "eye_right" (the person's own; eyeballs), "teeth", "mouth"
            (its inside) and "gums".
        size: number of coefficients.

    Raises:
        ConfigError: a negative size.
    """
    if size < 0:
        raise ConfigError(f"an albedo of {size} coefficients is impossible", "Give 0 or more.")
    parts = {} if parts is None else parts
    t = canonical(np.asarray(points, dtype=np.float64), np.asarray(landmarks, dtype=np.float64))
    skin = np.ones(len(points))
    for index in parts.values():
        skin[index] = 0.0
    mean = albedo.skin_colours(t)
    fields = {name: field * skin[:, None] for name, field in albedo.skin_fields(t).items()}
    lightness, blueness = np.zeros((2, *mean.shape))
    for name in EYES:
        if name in parts:
            eye, iris = _eyeball(np.asarray(points, dtype=np.float64)[parts[name]])
            mean[parts[name]] = eye
            lightness[parts[name]] = iris * np.array([0.10, 0.085, 0.06])
            blueness[parts[name]] = iris * np.array([-0.03, 0.03, 0.11])
    fields |= {"iris_lightness": lightness, "iris_blueness": blueness}
    for name, colour in (
        (TEETH, albedo.DEFAULT_TEETH * 0.92),
        (MOUTH, albedo.MOUTH_INSIDE),
        (GUMS, GUM_COLOUR),
    ):
        if name in parts:
            mean[parts[name]] = colour
    basis = list(fields.values())[:size]
    if size > len(fields):
        smooth = _smooth_fields(t.vertices, skin * (1 - 0.8 * albedo.brow_mask(t)), basis, size - len(fields))
        basis += list(smooth)
    stacked = np.stack(basis) if basis else np.zeros((0, *mean.shape))
    return GenericAlbedo(
        np.clip(mean, 0.0, 1.0).astype(np.float32), stacked.astype(np.float32), tuple(fields)[:size]
    )


def _eyeball(points: Array) -> tuple[Array, Array]:
    """Colours (V, 3) of an eyeball's vertices, which looks along +z, and how much each is iris (V, 1)."""
    low, high = points.min(0), points.max(0)
    radius = 0.5 * float((high - low)[:2].max())
    centre = np.array([*(low + high)[:2] / 2, high[2] - radius])
    sine = np.linalg.norm((points - centre)[:, :2], axis=1) / max(radius, 1e-9)
    sine = np.where(points[:, 2] > centre[2], sine, 2.0)
    iris = smoothstep(sine, IRIS_SINE * 1.06, IRIS_SINE * 0.94) * smoothstep(
        sine, PUPIL_SINE * 0.9, PUPIL_SINE * 1.1
    )
    pupil = smoothstep(sine, PUPIL_SINE * 1.1, PUPIL_SINE * 0.9)
    shade = 1.0 - 0.5 * smoothstep(sine, IRIS_SINE * 0.8, IRIS_SINE * 0.97)
    white = albedo.SCLERA * (1.0 - 0.15 * smoothstep(sine, 0.6, 1.1))[:, None]
    colour = white * (1 - iris - pupil)[:, None] + (iris * shade)[:, None] * albedo.DEFAULT_IRIS * 1.1
    return np.asarray(colour + pupil[:, None] * albedo.PUPIL), iris[:, None]


def _smooth_fields(points: Array, weight: Array, others: list[Array], count: int) -> Array:
    """(count, V, 3) smooth fields, orthogonal to ``others`` and to one another, on vertices of positive ``weight``."""
    middle = 0.5 * (points.min(0) + points.max(0))
    direction = points - middle
    direction /= np.maximum(np.linalg.norm(direction, axis=1, keepdims=True), 1e-9)
    x, y, z = direction.T
    frame = np.zeros((len(others) + count, points.size))
    used = len(others)
    if used:
        frame[:used] = np.linalg.qr(np.stack([field.reshape(-1) for field in others], axis=1))[0].T
    out = np.zeros((count, *points.shape))
    made, vertices = 0, max(1, int(np.count_nonzero(weight)))
    for degree in range(MAX_DEGREE + 1):
        # On a sphere z² is 1 - x² - y²: powers of z up to one give every polynomial once.
        powers = [(degree - j - k, j, k) for k in (0, 1) for j in range(degree - k + 1)]
        pairs = [(power, axis, share) for power in powers for axis, share in COLOUR_AXES]
        for (a, b, c), axis, share in pairs:
            if made == count:
                return out
            field = ((x**a * y**b * z**c * weight)[:, None] * np.array(axis)).reshape(-1)
            size = float(np.linalg.norm(field))
            for _ in range(2):
                field = field - (frame[:used] @ field) @ frame[:used]
            rest = float(np.linalg.norm(field))
            if rest > 1e-4 * max(size, 1e-12):
                frame[used] = field / rest
                scale = SMOOTH_RMS * math.sqrt(3 * vertices) / (1 + degree)
                out[made] = (scale * share * frame[used]).reshape(-1, 3)
                made, used = made + 1, used + 1
    return out  # a mesh of few vertices has no more independent fields: the rest are zero
