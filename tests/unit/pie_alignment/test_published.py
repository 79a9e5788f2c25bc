"""FFHQ's alignment as published (Karras et al. 2019), written down again, against ours."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.ndimage
from numpy.typing import NDArray
from PIL import Image

from pie_alignment.aligners import FaceAligner
from pie_alignment.alignment import FFHQ, portrait_square
from pie_alignment.point_sets import face_points
from pie_alignment.settings import AlignerSettings

FloatArray = NDArray[np.float64]
#: A face of 68 points: 100 between the eyes, its middle at the origin. Only eyes and mouth corners matter here.
FACE = np.random.default_rng(1).uniform(-60, 60, (68, 2))
FACE[36:42] = np.array([-50.0, -30.0]) + 8 * np.random.default_rng(2).uniform(-1, 1, (6, 2))
FACE[42:48] = np.array([50.0, -30.0]) + 8 * np.random.default_rng(3).uniform(-1, 1, (6, 2))
FACE[48], FACE[54] = (-33.0, 72.0), (35.0, 74.0)


def published_quad(landmarks: FloatArray) -> FloatArray:
    """The oriented rectangle, in pixels counted from the first pixel's centre as the landmarks are."""
    eye_left, eye_right = landmarks[36:42].mean(0), landmarks[42:48].mean(0)
    eye_average = (eye_left + eye_right) * 0.5
    eye_to_eye = eye_right - eye_left
    eye_to_mouth = (landmarks[48] + landmarks[54]) * 0.5 - eye_average
    x = eye_to_eye - np.flipud(eye_to_mouth) * [-1, 1]
    x /= np.hypot(*x)
    x *= max(np.hypot(*eye_to_eye) * 2.0, np.hypot(*eye_to_mouth) * 1.8)
    y = np.flipud(x) * [-1, 1]
    centre = eye_average + eye_to_mouth * 0.1
    return np.stack([centre - x - y, centre - x + y, centre + x + y, centre + x - y])


def published_portrait(
    photo: Image.Image, landmarks: FloatArray, output: int, exact: bool = True
) -> Image.Image:
    """Shrink, crop, pad, transform and shrink again, with the published numbers.

    Where a photo is shrunk by s first, the recipe divides by s coordinates that count from a pixel's centre, and the
    shrunk photo's sides are rounded; that displaces the portrait by a fraction of its pixels, unless `exact`.
    """
    quad = published_quad(landmarks)
    side = float(np.hypot(*(quad[3] - quad[0])))
    shrink = int(np.floor(side / output * 0.5))
    if shrink > 1:
        size = tuple(int(np.rint(length / shrink)) for length in photo.size)
        quad = (quad + 0.5) * np.divide(size, photo.size) - 0.5 if exact else quad / shrink
        photo = photo.resize((size[0], size[1]), Image.Resampling.LANCZOS)
        side = side / shrink
    border = max(int(np.rint(side * 0.1)), 3)
    low, high = np.floor(quad.min(0)).astype(int), np.ceil(quad.max(0)).astype(int)
    crop = (
        *np.maximum(low - border, 0),
        *np.minimum(high + border, photo.size),
    )
    photo, quad = photo.crop(tuple(int(c) for c in crop)), quad - crop[:2]
    low, high = np.floor(quad.min(0)).astype(int), np.ceil(quad.max(0)).astype(int)
    pad = np.maximum([*(-low + border), *(high - photo.size + border)], 0)
    if pad.max() > border - 4:
        pad = np.maximum(pad, int(np.rint(side * 0.3)))
        values = np.pad(np.float32(photo), ((pad[1], pad[3]), (pad[0], pad[2]), (0, 0)), "reflect")
        h, w, _ = values.shape
        y, x, _ = np.ogrid[:h, :w, :1]
        mask = np.maximum(
            1.0 - np.minimum(np.float32(x) / pad[0], np.float32(w - 1 - x) / pad[2]),
            1.0 - np.minimum(np.float32(y) / pad[1], np.float32(h - 1 - y) / pad[3]),
        )
        blur = side * 0.02
        values += (scipy.ndimage.gaussian_filter(values, [blur, blur, 0]) - values) * np.clip(
            mask * 3.0 + 1.0, 0.0, 1.0
        )
        values += (np.median(values, axis=(0, 1)) - values) * np.clip(mask, 0.0, 1.0)
        photo = Image.fromarray(np.uint8(np.clip(np.rint(values), 0, 255)))
        quad = quad + pad[:2]
    size = (output * 4, output * 4)
    data = (quad + 0.5).flatten().tolist()
    dense = photo.transform(size, Image.Transform.QUAD, data, Image.Resampling.BILINEAR)
    return dense.resize((output, output), Image.Resampling.LANCZOS)


def placed(degrees: float, factor: float, x: float, y: float) -> FloatArray:
    angle = np.deg2rad(degrees)
    turn = factor * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return FACE @ turn.T + [x, y]


def picture(width: int, height: int, wave: float) -> Image.Image:
    """Waves of about `wave` pixels."""
    x, y = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
    f = 2 * np.pi / wave
    waves = [np.sin(f * x + 0.4 * f * y), np.sin(f * y), np.cos(0.7 * f * (x - y))]
    return Image.fromarray(np.rint(127.5 + 100 * np.stack(waves, -1)).astype(np.uint8))


class Given:
    """A detector that is told its answer."""

    num_landmarks = 66

    def __init__(self, points: FloatArray) -> None:
        self.points = points

    def detect(self, image: object) -> object:
        raise AssertionError("not asked here")

    def faces(self, photo: Image.Image) -> list[FloatArray]:
        return [self.points]

    def given(self, photo: Image.Image) -> FloatArray:
        return self.points


@pytest.mark.parametrize("seed", range(20))
def test_the_corners_are_the_published_ones(seed: int) -> None:
    rng = np.random.default_rng(seed)
    landmarks = placed(rng.uniform(-180, 180), 10 ** rng.uniform(-1, 1), *rng.uniform(-500, 5000, 2))
    landmarks += rng.normal(0, 0.01 * np.ptp(landmarks[:, 0]), landmarks.shape)
    top_left, bottom_left, bottom_right, top_right = published_quad(landmarks)
    wanted = np.stack([top_left, top_right, bottom_right, bottom_left])
    assert np.abs(portrait_square(face_points(landmarks), FFHQ) - wanted).max() < 1e-6


@pytest.mark.parametrize("count", [5, 66, 478])
def test_other_sets_of_points_give_the_same_corners(count: int) -> None:
    from pie_alignment.point_sets import MESH_OF_66

    landmarks = placed(17.0, 2.0, 400.0, 300.0)
    wanted = portrait_square(face_points(landmarks), FFHQ)
    fewer = np.delete(landmarks, [60, 64], axis=0)
    if count == 66:
        points = fewer
    elif count == 5:
        eyes = [landmarks[36:42].mean(0), landmarks[42:48].mean(0)]
        points = np.stack([*eyes, landmarks[30], landmarks[48], landmarks[54]])
    else:
        points = np.full((478, 2), 1e6)
        for landmark, vertices in zip(fewer, MESH_OF_66, strict=True):
            if len(vertices) == 1:
                points[vertices[0]] = landmark
    assert np.abs(portrait_square(face_points(points), FFHQ) - wanted).max() < 1e-6


@pytest.mark.parametrize(
    ("degrees", "factor"), [(0.0, 0.4), (-20.0, 1.0), (45.0, 0.7), (10.0, 2.2), (-45.0, 3.0)]
)
def test_inside_the_photo_the_portrait_is_the_published_one(degrees: float, factor: float) -> None:
    """Up to the resampling, which the recipe does with more blur: far less than half a pixel of displacement."""
    output = 64
    photo = picture(1700, 1600, wave=max(24.0, 60.0 * factor))
    landmarks = placed(degrees, factor, 850.0, 800.0)
    for padding in ("blur", "ffhq"):
        settings = AlignerSettings(points="landmarks", framing="ffhq", padding=padding)
        ours = FaceAligner(settings, lambda: Given(landmarks)).align(photo, output).image
        for exact, most in ((True, 0.05), (False, 0.4)):
            reference = np.asarray(published_portrait(photo, landmarks - 0.5, output, exact), dtype=float)
            difference = np.abs(np.asarray(ours, dtype=float) - reference)
            moved = np.abs(np.diff(reference, axis=1)).mean()  # what one pixel of displacement would change
            assert difference.mean() < most * moved


@pytest.mark.parametrize(
    ("degrees", "x", "y"), [(0.0, 150.0, 250.0), (15.0, 560.0, 120.0), (-30.0, 300.0, 500.0)]
)
def test_beyond_the_border_padding_ffhq_is_the_published_one(degrees: float, x: float, y: float) -> None:
    output = 128
    photo = picture(640, 600, wave=90.0)
    landmarks = placed(degrees, 1.0, x, y)
    reference = np.asarray(published_portrait(photo, landmarks - 0.5, output), dtype=float)
    settings = AlignerSettings(points="landmarks", framing="ffhq", padding="ffhq")
    aligned = FaceAligner(settings, lambda: Given(landmarks)).align(photo, output)
    difference = np.abs(np.asarray(aligned.image, dtype=float) - reference)
    assert difference.mean() < 1.0
    assert np.percentile(difference, 99) < 6
