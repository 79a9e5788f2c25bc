from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pie_alignment.aligners import AutoAligner, CentreAligner, FaceAligner
from pie_alignment.alignment import EMBEDDED
from pie_alignment.cascades import find_faces
from pie_alignment.settings import AlignerSettings
from pie_framework.errors import ComponentError, ConfigError, InputError
from pie_framework.images.affine import apply, invert
from pie_framework.images.photo import read_photo
from pie_framework.settings import merge

PORTRAITS = Path(__file__).parents[4] / "shared" / "portraits"
needs_photos = pytest.mark.skipif(
    not (PORTRAITS / "portrait_00.jpg").is_file(), reason="the test photos (../shared/portraits) are not here"
)


def gradient() -> Image.Image:
    y = np.linspace(0, 1, 120)[:, None, None]
    colours = np.array([120.0, 160.0, 220.0]) + y * np.array([80.0, 20.0, -120.0])
    return Image.fromarray(np.broadcast_to(colours, (120, 160, 3)).astype(np.uint8))


def test_no_face() -> None:
    pytest.importorskip("cv2")
    photo = gradient()
    photo.info["path"] = "somewhere/hills.jpg"
    with pytest.raises(InputError, match=r"no face was found in 'hills.jpg'.*aligner=none"):
        FaceAligner(AlignerSettings()).align(photo, 64)


@needs_photos
@pytest.mark.parametrize("name", ["portrait_02.jpg", "portrait_08.jpg", "portrait_19.jpg"])
def test_a_portrait_is_framed(name: str) -> None:
    pytest.importorskip("cv2")
    photo = read_photo(PORTRAITS / name)
    aligned = FaceAligner(AlignerSettings()).align(photo, 128)
    assert (aligned.image.size, aligned.source_size, aligned.faces) == ((128, 128), photo.size, 1)
    # the portrait's own face is found again where the framing puts it
    points = find_faces(aligned.image)[0].points
    eyes = (np.array(points.left_eye) + np.array(points.right_eye)) / 2
    assert np.abs(eyes / 128 - [0.5, EMBEDDED.eye_line]).max() < 0.03
    again = FaceAligner(AlignerSettings()).align(photo, 128)
    assert again.to_source == aligned.to_source
    assert again.image.tobytes() == aligned.image.tobytes()


@needs_photos
def test_every_test_photo_is_aligned_by_auto() -> None:
    pytest.importorskip("cv2")
    for path in sorted(PORTRAITS.glob("*.jpg")):
        photo = read_photo(path)
        aligned = AutoAligner(AlignerSettings()).align(photo, 128)
        a, b, _, d, _, _ = aligned.to_source
        assert aligned.faces == 1, path.name
        assert abs(np.rad2deg(np.arctan2(d, a))) < 20, path.name
        assert 0.3 < 128 * np.hypot(a, b) / min(photo.size) < 1.3, path.name


@needs_photos
def test_a_tilted_photo_is_turned_upright() -> None:
    pytest.importorskip("cv2")
    photo = read_photo(PORTRAITS / "portrait_06.jpg")
    turned = photo.rotate(10, Image.Resampling.BICUBIC)
    a, _, _, d, _, _ = FaceAligner(AlignerSettings()).align(turned, 64).to_source
    assert np.rad2deg(np.arctan2(d, a)) == pytest.approx(-10, abs=4)


@needs_photos
def test_several_faces_by_size() -> None:
    pytest.importorskip("cv2")
    large = read_photo(PORTRAITS / "portrait_04.jpg")
    small = read_photo(PORTRAITS / "portrait_06.jpg").resize((240, 300), Image.Resampling.LANCZOS)
    both = Image.new("RGB", (large.width + small.width, large.height), (90, 90, 90))
    both.paste(small, (0, 100))
    both.paste(large, (small.width, 0))
    centres = []
    for face in (0, 1):
        aligned = FaceAligner(AlignerSettings(face=face)).align(both, 64)
        assert aligned.faces == 2
        centres.append(apply(aligned.to_source, [32.0, 32.0])[0])
    assert centres[0] > small.width > centres[1]
    with pytest.raises(InputError, match=r"aligner.face=2 asks for face 3 by size, but 2 faces were found"):
        FaceAligner(AlignerSettings(face=2)).align(both, 64)


def test_the_centre_of_a_ready_crop() -> None:
    photo = gradient()
    aligned = CentreAligner().align(photo, 60)
    assert aligned.to_source == (2.0, 0.0, 20.0, 0.0, 2.0, 0.0)
    wanted = np.asarray(photo.crop((20, 0, 140, 120)).reduce(2), dtype=int)
    assert np.abs(np.asarray(aligned.image, dtype=int) - wanted).max() <= 2
    corners = apply(invert(aligned.to_source), [[20.0, 0.0], [140.0, 120.0]])
    assert np.allclose(corners, [[0, 0], [60, 60]])


def test_auto_takes_a_ready_portrait_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cv2", None)
    ready = gradient().resize((64, 64))
    aligned = AutoAligner(AlignerSettings()).align(ready, 64)
    assert aligned.image.tobytes() == ready.tobytes()
    assert aligned.to_source == (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)


def test_without_opencv_the_message_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(ComponentError, match=r'pip install "pie-framework\[align\]"'):
        AutoAligner(AlignerSettings()).align(gradient(), 64)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"framing": "embeded"}, "Did you mean 'embedded'"),
        ({"padding": "mirror"}, "aligner.padding: 'mirror' is not one of its values"),
        ({"points": "landmark"}, "aligner.points: .* Did you mean 'landmarks'"),
        ({"face": -1}, "aligner.face: -1 is too small"),
        ({"scale": 0.0}, "aligner.scale: 0.0 is too small"),
        ({"eye_line": 2.0}, "aligner.eye_line: 2.0 is too large"),
        ({"eye_distance": 0.0}, "aligner.eye_distance: 0.0 is too small"),
    ],
)
def test_settings_are_checked(values: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        merge(AlignerSettings, values, "aligner")


def test_eye_distance_and_line_override_the_framing() -> None:
    framing = FaceAligner(AlignerSettings(eye_distance=0.3, eye_line=0.4)).framing
    assert (framing.eye_distance, framing.eye_line) == (0.3, 0.4)
    assert framing.eye_to_mouth / framing.eye_distance == pytest.approx(
        EMBEDDED.eye_to_mouth / EMBEDDED.eye_distance
    )
