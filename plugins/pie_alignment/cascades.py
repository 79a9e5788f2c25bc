"""Finding faces with the Haar cascades that opencv carries: boxes, then eyes and mouth inside them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pie_alignment.alignment import FacePoints
from pie_framework.errors import ComponentError
from pie_framework.images.affine import IDENTITY, Affine, apply, compose, invert

Grey = NDArray[np.uint8]
Point = NDArray[np.float64]

#: Photos are searched at a longer side of at most the second, small ones enlarged to the first.
SEARCH_SIDES = (640, 1024)
#: Longer side for the searches after the first few.
COARSE_SIDE = 400
#: Votes (overlapping detections) from which a face counts although none of its eyes is found.
SURE = 10
#: Smallest face as a fraction of the shorter side, and in searched pixels.
SMALLEST = (0.05, 30)
#: Degrees by which the photo is turned in turn when no upright face is found.
TILTS = (-15.0, 15.0, -30.0, 30.0)
#: Where the eyes and the mouth lie in the box of the frontal cascade, in fractions of its side (means over photos).
EYES_IN_BOX = np.array([[0.303, 0.40], [0.690, 0.40]])
MOUTH_IN_BOX = np.array([0.497, 0.80])
#: Distance from between the eyes to the mouth, in eye distances.
MOUTH_DROP = 1.05


@dataclass(frozen=True)
class Face:
    """A face that was found.

    Attributes:
        points: eyes and mouth in photo pixels.
        side: side of the face's box in photo pixels.
        eyes_seen: how many of its eyes were found rather than assumed.
    """

    points: FacePoints
    side: float
    eyes_seen: int


@dataclass(frozen=True)
class _Box:
    x: float
    y: float
    side: float
    votes: float


def find_faces(photo: Image.Image, fallback: bool = True) -> list[Face]:
    """The faces of an RGB photo, the largest first; deterministic.

    Args:
        photo: of any size.
        fallback: when no upright frontal face is found, try an equalised picture, a second cascade, turned pictures
            and the profile cascade, in that order.

    Raises:
        ComponentError: opencv is not installed, or is a version that carries no cascades.
    """
    cv2 = _opencv()
    threads = cv2.getNumThreads()
    cv2.setNumThreads(
        1
    )  # a search is short: on a busy machine opencv's threads cost many times what they save
    try:
        return _search(cv2, photo, fallback)
    finally:
        cv2.setNumThreads(threads)


def _search(cv2: Any, photo: Image.Image, fallback: bool) -> list[Face]:
    grey, to_photo = _search_picture(photo)
    found = _upright(cv2, grey, "frontalface_alt2", 3)
    if found or not fallback:
        return _in_photo(found, to_photo)

    equal = cv2.equalizeHist(grey)
    for picture, cascade, votes in (
        (equal, "frontalface_alt2", 3),
        (grey, "frontalface_default", 5),
        (grey, "frontalface_alt2", 2),
    ):
        found = [face for face in _upright(cv2, picture, cascade, votes) if face.eyes_seen]
        if found:
            return _in_photo(found, to_photo)
    grey, to_photo = _search_picture(photo, COARSE_SIDE)
    for degrees in TILTS:
        turned, back = _turned(cv2, grey, degrees)
        found = [face for face in _upright(cv2, turned, "frontalface_alt2", 3) if face.eyes_seen == 2]
        if found:
            return _in_photo(found, compose(to_photo, back))
    for mirrored in (False, True):
        picture = np.ascontiguousarray(grey[:, ::-1]) if mirrored else grey
        profiles = [_profile(box) for box in _boxes(cv2, picture, "profileface", SURE)]
        if profiles:
            back = (-1.0, 0.0, float(grey.shape[1]), 0.0, 1.0, 0.0) if mirrored else IDENTITY
            return _in_photo(profiles, compose(to_photo, back))
    return []


def _opencv() -> Any:
    """The cv2 module, or an error that says what to install."""
    try:
        import cv2
    except ImportError:
        raise ComponentError(
            "finding a face needs opencv, which is not installed",
            'Install it with: pip install "pie-framework[align]"; or use aligner=none for a ready crop.',
        ) from None
    folder = getattr(getattr(cv2, "data", None), "haarcascades", None)
    if folder is None or not (Path(folder) / "haarcascade_frontalface_alt2.xml").is_file():
        raise ComponentError(
            f"opencv {cv2.__version__} carries no face cascades",
            'Install a version that does with: pip install "pie-framework[align]"; or use aligner=none.',
        )
    return cv2


@lru_cache(maxsize=8)
def _cascade(name: str) -> Any:
    cv2 = _opencv()
    return cv2.CascadeClassifier(str(Path(cv2.data.haarcascades) / f"haarcascade_{name}.xml"))


def _search_picture(photo: Image.Image, longest: int = SEARCH_SIDES[1]) -> tuple[Grey, Affine]:
    """A grey picture of a size the cascades do well on, and the map from its pixels to the photo's."""
    width, height = photo.size
    longer = max(width, height)
    grey = photo.convert("L")
    if longer > 4 * SEARCH_SIDES[1]:
        grey = grey.reduce(longer // (2 * SEARCH_SIDES[1]))
    factor = min(max(1.0, SEARCH_SIDES[0] / longer), longest / longer)
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    if grey.size != size:
        grey = grey.resize(size, Image.Resampling.BICUBIC)
    return np.array(grey), (width / size[0], 0.0, 0.0, 0.0, height / size[1], 0.0)


def _boxes(cv2: Any, grey: Grey, cascade: str, votes: int) -> list[_Box]:
    """Boxes of one cascade without overlaps, those with the most votes kept."""
    smallest = max(SMALLEST[1], int(SMALLEST[0] * min(grey.shape)))
    raw, counts = _cascade(cascade).detectMultiScale2(
        grey, scaleFactor=1.1, minNeighbors=votes, minSize=(smallest, smallest)
    )
    boxes = [
        _Box(float(x), float(y), float(w), float(n))
        for (x, y, w, _), n in zip(np.asarray(raw).reshape(-1, 4), np.ravel(counts), strict=True)
    ]
    kept: list[_Box] = []
    for box in sorted(boxes, key=lambda b: (-b.votes, -b.side, b.x, b.y)):
        if all(_apart(box, other) for other in kept):
            kept.append(box)
    return kept


def _apart(one: _Box, other: _Box) -> bool:
    """Whether two boxes can be two faces: they share less than a third of the smaller one."""
    width = min(one.x + one.side, other.x + other.side) - max(one.x, other.x)
    height = min(one.y + one.side, other.y + other.side) - max(one.y, other.y)
    return max(width, 0.0) * max(height, 0.0) < min(one.side, other.side) ** 2 / 3.0


def _upright(cv2: Any, grey: Grey, cascade: str, votes: int) -> list[Face]:
    """Frontal faces of a picture in its own pixels."""
    boxes = _boxes(cv2, grey, cascade, votes)
    faces = [(_read(grey, box), box.votes) for box in boxes]
    return [face for face, votes in faces if face.eyes_seen or votes >= SURE]


def _read(grey: Grey, box: _Box) -> Face:
    """Eyes and mouth inside a box; where a cascade finds none, their usual places."""
    corner = np.array([box.x, box.y])
    usual = corner + EYES_IN_BOX * box.side
    eyes = [_near(_eyes(grey, box), place, 0.13 * box.side) for place in usual]
    seen = [eye for eye in eyes if eye is not None]
    left, right = (usual[i] if (eye := eyes[i]) is None else eye for i in range(2))
    if len(seen) == 1:  # the eye that was found moves the other with it, as far as half of its own way
        if eyes[0] is None:
            left = usual[0] + (right - usual[1]) / 2.0
        else:
            right = usual[1] + (left - usual[0]) / 2.0
    across = right - left
    between = (left + right) / 2.0
    by_eyes = between + MOUTH_DROP * np.array([-across[1], across[0]])
    expected = (by_eyes + corner + MOUTH_IN_BOX * box.side) / 2.0
    smile = _near(_smiles(grey, box), expected, 0.12 * box.side)
    mouth = expected if smile is None else (expected + smile) / 2.0
    points = FacePoints(_pair(left), _pair(right), _pair(mouth))
    return Face(points, box.side, len(seen))


def _eyes(grey: Grey, box: _Box) -> list[Point]:
    """Centres that the two eye cascades find in the upper part of a box."""
    return [
        centre
        for name in ("eye", "eye_tree_eyeglasses")
        for centre in _parts(grey, box, name, (0.15, 0.62), 3, (1 / 8, 1 / 8), 1 / 2)
    ]


def _smiles(grey: Grey, box: _Box) -> list[Point]:
    """Centres that the smile cascade finds in the lower part of a box."""
    return _parts(grey, box, "smile", (0.6, 1.1), 5, (1 / 4, 1 / 8), 1.0)


def _parts(
    grey: Grey,
    box: _Box,
    cascade: str,
    rows: tuple[float, float],
    votes: int,
    smallest: tuple[float, float],
    largest: float,
) -> list[Point]:
    left, top = max(0, int(box.x)), max(0, int(box.y + rows[0] * box.side))
    right, bottom = int(box.x + box.side), int(box.y + rows[1] * box.side)
    region = np.ascontiguousarray(grey[top:bottom, left:right])
    if min(region.shape, default=0) < 8:
        return []
    found = _cascade(cascade).detectMultiScale(
        region,
        scaleFactor=1.05,
        minNeighbors=votes,
        minSize=(max(4, int(smallest[0] * box.side)), max(4, int(smallest[1] * box.side))),
        maxSize=(int(largest * box.side), int(largest * box.side)),
    )
    return [
        np.array([left + x + w / 2.0, top + y + h / 2.0]) for x, y, w, h in np.asarray(found).reshape(-1, 4)
    ]


def _near(candidates: Sequence[Point], place: Point, reach: float) -> Point | None:
    """The median of the candidates within reach of a place."""
    near = [c for c in candidates if float(np.hypot(*(c - place))) <= reach]
    return np.median(np.stack(near), axis=0) if near else None


def _profile(box: _Box) -> Face:
    """A face turned to the picture's left: eyes and mouth at their usual places in the profile cascade's box."""
    corner = np.array([box.x, box.y])
    left, right, mouth = (corner + np.array(p) * box.side for p in ((0.25, 0.38), (0.58, 0.38), (0.40, 0.76)))
    return Face(FacePoints(_pair(left), _pair(right), _pair(mouth)), box.side, 0)


def _turned(cv2: Any, grey: Grey, degrees: float) -> tuple[Grey, Affine]:
    """The picture turned about its middle on a canvas that holds all of it, and the map back to its own pixels."""
    height, width = grey.shape
    angle = np.deg2rad(degrees)
    cos, sin = float(np.cos(angle)), float(np.sin(angle))
    new_width = int(np.ceil(abs(width * cos) + abs(height * sin)))
    new_height = int(np.ceil(abs(width * sin) + abs(height * cos)))
    x, y, u, v = width / 2.0, height / 2.0, new_width / 2.0, new_height / 2.0
    back: Affine = (cos, -sin, x - cos * u + sin * v, sin, cos, y - sin * u - cos * v)
    a, b, c, d, e, f = invert(back)
    # opencv's pixel centres are whole numbers
    matrix = np.array([[a, b, c + (a + b - 1) / 2.0], [d, e, f + (d + e - 1) / 2.0]])
    turned = cv2.warpAffine(grey, matrix, (new_width, new_height), flags=cv2.INTER_LINEAR, borderValue=128)
    return turned, back


def _in_photo(faces: Sequence[Face], to_photo: Affine) -> list[Face]:
    """The faces in photo pixels, the largest first."""
    a, _, _, d, _, _ = to_photo
    scale = float(np.hypot(a, d))
    moved = []
    for face in faces:
        left, right, mouth = apply(to_photo, [face.points.left_eye, face.points.right_eye, face.points.mouth])
        if a < 0:  # mirrored: left and right change places
            left, right = right, left
        moved.append(
            Face(FacePoints(_pair(left), _pair(right), _pair(mouth)), face.side * scale, face.eyes_seen)
        )
    return sorted(moved, key=lambda face: (-face.side, face.points.left_eye))


def _pair(point: Point) -> tuple[float, float]:
    return float(point[0]), float(point[1])
