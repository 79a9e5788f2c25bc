"""From the photo to the portrait and back: never half a pixel off."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from pie_alignment.aligners import FaceAligner
from pie_alignment.point_sets import size_of
from pie_alignment.settings import AlignerSettings
from pie_framework.api import AlignedPortrait
from pie_framework.editing.paste import paste_back
from pie_framework.images.affine import apply, invert, scale_of
from pie_framework.images.photo import read_photo

FloatArray = NDArray[np.float64]
#: Eyes, nose and corners of the mouth, about the middle of the face; 1 between the eyes.
FIVE = np.array([[-0.5, -0.4], [0.5, -0.4], [0.0, 0.15], [-0.35, 0.65], [0.35, 0.65]])


class Given:
    """A detector that is told its answer."""

    num_landmarks = 66

    def __init__(self, points: FloatArray) -> None:
        self.points = points

    def detect(self, image: object) -> object:
        raise AssertionError("not asked here")

    def faces(self, photo: Image.Image) -> list[FloatArray]:
        return [self.points]

    def given(self, photo: Image.Image) -> None:
        return None


def face(degrees: float, eyes: float, x: float, y: float) -> FloatArray:
    """Five points of a face with that distance between its eyes."""
    angle = np.deg2rad(degrees)
    turn = eyes * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return FIVE @ turn.T + [x, y]


def align(photo: Image.Image, points: FloatArray, size: int, **settings: object) -> AlignedPortrait:
    chosen = AlignerSettings(points="landmarks", framing="ffhq", **settings)  # type: ignore[arg-type]
    return FaceAligner(chosen, lambda: Given(points)).align(photo, size)


def dotted(size: tuple[int, int], at: FloatArray, radius: float) -> Image.Image:
    """A black photo with one soft white dot."""
    x = np.exp(-0.5 * ((np.arange(size[0]) + 0.5 - at[0]) / radius) ** 2)
    y = np.exp(-0.5 * ((np.arange(size[1]) + 0.5 - at[1]) / radius) ** 2)
    dot = np.rint(250 * y[:, None] * x[None, :]).astype(np.uint8)
    return Image.fromarray(dot).convert("RGB")


def centre(picture: Image.Image, near: FloatArray, radius: float) -> FloatArray:
    """The dot's centre of mass."""
    values = np.asarray(picture.convert("L"), dtype=np.float64)
    reach = int(np.ceil(5 * radius))
    x0, y0 = max(0, int(near[0]) - reach), max(0, int(near[1]) - reach)
    values = values[y0 : int(near[1]) + reach, x0 : int(near[0]) + reach]
    values = np.where(values > 3, values, 0.0)
    rows, columns = np.mgrid[0 : values.shape[0], 0 : values.shape[1]] + 0.5
    mass = values.sum()
    return np.array([(values * columns).sum() / mass + x0, (values * rows).sum() / mass + y0])


#: Photo, distance of the eyes, middle of the face, side of the portrait.
CASES = {
    "plain": ((700, 600), 90.0, (350.0, 300.0), 128),
    "small face": ((900, 700), 24.0, (600.0, 200.0), 128),
    "large portrait": ((400, 500), 60.0, (200.0, 260.0), 512),
    "touching the border": ((500, 500), 100.0, (190.0, 200.0), 128),
    "over the border": ((480, 360), 110.0, (60.0, 300.0), 128),
    "tiny photo": ((64, 48), 12.0, (30.0, 24.0), 128),
    "huge photo": ((6000, 4000), 900.0, (3100.0, 2000.0), 128),
}


TURNS = (-45.0, -20.0, 0.0, 7.0, 30.0, 45.0)


@pytest.mark.parametrize(
    ("case", "degrees"),
    [(case, turn) for case in CASES for turn in TURNS if case != "huge photo"] + [("huge photo", -20.0)],
)
def test_a_place_of_the_photo_comes_back_from_the_portrait_and_the_paste(case: str, degrees: float) -> None:
    """A dot on the photo is found in the portrait where the map says, and in the photo again after pasting."""
    photo_size, eyes, middle, size = CASES[case]
    points = face(degrees, eyes, *middle)
    at = points[2] + 0.17 * eyes * np.array([1.0, -0.7])
    step = 4.0 * eyes / size  # photo pixels per portrait pixel
    radius = 2.5 * max(step, 1.0)
    at = np.clip(at, 4 * radius, np.array(photo_size) - 4 * radius) if case != "tiny photo" else at
    photo = dotted(photo_size, at, radius)
    aligned = align(photo, points, size)
    assert aligned.image.size == (size, size)
    expected = apply(invert(aligned.to_source), at)
    assert (expected > 0).all() and (expected < size).all()
    measured = centre(aligned.image, expected, radius / scale_of(aligned.to_source))
    back = apply(aligned.to_source, measured)
    assert np.abs(back - at).max() < 0.5
    pasted = paste_back(photo, aligned, aligned.image)
    assert np.abs(centre(pasted, at, radius) - at).max() < 0.5


@pytest.mark.parametrize("degrees", [-45.0, 0.0, 20.0, 45.0])
@pytest.mark.parametrize("eyes", [10.0, 100.0, 1500.0])
def test_the_map_itself_loses_nothing(degrees: float, eyes: float) -> None:
    photo = Image.new("RGB", (640, 480), (90, 90, 90))
    aligned = align(photo, face(degrees, eyes, 300.0, 200.0), 64)
    corners = np.array([[0.0, 0.0], [64.0, 0.0], [64.0, 64.0], [0.0, 64.0], [13.7, 40.2]])
    assert np.abs(apply(invert(aligned.to_source), apply(aligned.to_source, corners)) - corners).max() < 1e-6


@pytest.mark.parametrize("orientation", range(1, 9))
def test_points_of_the_upright_photo_fit_whatever_the_camera_held(tmp_path: Path, orientation: int) -> None:
    """The file holds the picture turned or mirrored; the points are those of the upright one."""
    upright_size, points = (420, 300), face(15.0, 60.0, 200.0, 150.0)
    at = points[2] + [9.0, -5.0]
    upright = dotted(upright_size, at, 5.0)
    undo = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    stored = upright.transpose(undo[orientation]) if orientation in undo else upright
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored.save(tmp_path / "a.png", exif=exif)
    photo = read_photo(tmp_path / "a.png")
    assert photo.size == photo.info["full_size"] == upright_size
    aligned = align(photo, points, 128)
    expected = apply(invert(aligned.to_source), at)
    back = apply(aligned.to_source, centre(aligned.image, expected, 5.0 / scale_of(aligned.to_source)))
    assert np.abs(back - at).max() < 0.5


@pytest.mark.parametrize("framing", ["ffhq", "embedded"])
@pytest.mark.parametrize("degrees", [-45.0, 12.0])
def test_aligning_a_portrait_again_leaves_it_where_it_is(framing: str, degrees: float) -> None:
    rng = np.random.default_rng(0)
    noise = Image.fromarray(rng.integers(0, 256, (30, 40, 3), dtype=np.uint8))
    photo = noise.resize((800, 600), Image.Resampling.BICUBIC)
    points = face(degrees, 80.0, 390.0, 300.0)
    settings = AlignerSettings(points="landmarks", framing=framing)
    first = FaceAligner(settings, lambda: Given(points)).align(photo, 256)
    moved = apply(invert(first.to_source), points)
    again = FaceAligner(settings, lambda: Given(moved)).align(first.image, 256)
    corners = np.array([[0.0, 0.0], [256.0, 0.0], [256.0, 256.0], [0.0, 256.0]])
    assert np.abs(apply(again.to_source, corners) - corners).max() < 1e-6
    difference = np.abs(np.asarray(again.image, dtype=float) - np.asarray(first.image, dtype=float))
    assert difference.max() <= 1


def test_faces_are_ordered_by_size() -> None:
    assert size_of(face(0.0, 20.0, 0.0, 0.0)) == pytest.approx(20.0 * np.sqrt(1.0 * 1.05))
