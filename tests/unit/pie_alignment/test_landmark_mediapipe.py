"""The adapter against a module that answers as mediapipe does, and, where they are here, against the real ones."""

from __future__ import annotations

import io
import os
import sys
import zipfile
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from PIL import Image

from pie_alignment.aligners import FaceAligner
from pie_alignment.landmark_mediapipe import NETWORKS, MediapipeLandmarks, build, read_task
from pie_alignment.landmark_settings import MediapipeSettings
from pie_alignment.point_sets import MESH_OF_66, face_points, is_mirrored, to_66
from pie_alignment.settings import AlignerSettings
from pie_facemodels.procedural.model import ProceduralFaceModel
from pie_framework.api import BuildContext, PhotoLandmarks, TargetView
from pie_framework.errors import AssetError, ComponentError, ConfigError, InputError
from pie_framework.images.photo import read_photo
from pie_framework.optimisation.prior import describe
from pie_framework.settings import merge
from pie_framework.testing.conformance import LandmarkDetectorTests
from pie_framework.testing.toys import toy_networks

PORTRAITS = Path(__file__).parents[4] / "shared" / "portraits"
MODEL = os.environ.get("PIE_FACE_LANDMARKER", "")

#: x and y of MediaPipe's canonical face (centimetres, y up) at the vertices that make the 66, image left and middle.
CANONICAL = {
    **{127: (-7.74, 2.36), 234: (-7.66, 0.67), 93: (-7.54, -1.05), 132: (-7.27, -2.89), 58: (-6.72, -4.79)},
    **{172: (-5.94, -6.22), 136: (-5.09, -7.18), 150: (-4.07, -7.99), 176: (-2.31, -8.97), 152: (0, -9.40)},
    **{70: (-5.72, 4.25), 63: (-4.99, 4.80), 105: (-3.99, 5.11), 66: (-2.76, 5.10), 107: (-1.40, 5.01)},
    **{168: (0, 3.27), 6: (0, 2.47), 197: (0, 1.73), 195: (0, 1.06), 5: (0, 0.37), 4: (0, -0.46)},
    **{98: (-1.41, -1.71), 97: (-0.60, -2.01), 2: (0, -2.09)},
    **{33: (-4.45, 2.66), 160: (-3.67, 2.93), 158: (-2.72, 2.96), 133: (-1.86, 2.59)},
    **{153: (-2.72, 2.32), 144: (-3.67, 2.36)},
    **{61: (-2.46, -4.34), 39: (-1.43, -3.50), 37: (-0.71, -3.33), 0: (0, -3.41), 17: (0, -5.37)},
    **{84: (-0.70, -5.29), 91: (-1.84, -4.83), 82: (-0.53, -3.99), 13: (0, -3.99), 14: (0, -4.54)},
    87: (-0.58, -4.52),
}
#: The vertex that mirrors each of them.
MIRRORED = {
    **{127: 356, 234: 454, 93: 323, 132: 361, 58: 288, 172: 397, 136: 365, 150: 379, 176: 400},
    **{70: 300, 63: 293, 105: 334, 66: 296, 107: 336, 98: 327, 97: 326},
    **{33: 263, 160: 387, 158: 385, 133: 362, 153: 380, 144: 373},
    **{61: 291, 39: 269, 37: 267, 84: 314, 91: 321, 82: 312, 87: 317},
}


def canonical() -> np.ndarray[Any, np.dtype[np.float64]]:
    """(478, 2) with the known vertices, y down, about 1 wide; all others far away."""
    points = np.full((478, 2), 1e3)
    for vertex, (x, y) in CANONICAL.items():
        points[vertex] = x, -y
        if vertex in MIRRORED:
            points[MIRRORED[vertex]] = -x, -y
    return points / 16.0


#: Of the 66, the one that mirrors each.
FLIP = [
    *range(16, -1, -1),
    *range(26, 16, -1),
    *(27, 28, 29, 30, 35, 34, 33, 32, 31),
    *(45, 44, 43, 42, 47, 46, 39, 38, 37, 36, 41, 40),
    *(54, 53, 52, 51, 50, 49, 48, 59, 58, 57, 56, 55),
    *(62, 61, 60, 65, 64, 63),
]


def test_the_table_mirrors_and_each_point_is_where_ours_is() -> None:
    """MediaPipe's mean face at the table's vertices lies on the procedural model's landmarks."""
    assert sum(len(vertices) for vertices in MESH_OF_66) == len({v for vs in MESH_OF_66 for v in vs}) + 2
    theirs = to_66(canonical())
    np.testing.assert_allclose(theirs[FLIP] * [-1, 1], theirs, atol=1e-12)
    model = ProceduralFaceModel()
    ours = model.landmarks(torch.zeros(1, model.layout.size), 128)[0].double().numpy()
    # least squares over scale and place
    a, b = theirs - theirs.mean(0), ours - ours.mean(0)
    scale = (a * b).sum() / (a * a).sum()
    between_eyes = np.linalg.norm(ours[36:42].mean(0) - ours[42:48].mean(0))
    error = np.linalg.norm(scale * a - b, axis=1) / between_eyes
    assert error.mean() < 0.12
    assert error.max() < 0.35
    for part in (slice(0, 17), slice(17, 27), slice(48, 55)):  # along a row, x only grows
        assert (np.diff(theirs[part, 0]) >= 0).all()
    assert not is_mirrored(theirs)
    assert is_mirrored(theirs * [-1, 1])


# ---- a module that answers as mediapipe does -------------------------------------------------------------------


@dataclass
class Options:
    """FaceLandmarkerOptions, with the names and defaults of mediapipe 0.10 and 1.2."""

    base_options: Any
    running_mode: str = "IMAGE"
    num_faces: int = 1
    min_face_detection_confidence: float = 0.5
    min_face_presence_confidence: float = 0.5
    min_tracking_confidence: float = 0.5
    output_face_blendshapes: bool = False
    output_facial_transformation_matrixes: bool = False
    result_callback: Any = None


@dataclass
class BaseOptions:
    model_asset_path: str | None = None
    model_asset_buffer: bytes | None = None
    delegate: Any = None


class FakeImage:
    def __init__(self, image_format: int, data: Any) -> None:
        assert image_format == 1
        assert data.dtype == np.uint8 and data.ndim == 3 and data.shape[2] == 3
        assert data.flags["C_CONTIGUOUS"]
        self.data = data


class FakeLandmarker:
    """Sees a face in every patch whose red is above 200: the canonical face, as large as the patch."""

    made: ClassVar[list[Options]] = []

    def __init__(self, options: Options) -> None:
        self.options = options

    @classmethod
    def create_from_options(cls, options: Options) -> FakeLandmarker:
        content = options.base_options.model_asset_buffer
        if b"usable" not in content:
            raise RuntimeError("Unable to initialize runfiles")
        cls.made.append(options)
        return cls(options)

    def detect(self, image: FakeImage) -> SimpleNamespace:
        import scipy.ndimage

        height, width = image.data.shape[:2]
        marked, _ = scipy.ndimage.label(image.data[..., 0] > 200)
        faces = []
        for rows, columns in scipy.ndimage.find_objects(marked)[: self.options.num_faces]:
            low = np.array([columns.start, rows.start], dtype=float)
            high = np.array([columns.stop, rows.stop], dtype=float)
            points = ((low + high) / 2 + canonical() * (high - low)) / [width, height]
            faces.append([SimpleNamespace(x=float(x), y=float(y), z=0.0) for x, y in points])
        return SimpleNamespace(face_landmarks=faces, face_blendshapes=[], facial_transformation_matrixes=[])


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> type[FakeLandmarker]:
    module = ModuleType("mediapipe")
    vision = SimpleNamespace(
        FaceLandmarker=FakeLandmarker,
        FaceLandmarkerOptions=Options,
        RunningMode=SimpleNamespace(IMAGE="IMAGE"),
    )
    module.__dict__.update(
        Image=FakeImage,
        ImageFormat=SimpleNamespace(SRGB=1),
        tasks=SimpleNamespace(BaseOptions=BaseOptions, vision=vision),
        __version__="0.0.fake",
    )
    monkeypatch.setitem(sys.modules, "mediapipe", module)
    monkeypatch.setattr(FakeLandmarker, "made", [])
    return FakeLandmarker


def task(names: tuple[str, ...] = NETWORKS, content: bytes = b"usable") -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name in names:
            archive.writestr(name, content)
    return stream.getvalue()


class Context(BuildContext):
    """The part of a build context that the factory uses."""

    device = torch.device("cpu")
    dtype = torch.float32
    blocks = ()

    def asset(self, uri: str) -> str:
        return uri

    def get(self, kind: Any, name: str | None = None) -> Any:
        assert kind == "face_model"
        return ProceduralFaceModel()

    def chosen(self, kind: Any) -> str | None:
        return None


def portrait(low: tuple[int, int], high: tuple[int, int], size: int = 128) -> torch.Tensor:
    image = torch.full((3, size, size), -1.0)
    image[:, low[1] : high[1], low[0] : high[0]] = 0.9
    return image


def test_landmarks_in_the_images_pixels(fake: type[FakeLandmarker], tmp_path: Path) -> None:
    (tmp_path / "m.bin").write_bytes(task())
    detector = build(MediapipeSettings(model=str(tmp_path / "m.bin"), confidence=0.3), Context())
    assert isinstance(detector, PhotoLandmarks)
    options = fake.made[0]
    assert (options.num_faces, options.min_face_detection_confidence, options.running_mode) == (
        1,
        0.3,
        "IMAGE",
    )
    images = torch.stack([portrait((20, 30), (100, 110)), portrait((40, 40), (90, 120))]).requires_grad_()
    for dtype in (torch.float32, torch.float64):
        found = detector.detect(images.to(dtype))
        assert (found.shape, found.dtype, found.requires_grad) == ((2, 66, 2), dtype, False)
        for row, (low, high) in enumerate((((20, 30), (100, 110)), ((40, 40), (90, 120)))):
            low_, high_ = np.array(low, float), np.array(high, float)
            wanted = (low_ + high_) / 2 + to_66(canonical()) * (high_ - low_)
            assert np.abs(found[row].numpy() - wanted).max() < 0.6  # the patch's edge, enlarged to 256 pixels


def test_an_image_without_a_face(fake: type[FakeLandmarker], tmp_path: Path) -> None:
    path = tmp_path / "face_landmarker.task"
    path.write_bytes(task())
    images = torch.stack([portrait((20, 30), (100, 110)), torch.zeros(3, 128, 128)])
    with pytest.raises(InputError, match=r"no face in image 2.*landmarks.missing=neutral"):
        build(MediapipeSettings(str(path)), Context()).detect(images)
    found = build(MediapipeSettings(str(path), missing="neutral"), Context()).detect(images)
    model = ProceduralFaceModel()
    neutral = model.landmarks(torch.zeros(1, model.layout.size), 128)
    torch.testing.assert_close(found[1:], neutral, atol=1e-3, rtol=1e-4)


def test_faces_of_a_photo_the_largest_first_and_alignment_by_them(fake: type[FakeLandmarker]) -> None:
    pixels = np.zeros((300, 500, 3), np.uint8)
    pixels[40:100, 30:90] = 255
    pixels[60:260, 200:400] = 255
    photo = Image.fromarray(pixels)
    detector = MediapipeLandmarks(task(), MediapipeSettings())
    faces = detector.faces(photo)
    assert len(faces) == 2
    np.testing.assert_allclose(faces[0], np.array([300, 160]) + 200 * to_66(canonical()), atol=1e-6)
    assert detector.given(photo) is None
    for face, x in ((0, 300.0), (1, 60.0)):
        aligned = FaceAligner(AlignerSettings(face=face, framing="ffhq"), lambda: detector).align(photo, 64)
        assert aligned.faces == 2
        a, b, c, *_ = aligned.to_source
        assert a * 32 + b * 32 + c == pytest.approx(x, abs=3)


def test_the_portrait_and_the_images_of_the_prior(fake: type[FakeLandmarker]) -> None:
    """Where a run asks for landmarks: I, and I_v when the pool is made."""
    neutral = np.linspace(0, 1, 132).reshape(66, 2)
    networks = replace(
        toy_networks(), landmarks=MediapipeLandmarks(task(), MediapipeSettings(missing="neutral"), neutral)
    )
    generator = networks.generator
    pool = describe(networks, generator.sample(3, torch.Generator().manual_seed(0)))
    assert pool.landmarks.shape == (3, 66, 2)
    target = TargetView(networks, torch.stack([portrait((20, 30), (100, 110))]))
    wanted = np.array([60, 70]) + 80 * to_66(canonical())
    assert np.abs(target.landmarks[0].numpy() - wanted).max() < 0.6


def test_without_mediapipe_the_message_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "mediapipe", None)
    with pytest.raises(ComponentError, match=r'pip install "pie-framework\[mediapipe\]"'):
        MediapipeLandmarks(task(), MediapipeSettings())
    monkeypatch.setitem(sys.modules, "mediapipe", ModuleType("mediapipe"))
    with pytest.raises(ComponentError, match="has no FaceLandmarker"):
        MediapipeLandmarks(task(), MediapipeSettings())


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "no task file"),
        (b"\x1c\x00\x00\x00TFL3" + bytes(100), "no task file.*a zip archive"),
        (task()[:-30], "cut short or damaged"),
        (task(("hand_detector.tflite", "hand_landmarks_detector.tflite")), "holds hand_detector.tflite"),
        (task(()), "holds nothing"),
        (task(tuple(f"{i}.tflite" for i in range(100)) + NETWORKS), "no face landmarker"),
        (task(content=b"other"), "mediapipe cannot use.*Unable to initialize"),
    ],
)
def test_files_that_are_no_face_landmarker(
    fake: type[FakeLandmarker], tmp_path: Path, data: bytes, message: str
) -> None:
    path = tmp_path / "face_landmarker.task"
    path.write_bytes(data)
    with pytest.raises(AssetError, match=message):
        build(MediapipeSettings(str(path)), Context())


def test_a_declared_size_without_end_is_refused(tmp_path: Path) -> None:
    data = bytearray(task())
    place = data.index(b"PK\x01\x02") + 24  # the directory's uncompressed size
    data[place : place + 4] = b"\xff\xff\xff\x7f"
    (tmp_path / "a.task").write_bytes(data)
    with pytest.raises(AssetError, match="declares 2,147,483,647 bytes"):
        read_task(tmp_path / "a.task")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"model": ""}, r"landmarks.model is not given.*face_landmarker.task"),
        ({"missing": "neutrall"}, "Did you mean 'neutral'"),
        ({"confidence": 1.5}, r"landmarks.confidence: 1.5 is too large"),
    ],
)
def test_settings_are_checked(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        build(merge(MediapipeSettings, values, "landmarks"), Context())


class TestConformance(LandmarkDetectorTests):
    sizes = (64, 96)

    @pytest.fixture(autouse=True)
    def _fake(self, fake: type[FakeLandmarker]) -> None:
        """Before the component is built."""

    def build(self) -> Any:
        neutral = np.linspace(0, 1, 132).reshape(66, 2)
        return MediapipeLandmarks(task(), MediapipeSettings(missing="neutral"), neutral)


# ---- the real package ------------------------------------------------------------------------------------------


def test_the_real_package_refuses_a_model_without_networks() -> None:
    pytest.importorskip("mediapipe", reason="mediapipe is not installed")
    with pytest.raises(AssetError, match="mediapipe cannot use"):
        MediapipeLandmarks(task(content=b"usable"), MediapipeSettings())


@pytest.mark.skipif(not MODEL, reason="PIE_FACE_LANDMARKER does not name a face_landmarker.task")
def test_the_real_model_finds_the_faces_of_the_test_photos() -> None:
    pytest.importorskip("mediapipe", reason="mediapipe is not installed")
    if not PORTRAITS.is_dir():
        pytest.skip("the test photos (../shared/portraits) are not here")
    detector = MediapipeLandmarks(read_task(Path(MODEL)), MediapipeSettings(MODEL))
    for path in sorted(PORTRAITS.glob("*.jpg"))[:6]:
        photo = read_photo(path)
        aligner = FaceAligner(AlignerSettings(points="landmarks", framing="ffhq"), lambda: detector)
        aligned = aligner.align(photo, 256)
        pixels = torch.from_numpy(np.array(aligned.image)).permute(2, 0, 1)[None] / 127.5 - 1
        found = detector.detect(pixels)[0].double().numpy()
        eyes = face_points(found)
        middle = (np.array(eyes.left_eye) + np.array(eyes.right_eye)) / 2 / 256
        assert np.abs(middle - [0.5, 0.47]).max() < 0.05, path.name
