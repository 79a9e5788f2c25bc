"""The sets of face points that are understood, and how each becomes the 66 landmarks or the aligner's three points.

All points are (x, y) pixels with the origin at the picture's top-left corner; left and right are the picture's.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pie_alignment.alignment import FacePoints

FloatArray = NDArray[np.float64]

#: Counts of the sets: two eyes, nose tip and two corners of the mouth; ours; iBUG's; MediaPipe's with the irises.
FIVE, OURS, IBUG, MEDIAPIPE = 5, 66, 68, 478
COUNTS = (FIVE, OURS, IBUG, MEDIAPIPE)

#: The inner corners of the mouth, which iBUG has and the 66 have not.
INNER_CORNERS = (60, 64)
#: For each of the 66 the vertices of MediaPipe's mesh whose mean it is. iBUG's order; mirrored pairs mirror each other.
MESH_OF_66: tuple[tuple[int, ...], ...] = (
    # jaw line, from the face oval: image left, chin, image right
    *((127,), (234,), (93,), (132, 58), (58, 172), (136,), (150,), (176,), (152,)),
    *((400,), (379,), (365,), (397, 288), (288, 361), (323,), (454,), (356,)),
    # brows: image left, image right
    *((70,), (63,), (105,), (66,), (107,)),
    *((336,), (296,), (334,), (293,), (300,)),
    # nose: bridge from the root down to the tip, then the nostrils from left to right
    *((168, 6), (197, 195), (5,), (4,)),
    *((98,), (97,), (2,), (326,), (327,)),
    # eyes: left corner, upper lid, right corner, lower lid
    *((33,), (160,), (158,), (133,), (153,), (144,)),
    *((362,), (385,), (387,), (263,), (373,), (380,)),
    # mouth: outer lips from the left corner over the top, then inner lips without their corners
    *((61,), (39,), (37,), (0,), (267,), (269,), (291,), (321,), (314,), (17,), (84,), (91,)),
    *((82,), (13,), (312,), (317,), (14,), (87,)),
)
#: Where the parts lie among the 66 (and, but for the inner lips, among iBUG's 68).
LEFT_EYE, RIGHT_EYE = slice(36, 42), slice(42, 48)
MOUTH_CORNERS = (48, 54)


def to_66(points: FloatArray) -> FloatArray:
    """66, 68 or 478 points -> the 66 landmarks, (66, 2); ValueError for any other number of them."""
    if len(points) == OURS:
        return points
    if len(points) == IBUG:
        return np.delete(points, INNER_CORNERS, axis=0)
    if len(points) == MEDIAPIPE:
        return np.stack([points[list(vertices)].mean(axis=0) for vertices in MESH_OF_66])
    raise ValueError(f"{len(points)} points are not a set of landmarks")


def face_points(points: FloatArray) -> FacePoints:
    """5, 66, 68 or 478 points -> the eyes and the mouth as FFHQ's alignment takes them.

    An eye is the mean of its six contour points, the mouth the mean of its two outer corners; ValueError for any other
    number of points.
    """
    if len(points) == FIVE:
        left, right, _, *corners = points
        mouth = (corners[0] + corners[1]) / 2.0
    else:
        landmarks = to_66(points)
        left, right = landmarks[LEFT_EYE].mean(axis=0), landmarks[RIGHT_EYE].mean(axis=0)
        mouth = landmarks[list(MOUTH_CORNERS)].mean(axis=0)
    return FacePoints(*((float(x), float(y)) for x, y in (left, right, mouth)))


def is_mirrored(points: FloatArray) -> bool:
    """Whether left and right are exchanged, or all is on one line: from left to right and down is not clockwise."""
    face = face_points(points)
    left, right, mouth = np.array([face.left_eye, face.right_eye, face.mouth])
    across, down = right - left, mouth - (left + right) / 2.0
    return float(across[0] * down[1] - across[1] * down[0]) <= 0.0


def size_of(points: FloatArray) -> float:
    """How large a face is: the root of the area of the points' bounding box, pixels."""
    return float(np.sqrt(np.prod(np.ptp(points, axis=0))))
