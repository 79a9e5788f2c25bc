"""Deep3DFaceRecon's coefficient network: the golden file, its crop, θ in the portrait's camera, and other files."""

from __future__ import annotations

import math
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from benchmarks.random_assets import random_bfm
from pie_alignment.alignment import FFHQ, FacePoints, portrait_square
from pie_facemodels.bfm import BfmFaceModel
from pie_facemodels.bfm_file import read_bfm
from pie_facemodels.bfm_settings import BfmSettings
from pie_facemodels.conventions import DEEP3D_WINDOW
from pie_facemodels.procedural.model import ProceduralFaceModel
from pie_framework.api import BuildContext
from pie_framework.errors import AssetError, ComponentError, ConfigError, InputError
from pie_framework.settings import merge
from pie_framework.testing.conformance import FaceEncoderTests
from pie_mofa.deep3d.component import Deep3DEncoder, build
from pie_mofa.deep3d.convert import convert
from pie_mofa.deep3d.crop import INPUT_SIZE, STANDARD_POINTS, five_points, resample, windows
from pie_mofa.deep3d.network import NETWORK_KEY, CoefficientNetwork, load_network
from pie_mofa.deep3d.settings import Deep3DConfig
from pie_weights.untrusted import sniff

GOLDEN = Path(__file__).parents[2] / "golden" / "deep3d" / "recon_net.npz"


def golden_state(like: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights by the rule that the golden file was made with."""
    state = {}
    for name, tensor in like.items():
        rng = torch.Generator().manual_seed(zlib.crc32(name.encode()))
        if name.endswith("num_batches_tracked"):
            state[name] = tensor
            continue
        drawn = torch.randn(tensor.shape, generator=rng)
        if name.endswith("running_var"):
            state[name] = 1.0 + 0.1 * drawn.abs()
        elif name.endswith(("running_mean", "bias")):
            state[name] = 0.1 * drawn
        elif tensor.dim() == 1:
            state[name] = 1.0 + 0.1 * drawn
        else:
            state[name] = drawn * math.sqrt(2.0 / tensor[0].numel())
    return state


@pytest.fixture(scope="module")
def state() -> dict[str, Tensor]:
    return golden_state(CoefficientNetwork().state_dict())


@pytest.fixture(scope="module")
def checkpoint(state: dict[str, Tensor], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("deep3d") / "epoch_20.pth"
    torch.save(
        {NETWORK_KEY: state, "opt_00": {"state": {}, "param_groups": []}, "sched_00": {"last_epoch": 20}},
        path,
    )
    return path


@pytest.fixture(scope="module")
def face_model(tmp_path_factory: pytest.TempPathFactory) -> BfmFaceModel:
    pytest.importorskip("scipy")
    path = tmp_path_factory.mktemp("bfm") / "model.npz"
    np.savez(path, **random_bfm(800))
    return BfmFaceModel(read_bfm(path))


# ---- the network -----------------------------------------------------------------------------------------------


def test_names_and_shapes_are_the_checkpoint_s() -> None:
    with np.load(GOLDEN) as golden:
        listed = golden["keys"].tolist()
    ours = [f"{name}|{tuple(value.shape)}" for name, value in CoefficientNetwork().state_dict().items()]
    assert ours == listed


@pytest.mark.parametrize("frozen", [False, True])
def test_golden(checkpoint: Path, frozen: bool) -> None:
    network = load_network(checkpoint).eval()
    if frozen:
        network.freeze()
    with np.load(GOLDEN) as golden:
        expected = torch.from_numpy(golden["coeffs"])
    with torch.no_grad():
        found = network(torch.rand(2, 3, 224, 224, generator=torch.Generator().manual_seed(11)))
    assert float((found - expected).abs().max() / expected.abs().max()) < 1e-5


def test_other_block_sizes(tmp_path: Path) -> None:
    small = CoefficientNetwork(identity=3, expression=4, albedo=5)
    torch.save({NETWORK_KEY: small.state_dict()}, tmp_path / "small.pth")
    assert load_network(tmp_path / "small.pth").sizes["expression"] == 4


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s.pop("backbone.layer3.2.conv2.weight"), "lacks 1 tensors"),
        (lambda s: s.update(more=torch.zeros(1)), "tensors that the network does not"),
        (lambda s: s.update({"backbone.conv1.weight": torch.zeros(64, 3, 3, 3)}), "(64, 3, 3, 3)"),
        (lambda s: s.pop("final_layers.0.weight"), "final_layers.0.weight"),
        (lambda s: s.update({"backbone.conv1.weight": 3}), "no named tensor"),
    ],
)
def test_tensors_that_do_not_fit(state: dict[str, Tensor], tmp_path: Path, change: Any, message: str) -> None:
    changed: dict[str, Any] = dict(state)
    change(changed)
    torch.save({NETWORK_KEY: changed}, tmp_path / "bad.pth")
    with pytest.raises(AssetError) as caught:
        load_network(tmp_path / "bad.pth")
    assert message in str(caught.value)


@pytest.mark.parametrize("content", [{"state_dict": {}}, [1, 2], {NETWORK_KEY: 3}, {NETWORK_KEY: {}}])
def test_other_torch_files(tmp_path: Path, content: Any) -> None:
    torch.save(content, tmp_path / "other.pth")
    with pytest.raises(AssetError, match="no Deep3DFaceRecon checkpoint"):
        load_network(tmp_path / "other.pth")


def test_no_torch_file(tmp_path: Path) -> None:
    (tmp_path / "epoch_20.pth").write_text("<html>not found</html>")
    with pytest.raises(AssetError, match=r"epoch_20\.pth"):
        load_network(tmp_path / "epoch_20.pth")


def test_counters_may_be_missing(state: dict[str, Tensor], tmp_path: Path) -> None:
    kept = {f"module.{name}": value for name, value in state.items() if "num_batches" not in name}
    torch.save({NETWORK_KEY: kept}, tmp_path / "parallel.pth")
    load_network(tmp_path / "parallel.pth")


def test_converted(checkpoint: Path, tmp_path: Path) -> None:
    """`pie convert` keeps the network alone; what it writes is read like the checkpoint."""
    conversion = convert(checkpoint, sniff(checkpoint))
    assert conversion is not None and conversion.facts["expression"] == "64 coefficients"
    conversion.write(tmp_path / "deep3d.safetensors", False)
    ours, theirs = (load_network(path).state_dict() for path in (tmp_path / "deep3d.safetensors", checkpoint))
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    torch.save({"weights": {}}, tmp_path / "other.pth")
    assert convert(tmp_path / "other.pth", "torch-zip") is None
    assert convert(tmp_path / "other.pth", "npz") is None


# ---- the crop --------------------------------------------------------------------------------------------------


def standard_in_ffhq(size: int) -> Tensor:
    """(1, 5, 2) the standard face, seen from afar, in the portrait that FFHQ's alignment makes of it."""
    points = np.array(STANDARD_POINTS)[:, :2] * np.array([100.0, -100.0]) + 300.0
    mouth = points[3:].mean(0)
    square = portrait_square(FacePoints(tuple(points[0]), tuple(points[1]), tuple(mouth)), FFHQ)
    axes = np.stack([square[1] - square[0], square[3] - square[0]], axis=1)
    return torch.from_numpy(size * np.linalg.solve(axes, (points - square[0]).T).T)[None]


def test_the_fixed_window_is_that_of_the_standard_face_in_an_ffhq_portrait() -> None:
    found = windows(standard_in_ffhq(512), 512)[0]
    torch.testing.assert_close(found, torch.tensor(DEEP3D_WINDOW, dtype=torch.float64), rtol=0, atol=1e-3)
    settings = BfmSettings()
    assert settings.window == DEEP3D_WINDOW


def test_windows_follow_the_face() -> None:
    points = standard_in_ffhq(512)
    moved = torch.cat([points, points + 51.2, 256 + 0.5 * (points - 256)])
    first, second, third = windows(moved, 512)
    torch.testing.assert_close(second - first, torch.tensor([0.1, 0.1, 0.0], dtype=torch.float64))
    torch.testing.assert_close(third[2], 0.5 * first[2])
    with pytest.raises(InputError):
        windows(torch.zeros(1, 5, 2), 512)
    with pytest.raises(InputError):
        windows(points * torch.nan, 512)


def test_five_of_66_landmarks() -> None:
    landmarks = torch.arange(66.0).repeat(2, 1).T[None]
    assert five_points(landmarks)[0, :, 0].tolist() == [37.5, 43.5, 30.0, 48.0, 54.0]
    with pytest.raises(InputError):
        five_points(landmarks[:, :60])


@pytest.mark.parametrize(
    ("size", "window"), [(300, (0.5, 0.48, 0.8)), (900, (0.45, 0.5, 0.7)), (150, (0.5, 0.5, 0.8))]
)
def test_resampling_is_pillow_s(size: int, window: tuple[float, float, float]) -> None:
    image = np.random.default_rng(0).random((size, size), dtype=np.float32)
    x, y, side = window
    box = tuple(size * value for value in (x - side / 2, y - side / 2, x + side / 2, y + side / 2))
    expected = Image.fromarray(image).resize((224, 224), Image.Resampling.BICUBIC, box=box)
    found = resample(
        torch.from_numpy(image)[None, None].double(), torch.tensor([window], dtype=torch.float64)
    )
    inner = slice(6, -6)  # Pillow renormalises its kernel at the border of the box
    difference = np.asarray(expected) - found[0, 0].numpy()
    assert np.abs(difference[inner, inner]).max() < 2e-3


def test_one_window_for_all_images_is_that_window_for_each() -> None:
    images = torch.rand(2, 3, 70, 70, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    window = (0.45, 0.55, 0.9)
    wanted = resample(images, torch.tensor([window], dtype=torch.float64))
    with torch.inference_mode():
        torch.testing.assert_close(resample(images, window), wanted)
    images.requires_grad_()
    resample(images, window).sum().backward()  # what was kept serves gradients, too
    assert images.grad is not None and torch.isfinite(images.grad).all()


def test_resampling_keeps_what_is_constant_beyond_the_border_too() -> None:
    image = torch.full((2, 3, 40, 40), 0.3, dtype=torch.float64)
    window = torch.tensor([[0.5, 0.9, 1.4], [0.1, 0.5, 0.3]], dtype=torch.float64)
    torch.testing.assert_close(
        resample(image, window), torch.full((2, 3, 224, 224), 0.3, dtype=torch.float64)
    )


def test_resampling_puts_points_where_they_belong() -> None:
    """A ramp stays a ramp: pixel (i + 0.5) of the picture shows position left + (i + 0.5) * step."""
    size, window = 512, torch.tensor([[0.52, 0.47, 0.75]], dtype=torch.float64)
    ramp = (torch.arange(size, dtype=torch.float64) + 0.5).expand(1, 1, size, size)
    found = resample(torch.cat([ramp, ramp.transpose(2, 3)], 1), window)[0]
    at = (torch.arange(INPUT_SIZE, dtype=torch.float64) + 0.5) / INPUT_SIZE - 0.5
    torch.testing.assert_close(found[0, 100], size * (0.52 + 0.75 * at), rtol=0, atol=0.03)
    torch.testing.assert_close(found[1, :, 100], size * (0.47 + 0.75 * at), rtol=0, atol=0.03)


# ---- the component ---------------------------------------------------------------------------------------------


class Detector:
    """Finds the same landmarks, in fractions of the image, whatever it is shown."""

    num_landmarks = 66

    def __init__(self, landmarks: Tensor) -> None:
        self.found = landmarks

    def detect(self, image: Tensor) -> Tensor:
        return self.found.to(image).expand(len(image), -1, -1) * image.shape[-1]


def landmarks_at(window: tuple[float, float, float], face_model: BfmFaceModel) -> Tensor:
    """66 landmarks whose five points give the window."""
    _, _, side = window
    points = torch.tensor(STANDARD_POINTS, dtype=torch.float64)[:, :2] * torch.tensor([1.0, -1.0])
    points = points * (side * 102 / 224) + torch.tensor(window[:2])
    landmarks = torch.full((1, 66, 2), 0.5, dtype=torch.float64)
    for rows, point in (((36, 39), 0), ((42, 45), 1), ((30,), 2), ((48,), 3), ((54,), 4)):
        landmarks[0, list(rows)] = points[point]
    return landmarks


class Fixed(torch.nn.Module):
    """A network that gives the same coefficients for every picture."""

    sizes = {"identity": 80, "expression": 64, "albedo": 80}  # noqa: RUF012

    def __init__(self, coefficients: Tensor) -> None:
        super().__init__()
        self.coefficients = coefficients

    def forward(self, picture: Tensor) -> Tensor:
        assert picture.shape[1:] == (3, INPUT_SIZE, INPUT_SIZE)
        return self.coefficients + 0.0 * picture.mean()


@pytest.mark.parametrize("window", [DEEP3D_WINDOW, (0.47, 0.55, 0.84), (0.53, 0.61, 0.92)])
def test_landmarks_of_theta_lie_on_the_face_in_the_portrait(
    face_model: BfmFaceModel, window: tuple[float, float, float]
) -> None:
    """Whatever the window is, what the network sees in its picture is where θ's landmarks are in the portrait."""
    rng = torch.Generator().manual_seed(5)
    coefficients = torch.randn(1, 257, generator=rng)
    coefficients[:, 224:] *= torch.tensor([0.2, 0.35, 0.15] + [0.3] * 27 + [0.05, 0.05, 0.3])
    in_picture = BfmFaceModel.landmarks(
        _with_window(face_model, (0.5, 0.5, 1.0)), face_model.from_deep3d(coefficients), INPUT_SIZE
    )
    x, y, side = window
    expected = 256 * (torch.tensor([x, y]) + side * (in_picture / INPUT_SIZE - 0.5))
    encoder = Deep3DEncoder(Fixed(coefficients), face_model, Detector(landmarks_at(window, face_model)))  # type: ignore[arg-type]
    found = face_model.landmarks(encoder.encode(torch.zeros(1, 3, 256, 256)), 256)
    assert (found - expected).norm(dim=-1).max() < 0.5
    if window == DEEP3D_WINDOW:
        plain = Deep3DEncoder(Fixed(coefficients), face_model)  # type: ignore[arg-type]
        found = face_model.landmarks(plain.encode(torch.zeros(1, 3, 256, 256)), 256)
        assert (found - expected).norm(dim=-1).max() < 1e-3


def _with_window(face_model: BfmFaceModel, window: tuple[float, float, float]) -> BfmFaceModel:
    import copy

    from pie_facemodels.conventions import deep3d_camera

    other = copy.copy(face_model)
    other.camera = deep3d_camera(window)
    return other


class Context(BuildContext):
    """A run with a face model and perhaps a detector."""

    device, dtype, blocks = torch.device("cpu"), torch.float32, ()

    def __init__(self, face_model: Any, detector: Any = None) -> None:
        self.parts = {"face_model": face_model, "landmarks": detector}

    def get(self, kind: Any, name: str | None = None) -> Any:
        if self.parts[str(kind)] is None:
            raise ComponentError(f"there is no {kind} in this run")
        return self.parts[str(kind)]

    def asset(self, uri: str) -> str:
        return uri


def test_needs_the_face_model_of_its_coefficients(checkpoint: Path) -> None:
    with pytest.raises(ConfigError, match="encoder=deep3d needs face_model=bfm"):
        build(Deep3DConfig(str(checkpoint)), Context(ProceduralFaceModel()))


@pytest.mark.parametrize("features", [None, torch.bfloat16])
def test_mixed_precision_around_it_changes_nothing(
    face_model: BfmFaceModel, features: torch.dtype | None
) -> None:
    """Rigs are trained under autocast; what the feature maps are computed in is the encoder's own setting."""
    encoder = Deep3DEncoder(CoefficientNetwork().freeze(features), face_model)
    image = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.autocast("cpu", torch.bfloat16):
        found = encoder.encode(image)
    assert torch.equal(found, encoder.encode(image))


def test_needs_the_same_block_sizes(face_model: BfmFaceModel, tmp_path: Path) -> None:
    torch.save({NETWORK_KEY: CoefficientNetwork(expression=50).state_dict()}, tmp_path / "other.pth")
    with pytest.raises(ComponentError, match="50 expression coefficients, the face model has 64"):
        build(Deep3DConfig(str(tmp_path / "other.pth")), Context(face_model))


def test_needs_weights_and_a_detector(face_model: BfmFaceModel, checkpoint: Path) -> None:
    with pytest.raises(ConfigError, match=r"encoder\.weights="):
        build(Deep3DConfig(), Context(face_model))
    with pytest.raises(ComponentError, match="no landmarks"):
        build(Deep3DConfig(str(checkpoint), crop="landmarks"), Context(face_model))


def test_settings_are_checked() -> None:
    with pytest.raises(ConfigError, match="fixed"):
        merge(Deep3DConfig, {"crop": "fixd"})
    with pytest.raises(ConfigError, match="features: 'float8' is not one of its values"):
        merge(Deep3DConfig, {"features": "float8"})


class TestDeep3DEncoder(FaceEncoderTests):
    sizes = (64, 96)
    tolerance = 1e-3

    @pytest.fixture(autouse=True)
    def _face_model(self, face_model: BfmFaceModel) -> None:
        type(self).face_model = face_model

    face_model: BfmFaceModel

    def build(self) -> Any:
        torch.manual_seed(0)
        network = CoefficientNetwork()
        for head in network.final_layers:
            torch.nn.init.normal_(head.weight, std=0.01)  # type: ignore[arg-type]
        return Deep3DEncoder(network.freeze(), self.face_model)


class TestDeep3DEncoderByLandmarks(TestDeep3DEncoder):
    def build(self) -> Any:
        plain = super().build()
        detector = Detector(landmarks_at((0.47, 0.55, 0.84), self.face_model))
        return Deep3DEncoder(plain.network, self.face_model, detector)
