from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from pie_alignment.alignment import EMBEDDED, FFHQ, FacePoints, Framing, portrait_square, square_to_affine
from pie_alignment.cutting import cut_portrait
from pie_framework.images.affine import apply, invert

FACE = FacePoints((100.0, 200.0), (160.0, 200.0), (130.0, 260.0))


def moved(face: FacePoints, degrees: float, factor: float, shift: tuple[float, float]) -> FacePoints:
    angle = np.deg2rad(degrees)
    turn = factor * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    left, right, mouth = np.array([face.left_eye, face.right_eye, face.mouth]) @ turn.T + np.array(shift)
    return FacePoints(tuple(left), tuple(right), tuple(mouth))


def test_ffhq_square_is_the_published_formula() -> None:
    """|eye to eye| = |eye to mouth| = 60: half side max(120, 108), centre 6 below the eyes."""
    square = portrait_square(FACE, FFHQ)
    assert np.allclose(square, [[10, 86], [250, 86], [250, 326], [10, 326]])
    long_face = FacePoints((100.0, 200.0), (160.0, 200.0), (130.0, 300.0))
    assert np.allclose(portrait_square(long_face, FFHQ)[1] - portrait_square(long_face, FFHQ)[0], [360, 0])


@pytest.mark.parametrize("framing", [FFHQ, EMBEDDED])
def test_a_face_of_the_framing_lies_where_it_says(framing: Framing) -> None:
    face = FacePoints(
        (0.0, 0.0), (framing.eye_distance, 0.0), (framing.eye_distance / 2, framing.eye_to_mouth)
    )
    to_portrait = invert(square_to_affine(portrait_square(face, framing), 100))
    left, right, mouth = apply(to_portrait, [face.left_eye, face.right_eye, face.mouth])
    assert np.allclose(left, [50 - 50 * framing.eye_distance, 100 * framing.eye_line])
    assert np.allclose(right, [50 + 50 * framing.eye_distance, 100 * framing.eye_line])
    assert np.allclose(mouth, [50, 100 * (framing.eye_line + framing.eye_to_mouth)])


@pytest.mark.parametrize("degrees", [-170.0, -20.0, 35.0, 90.0])
def test_the_square_turns_with_the_face(degrees: float) -> None:
    """Turning, scaling and moving a face leaves its place in the portrait alone."""
    turned = moved(FACE, degrees, 1.7, (40.0, -300.0))
    places = []
    for face in (FACE, turned):
        to_portrait = invert(square_to_affine(portrait_square(face, EMBEDDED), 128))
        places.append(apply(to_portrait, [face.left_eye, face.right_eye, face.mouth]))
    assert np.abs(places[0] - places[1]).max() < 1e-9


def test_scale_and_shift() -> None:
    plain = portrait_square(FACE, FFHQ)
    assert np.allclose(portrait_square(FACE, FFHQ, shift=(0.1, -0.2)) - plain, [24, -48])
    larger = portrait_square(FACE, FFHQ, scale=1.5)
    assert np.allclose(larger.mean(0), plain.mean(0))
    assert np.allclose(larger[1] - larger[0], [360, 0])


def test_points_round_trip_and_coinciding_points_are_refused() -> None:
    to_source = square_to_affine(portrait_square(moved(FACE, 12.0, 1.0, (3.0, 4.0)), FFHQ), 256)
    points = np.random.default_rng(0).uniform(0, 256, (100, 2))
    assert np.abs(apply(invert(to_source), apply(to_source, points)) - points).max() < 1e-6
    with pytest.raises(ValueError, match="no square"):
        portrait_square(FacePoints((1.0, 1.0), (1.0, 1.0), (1.0, 1.0)), FFHQ)


@pytest.mark.parametrize("step", [0.5, 1.0, 3.0, 9.5])
def test_a_cut_is_not_displaced(step: float) -> None:
    """A dot's centre of mass is found where the map puts it, at any change of scale."""
    x, y = np.meshgrid(np.arange(700) + 0.5, np.arange(700) + 0.5)
    at = np.array([350.3, 340.7])
    dot = 250 * np.exp(-((x - at[0]) ** 2 + (y - at[1]) ** 2) / (2 * (3 * step) ** 2))
    photo = Image.fromarray(np.repeat(np.rint(dot).astype(np.uint8)[..., None], 3, -1))
    to_source = (step, 0.1 * step, 350 - 35 * step, -0.1 * step, step, 350 - 30 * step)
    seen = np.asarray(cut_portrait(photo, to_source, 64), dtype=np.float64)[..., 0]
    rows, columns = np.mgrid[0:64, 0:64] + 0.5
    centre = np.array([(seen * columns).sum(), (seen * rows).sum()]) / seen.sum()
    assert np.abs(centre - apply(invert(to_source), at)).max() < 0.15


@pytest.mark.parametrize("padding", ["blur", "reflect", "edge"])
def test_beyond_the_border_there_is_no_black(padding: str) -> None:
    photo = Image.new("RGB", (60, 50), (200, 120, 40))
    portrait = np.asarray(cut_portrait(photo, (2.0, 0.3, -40.0, -0.3, 2.0, -30.0), 64, padding))
    assert np.abs(portrait.astype(int) - [200, 120, 40]).max() <= 1


def test_far_outside_and_huge_scales_stay_bounded() -> None:
    photo = Image.new("RGB", (40, 30), (9, 9, 9))
    assert cut_portrait(photo, (100.0, 0.0, -3000.0, 0.0, 100.0, -3000.0), 64).size == (64, 64)
