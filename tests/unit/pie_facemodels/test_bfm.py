"""The Basel Face Model in Deep3DFaceRecon's layout: the golden file, our conventions, files that are something else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from benchmarks.random_assets import random_bfm
from pie_facemodels.bfm import BfmFaceModel, build
from pie_facemodels.bfm_file import ARRAYS, read_bfm
from pie_facemodels.bfm_settings import BfmSettings
from pie_facemodels.conventions import DEEP3D_WINDOW, deep3d_camera, multi_pie_66, turn_illumination
from pie_framework.api import BuildContext, Kind
from pie_framework.errors import AssetError, ConfigError
from pie_framework.plugins import discover
from pie_framework.rendering import (
    euler_to_matrix,
    mirror_illumination,
    mirror_rotation,
    shade,
)
from pie_framework.settings import merge
from pie_framework.testing.conformance import FaceModelTests

GOLDEN = Path(__file__).parents[2] / "golden" / "deep3d"
MAT = GOLDEN / "BFM_model_front.mat"


@pytest.fixture(scope="module")
def model() -> BfmFaceModel:
    return BfmFaceModel(read_bfm(MAT, "whole"), torch.float64, window=(0.5, 0.5, 1.0))


@pytest.fixture(scope="module")
def golden() -> dict[str, Tensor]:
    with np.load(GOLDEN / "face_model.npz") as found:
        return {name: torch.from_numpy(found[name]).double() for name in found.files}


@pytest.fixture(scope="module")
def theta(model: BfmFaceModel, golden: dict[str, Tensor]) -> Tensor:
    return model.from_deep3d(golden["coeffs"])


def arrays() -> dict[str, Any]:
    scipy_io = pytest.importorskip("scipy.io")
    found = scipy_io.loadmat(str(MAT))
    return {name: found[name] for name in ARRAYS}


def relative(found: Tensor, expected: Tensor) -> float:
    return float((found - expected).abs().max() / expected.abs().max())


@pytest.fixture(scope="session")
def plain_face(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A stand-in whose landmarks lie where faces have them (those of the golden file do not)."""
    pytest.importorskip("scipy")
    path = tmp_path_factory.mktemp("bfm") / "model.npz"
    np.savez(path, **random_bfm(1200))
    return path


class TestBfmFaceModel(FaceModelTests):
    dtype = torch.float64
    ambient = 1.0

    @pytest.fixture(autouse=True)
    def _file(self, plain_face: Path) -> None:
        type(self).path = plain_face

    path: Path

    def build(self) -> Any:
        return BfmFaceModel(read_bfm(self.path), self.dtype)


# ---- parity ----------------------------------------------------------------------------------------------------


def test_vertices(model: BfmFaceModel, golden: dict[str, Tensor], theta: Tensor) -> None:
    vertices = model.mesh(theta).vertices.clone()
    vertices[..., 2] = 10.0 - vertices[..., 2]  # theirs are seen from the camera
    assert relative(vertices, golden["vertices_camera"]) < 1e-6


def test_rotation(model: BfmFaceModel, golden: dict[str, Tensor], theta: Tensor) -> None:
    ours = euler_to_matrix(model.layout.get(theta, "rotation"))
    assert relative(ours.transpose(1, 2), golden["rotation"]) < 1e-6


def test_albedo(model: BfmFaceModel, golden: dict[str, Tensor], theta: Tensor) -> None:
    assert relative(model.mesh(theta).colours, golden["albedo"].clamp(0.0, 1.0)) < 1e-6


def test_landmarks(model: BfmFaceModel, golden: dict[str, Tensor], theta: Tensor) -> None:
    expected = golden["landmarks68"].clone()
    expected[..., 1] = 224.0 - expected[..., 1]  # theirs are counted upwards
    expected = torch.stack([torch.from_numpy(multi_pie_66(face.numpy()).copy()) for face in expected])
    assert relative(model.landmarks(theta, 224), expected) < 1e-5


def test_colours_through_our_shading(model: BfmFaceModel, golden: dict[str, Tensor], theta: Tensor) -> None:
    normals = model.normals(model.mesh(theta).vertices)
    colours = shade(golden["albedo"], normals, model.layout.get(theta, "illumination"))
    assert relative(colours, golden["color"]) < 1e-5


def test_the_way_back(model: BfmFaceModel, golden: dict[str, Tensor], theta: Tensor) -> None:
    torch.testing.assert_close(model.to_deep3d(theta), golden["coeffs"])


def test_an_npz_holds_the_same_model(tmp_path: Path) -> None:
    path = tmp_path / "model.bin"
    with path.open("wb") as stream:
        np.savez(stream, **arrays())
    ours, theirs = read_bfm(path), read_bfm(MAT)
    np.testing.assert_array_equal(ours.identity, theirs.identity)
    np.testing.assert_array_equal(ours.mean, theirs.mean)
    assert ours.region is not None and theirs.region is not None and len(ours.region) == 200


# ---- conventions -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("compressed", [False, True])
def test_a_matlab_file_compressed_or_not(tmp_path: Path, compressed: bool) -> None:
    scipy_io = pytest.importorskip("scipy.io")
    arrays = random_bfm(300)
    scipy_io.savemat(tmp_path / "model.mat", dict(arrays), do_compression=compressed)
    np.savez(tmp_path / "model.npz", **arrays)
    found, expected = read_bfm(tmp_path / "model.mat"), read_bfm(tmp_path / "model.npz")
    np.testing.assert_array_equal(found.faces, expected.faces)
    for name in ("mean", "identity", "expression", "albedo_mean", "albedo"):
        # MATLAB stores columns first: products of the same numbers may be summed in another order.
        np.testing.assert_allclose(getattr(found, name), getattr(expected, name), rtol=1e-5, atol=1e-6)


def test_mirror(tmp_path: Path) -> None:
    """Flipped: yaw and roll change sign, so do the shift and the light; a mirrored mesh lands where it must."""
    content = arrays()
    flip = np.tile([-1.0, 1.0, 1.0], len(content["meanshape"].reshape(-1)) // 3)
    content["meanshape"] = content["meanshape"] * flip
    for name in ("idBase", "exBase"):
        content[name] = content[name] * flip[:, None]
    for name in ("tri", "tri_mask2"):
        content[name] = content[name][:, ::-1]
    np.savez(tmp_path / "flipped.npz", **content)
    model = BfmFaceModel(read_bfm(MAT, "whole"), torch.float64)
    mirrored = BfmFaceModel(read_bfm(tmp_path / "flipped.npz", "whole"), torch.float64)
    rng = torch.Generator().manual_seed(3)
    parts = model.layout.split(0.2 * torch.randn(2, model.layout.size, generator=rng, dtype=torch.float64))
    parts["illumination"] = parts["illumination"] + 0.5
    theta = model.layout.join(parts)
    flipped = mirrored.layout.join(
        {
            **parts,
            "rotation": mirror_rotation(parts["rotation"]),
            "translation": parts["translation"] * parts["translation"].new_tensor((-1.0, 1.0, 1.0)),
            "illumination": mirror_illumination(parts["illumination"]),
        }
    )
    size = 64
    ours, theirs = model.landmarks(theta, size), mirrored.landmarks(flipped, size)
    torch.testing.assert_close(theirs[..., 0], size - ours[..., 0])
    torch.testing.assert_close(theirs[..., 1], ours[..., 1])
    first, second = model.render(theta, size), mirrored.render(flipped, size)
    both = first.mask * second.mask.flip(3)
    assert both.mean() > 0.2 and (first.mask - second.mask.flip(3)).abs().sum() <= 4
    assert ((first.image - second.image.flip(3)) * both).abs().max() < 1e-6


@pytest.mark.parametrize(("axis", "sign"), [(1, 1.0), (2, 1.0)])
def test_signs_of_their_angles_are_ours(model: BfmFaceModel, axis: int, sign: float) -> None:
    """Their second angle turns the nose to the image's right, their third the head counter-clockwise."""
    coefficients = torch.zeros(1, model.layout.size, dtype=torch.float64)
    coefficients[0, 80 + 64 + 80 + axis] = 0.3
    rotation = model.layout.get(model.from_deep3d(coefficients), "rotation")[0]
    assert rotation[axis] == pytest.approx(sign * 0.3)
    point = torch.tensor([[0.0, 0.0, 1.0]] if axis == 1 else [[1.0, 0.0, 0.0]], dtype=torch.float64)
    moved = euler_to_matrix(rotation[None])[0] @ point[0]
    assert moved[0 if axis == 1 else 1] > 0.2


def test_their_zero_light_is_ambient(model: BfmFaceModel) -> None:
    """Without coefficients their renderer shades everything with 0.8 times 0.886."""
    theta = model.from_deep3d(torch.zeros(1, model.layout.size, dtype=torch.float64))
    white = torch.ones(1, 1, 3, dtype=torch.float64)
    normal = torch.tensor([[[0.6, 0.0, 0.8]]], dtype=torch.float64)
    lit = shade(white, normal, model.layout.get(theta, "illumination"))
    torch.testing.assert_close(lit, torch.full_like(lit, 0.8 * np.sqrt(np.pi) / 2))


def test_light_turns() -> None:
    rng = torch.Generator().manual_seed(0)
    gamma = torch.randn(3, 27, generator=rng, dtype=torch.float64)
    rotation = euler_to_matrix(0.5 * torch.randn(3, 3, generator=rng, dtype=torch.float64))
    normals = torch.nn.functional.normalize(torch.randn(3, 20, 3, generator=rng, dtype=torch.float64), dim=-1)
    white = torch.ones_like(normals)
    turned = shade(white, normals @ rotation.transpose(1, 2), turn_illumination(gamma, rotation))
    torch.testing.assert_close(turned, shade(white, normals, gamma))


def test_the_camera_of_a_window() -> None:
    """The middle of the window is the principal point; 102 pixels of the window's 224 are one unit at distance 9.95."""
    x, y, side = DEEP3D_WINDOW
    camera = deep3d_camera(DEEP3D_WINDOW)
    points = torch.tensor([[[0.0, 0.0, 0.0], [1.0, 0.0, 10.0 - 1015 / 102], [0.0, 1.0, 10.0 - 1015 / 102]]])
    pixels = camera.project(points.double(), 1000)[0][0] / 1000
    torch.testing.assert_close(pixels[0], torch.tensor([x, y], dtype=torch.float64))
    step = 102 / 224 * side
    torch.testing.assert_close(pixels[1], torch.tensor([x + step, y], dtype=torch.float64))
    torch.testing.assert_close(pixels[2], torch.tensor([x, y - step], dtype=torch.float64))


# ---- per-face windows ------------------------------------------------------------------------------------------


def test_a_window_of_its_own_moves_nothing_in_the_portrait(plain_face: Path) -> None:
    """What a crop's coefficients show in the portrait is what θ shows, within half a pixel of 256."""
    model = BfmFaceModel(read_bfm(plain_face, "whole"), torch.float64)
    rng = torch.Generator().manual_seed(7)
    count, size = 40, 256
    coefficients = torch.randn(count, model.layout.size, generator=rng, dtype=torch.float64)
    coefficients[:, 224:] *= torch.tensor([0.2, 0.35, 0.15] + [0.3] * 27 + [0.05, 0.05, 0.3])
    largest = torch.tensor((0.04, 0.04, 0.06), dtype=torch.float64)
    shift = largest * (1 - 2 * torch.rand(count, 3, generator=rng, dtype=torch.float64))
    windows = torch.tensor(DEEP3D_WINDOW, dtype=torch.float64) + shift
    found = model.landmarks(model.from_deep3d(coefficients, windows), size)
    plain = model.from_deep3d(coefficients)
    world = model.place(model.surface(plain, "landmarks"), plain)
    away = []
    for index, window in enumerate(windows.tolist()):
        expected = deep3d_camera((window[0], window[1], window[2])).project(world[index : index + 1], size)[0]
        away.append((found[index] - expected[0]).norm(dim=-1).max())
    assert torch.stack(away).max() < 0.5


def test_light_moves_with_the_head(plain_face: Path) -> None:
    """A window of its own changes no colour."""
    model = BfmFaceModel(read_bfm(plain_face), torch.float64)
    rng = torch.Generator().manual_seed(1)
    coefficients = 0.2 * torch.randn(2, model.layout.size, generator=rng, dtype=torch.float64)
    windows = torch.tensor([[0.53, 0.56, 0.9], [0.45, 0.6, 0.8]], dtype=torch.float64)
    lit = []
    for theta in (model.from_deep3d(coefficients), model.from_deep3d(coefficients, windows)):
        vertices = model.place(model.surface(theta, "region"), theta)
        white = torch.ones_like(vertices)
        lit.append(shade(white, model.normals(vertices), model.layout.get(theta, "illumination")))
    torch.testing.assert_close(lit[1], lit[0])


def test_the_same_window_changes_nothing(golden: dict[str, Tensor]) -> None:
    model = BfmFaceModel(read_bfm(MAT), torch.float64)
    windows = torch.tensor([DEEP3D_WINDOW], dtype=torch.float64).expand(3, 3)
    torch.testing.assert_close(
        model.from_deep3d(golden["coeffs"], windows), model.from_deep3d(golden["coeffs"])
    )


# ---- files -----------------------------------------------------------------------------------------------------


def test_something_else(tmp_path: Path) -> None:
    other = tmp_path / "BFM_model_front.mat"
    other.write_bytes(b"hello" * 100)
    with pytest.raises(AssetError, match="neither a MATLAB file nor"):
        read_bfm(other)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("idBase", None, "lacks idBase"),
        ("idBase", np.zeros((10, 80)), "'idBase' has shape"),
        ("tri", np.full((4, 3), 401), "beyond the 400"),
        ("tri", np.zeros((4, 3)), "beyond the 400"),
        ("tri", np.ones((4, 2)), "not \\(F, 3\\)"),
        ("keypoints", np.ones((1, 5)), "5 landmarks"),
        ("keypoints", np.full((1, 68), 1.5), "no vertex numbers"),
        ("meanshape", np.ones((1, 7)), "no points"),
        ("meantex", np.ones((1, 6)), "6 numbers for 400"),
        ("meanshape", np.full((1, 1200), np.nan), "not finite"),
        ("texBase", np.full((1200, 80), np.inf), "not finite"),
        ("exBase", np.array(["a", "b"]), "not numbers"),
    ],
)
def test_arrays_that_do_not_fit(tmp_path: Path, name: str, value: Any, message: str) -> None:
    content = arrays()
    if value is None:
        del content[name]
    else:
        content[name] = value
    np.savez(tmp_path / "model.npz", **content)
    with pytest.raises(AssetError, match=message):
        read_bfm(tmp_path / "model.npz")


def test_an_npz_of_objects_is_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "model.npz", **{**arrays(), "tri": np.array([{}, {}], dtype=object)})
    with pytest.raises(AssetError, match="plain arrays"):
        read_bfm(tmp_path / "model.npz")


@pytest.mark.parametrize("share", [0.01, 0.3, 0.6, 0.99])
def test_truncated(tmp_path: Path, share: float) -> None:
    content = MAT.read_bytes()
    path = tmp_path / "cut.mat"
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(AssetError):
        read_bfm(path)


def test_component(tmp_path: Path) -> None:
    component = discover().get(Kind.FACE_MODEL, "bfm")
    assert component.config is BfmSettings

    class Context(BuildContext):
        device, dtype, blocks = torch.device("cpu"), torch.float32, ()

        def get(self, kind: Any, name: str | None = None) -> Any:
            raise AssertionError

        def asset(self, uri: str) -> str:
            return uri

    built = build(BfmSettings(path=str(MAT), window_side=0.8), Context())
    assert built.window == (0.5, 0.5897, 0.8) and built.layout.size == 257
    with pytest.raises(ConfigError, match=r"face_model\.path="):
        build(BfmSettings(), Context())
    for wrong, said in (
        ({"region": "frnt"}, "Did you mean 'front'"),
        ({"window_side": 0.01}, "window_side: 0.01 is too small"),
        ({"window_x": 2.5}, "window_x: 2.5 is too large"),
    ):
        with pytest.raises(ConfigError, match=said):
            merge(BfmSettings, wrong)
