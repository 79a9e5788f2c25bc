from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from pie_alignment.aligners import FaceAligner
from pie_alignment.landmark_file import FileLandmarks, build
from pie_alignment.landmark_settings import FileLandmarkSettings
from pie_alignment.settings import AlignerSettings
from pie_framework.api import BuildContext, PhotoLandmarks
from pie_framework.errors import ConfigError, InputError
from pie_framework.images.affine import apply, invert
from pie_framework.settings import merge

FloatArray = NDArray[np.float64]


def face(x: float, y: float, width: float, count: int = 66) -> FloatArray:
    """A face of 5 or 66 points about a place; only the eyes and the mouth's corners are where they belong."""
    five = np.array([[-0.25, -0.2], [0.25, -0.2], [0.0, 0.05], [-0.18, 0.3], [0.18, 0.3]])
    points = five
    if count == 66:
        points = np.random.default_rng(0).uniform(-0.4, 0.4, (66, 2))
        points[36:42], points[42:48] = five[0], five[1]
        points[48], points[54] = five[3], five[4]
    return np.asarray(points * width + [x, y])


class Others:
    num_landmarks = 66

    def detect(self, image: torch.Tensor) -> torch.Tensor:
        return image.new_full((len(image), 66, 2), 7.0)


class Context(BuildContext):
    """The part of a build context that the factory uses."""

    device = torch.device("cpu")
    dtype = torch.float32
    blocks = ()

    def __init__(self, landmarks: int = 66) -> None:
        self.others = Others()
        self.others.num_landmarks = landmarks

    def asset(self, uri: str) -> str:
        return uri

    def get(self, kind: Any, name: str | None = None) -> Any:
        assert (kind, name) == ("landmarks", "embedded")
        return self.others

    def chosen(self, kind: Any) -> str | None:
        return "file"


def photo(name: str = "", size: tuple[int, int] = (400, 300), **info: Any) -> Image.Image:
    picture = Image.new("RGB", size, (90, 120, 90))
    picture.info.update(info, **({"path": f"somewhere/{name}"} if name else {}))
    return picture


def written(path: Path, points: FloatArray) -> str:
    path.write_text(json.dumps(points.tolist()))
    return str(path)


def made(path: str, **settings: Any) -> FileLandmarks:
    return build(FileLandmarkSettings(path=path, **settings), Context())


def test_the_photo_s_own_points_and_a_detector_for_the_rest(tmp_path: Path) -> None:
    points = face(200, 150, 120)
    detector = made(written(tmp_path / "p.json", points), photo="in/a.jpg")
    assert isinstance(detector, PhotoLandmarks)
    np.testing.assert_allclose(detector.faces(photo("a.jpg"))[0], points)
    np.testing.assert_allclose(detector.given(photo("a.jpg")), points)  # type: ignore[arg-type]
    np.testing.assert_allclose(detector.faces(photo())[0], points)  # a picture that is no file
    assert detector.faces(photo("b.jpg")) == [] and detector.given(photo("b.jpg")) is None
    assert (detector.detect(torch.zeros(2, 3, 8, 8)) == 7.0).all()


def test_68_and_478_points_become_66_and_five_only_align(tmp_path: Path) -> None:
    points = face(200, 150, 120)
    ibug = np.insert(points, [60, 63], 200.0, axis=0)
    np.testing.assert_allclose(made(written(tmp_path / "a.json", ibug)).given(photo()), points)  # type: ignore[arg-type]
    five = made(written(tmp_path / "b.json", face(200, 150, 120, 5)))
    assert five.faces(photo())[0].shape == (5, 2) and five.given(photo()) is None
    mesh = np.full((478, 2), 150.0)
    mesh[33], mesh[133], mesh[61], mesh[291] = (150, 100), (160, 100), (170, 190), (230, 190)
    mesh[[160, 158, 153, 144]], mesh[[362, 385, 387, 263, 373, 380]] = (155, 100), (245, 100)
    assert made(written(tmp_path / "c.json", mesh)).faces(photo())[0].shape == (66, 2)


def test_points_of_a_photo_that_was_reduced_when_it_was_read(tmp_path: Path) -> None:
    detector = made(written(tmp_path / "p.json", face(4000, 3000, 2400)))
    found = detector.faces(photo(full_size=(8000, 6000)))[0]
    np.testing.assert_allclose(found, face(200, 150, 120))


def test_several_photos_by_folder_or_by_name(tmp_path: Path) -> None:
    first, second = face(200, 150, 120), face(150, 140, 100, 5)
    written(tmp_path / "a.json", first)
    np.save(tmp_path / "b.npy", second)
    by_folder = made(str(tmp_path), photo=["x/a.jpg", "b.png", "c.jpg"])
    mapping = tmp_path / "all.map"
    mapping.write_text(json.dumps({"a": first.tolist(), "b.png": second.tolist()}))
    by_name = made(str(mapping), photo=["x/a.jpg", "b.png", "c.jpg"])
    for detector in (by_folder, by_name):
        np.testing.assert_allclose(detector.faces(photo("a.jpg"))[0], first)
        np.testing.assert_allclose(detector.faces(photo("b.png"))[0], second)
        assert detector.faces(photo("stranger.jpg")) == []
        with pytest.raises(InputError, match=r"no points for the photo 'c.jpg'"):
            detector.faces(photo("c.jpg"))
    with pytest.raises(InputError, match="one set of points for 2 photos"):
        made(str(tmp_path / "a.json"), photo=["a.jpg", "b.png"])


@pytest.mark.parametrize(
    ("points", "message"),
    [
        (face(2000, 150, 120), r"outside the photo of 400 x 300 pixels: x from 19\d\d"),
        (face(200, 150, 1500), "outside the photo"),
        (face(390, 1.0, 120) - [0, 30], "outside the photo"),
        (face(200, 150, 120) * [-1, 1] + [400, 0], "left and right exchanged"),
        (np.tile([[200.0, 150.0]], (66, 1)), "left and right exchanged, or lie on one line"),
    ],
)
def test_points_that_do_not_fit_the_photo(tmp_path: Path, points: FloatArray, message: str) -> None:
    detector = made(written(tmp_path / "p.json", points))
    with pytest.raises(InputError, match=message):
        detector.faces(photo("a.jpg"))


def test_settings_are_checked(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"landmarks.path is not given"):
        made("")
    path = written(tmp_path / "p.json", face(200, 150, 120))
    with pytest.raises(ConfigError, match=r"landmarks.others"):
        made(path, others="file")
    with pytest.raises(ConfigError, match="finds 68 landmarks"):
        build(FileLandmarkSettings(path=path), Context(68))


@pytest.mark.parametrize("count", [5, 66])
def test_the_aligner_takes_the_points(tmp_path: Path, count: int) -> None:
    points = face(200, 150, 120, count)
    detector = made(written(tmp_path / "p.json", points))
    aligned = FaceAligner(AlignerSettings(framing="ffhq"), lambda: detector).align(photo("a.jpg"), 64)
    assert aligned.faces == 1
    eyes = apply(invert(aligned.to_source), face(200, 150, 120, 5)[:2])
    np.testing.assert_allclose(eyes[:, 1], 32 - 64 * 0.1 / 4.0, atol=1e-6)  # eyes and mouth are 60 apart
    np.testing.assert_allclose(eyes.mean(axis=0)[0], 32, atol=1e-6)


def test_the_aligner_goes_on_to_the_cascades_where_there_are_no_points(tmp_path: Path) -> None:
    pytest.importorskip("cv2")
    path = written(tmp_path / "p.json", face(200, 150, 120))
    detector = made(path, photo="a.jpg")
    for points, message in (("auto", "no face was found"), ("landmarks", "no face was found")):
        with pytest.raises(InputError, match=message):
            FaceAligner(AlignerSettings(points=points), lambda: detector).align(photo("b.jpg"), 64)
    with pytest.raises(ConfigError, match=r"aligner.points=landmarks needs"):
        FaceAligner(AlignerSettings(points="landmarks"), Others).align(photo("b.jpg"), 64)
    with pytest.raises(ConfigError, match=r"landmarks\.origin: 'center' is not one of its values\..*centre"):
        merge(FileLandmarkSettings, {"origin": "center"}, "landmarks")
