"""ICT-FaceKit: a small folder of its layout, and the real model where it is at hand."""

from __future__ import annotations

import dataclasses
import functools
import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from pie_facemodels import files, ict
from pie_facemodels.conventions import FFHQ_CAMERA, neutral_landmarks
from pie_facemodels.morphable import MorphableModel
from pie_facemodels.procedural.template import landmark_vertices, template
from pie_facemodels.settings import IctSettings
from pie_facemodels.warp import mirrored_landmarks
from pie_framework.errors import AssetError, ConfigError
from pie_framework.rendering import directional_light
from pie_framework.settings import merge
from pie_framework.testing.suites.face_models import FaceModelTests

REAL = Path(__file__).parents[4] / "shared" / "ict-facekit"
needs_model = pytest.mark.skipif(
    not (REAL / "ict_facekit.npz").is_file(), reason="ICT-FaceKit (../shared/ict-facekit) is not here"
)
NAMES = ["jawOpen", "mouthSmile_L", "mouthSmile_R"]


def write_obj(path: Path, vertices: np.ndarray, faces: np.ndarray | None = None) -> None:
    lines = ["# made by a test", *(f"v {x:.6f} {y:.6f} {z:.6f}" for x, y, z in vertices)]
    lines += [f"f {a + 1}/1 {b + 1}/1 {c + 1}/1" for a, b, c in ([] if faces is None else faces)]
    path.write_text("\n".join(lines) + "\n")


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The procedural head in centimetres, in ICT-FaceKit's files: 3 modes, 3 blendshapes."""
    folder = tmp_path_factory.mktemp("ict") / "FaceXModel"
    folder.mkdir()
    t = template()
    neutral = 9.0 * t.vertices + np.array([0.0, 2.0, 3.0])
    write_obj(folder / ict.NEUTRAL, neutral, t.faces)
    rng = np.random.default_rng(0)
    for number in range(3):
        write_obj(folder / f"identity{number:03d}.obj", neutral * (1.0 + 0.02 * rng.normal(size=3)))
    jaw = np.where(t.y < -0.8, -1.5, 0.0)[:, None] * np.array([0.0, 1.0, 0.0])
    write_obj(folder / "jawOpen.obj", neutral + jaw)
    for name, side in (("mouthSmile_L", 1.0), ("mouthSmile_R", -1.0)):
        corner = np.exp(-(((t.x - 0.31 * side) / 0.1) ** 2 + ((t.y + 0.77) / 0.1) ** 2))[:, None]
        write_obj(folder / f"{name}.obj", neutral + corner * np.array([0.5 * side, 0.8, 0.0]))
    own = landmark_vertices().tolist()
    listed = [*own[:60], own[48], *own[60:63], own[54], *own[63:]]
    (folder / ict.INDICES).write_text(json.dumps({"expressions": NAMES, "idx_to_landmark_verts": listed}))
    return folder.parent


def context(dtype: torch.dtype = torch.float32) -> SimpleNamespace:
    return SimpleNamespace(dtype=dtype, device=torch.device("cpu"), asset=lambda uri, folder: uri)


def settings(path: Path, **changes: object) -> IctSettings:
    return IctSettings(**{"path": str(path), "identity": 3, "albedo": 25, "cache": False, **changes})  # type: ignore[arg-type]


def lit(model: MorphableModel, batch: int = 1) -> torch.Tensor:
    theta = torch.zeros(batch, model.layout.size)
    light = directional_light(torch.tensor([[0.3, 0.4, 1.0]]), intensity=0.6, ambient=0.4)
    theta[:, model.layout.slice("illumination")] = light
    return theta


def test_a_folder_of_meshes(small: Path) -> None:
    model = ict.build(settings(small), context())
    sizes = {block.name: block.size for block in model.layout.blocks}
    assert sizes == {"rotation": 3, "translation": 3, "identity": 3, "albedo": 25, "expression": 3,
                     "illumination": 27}  # fmt: skip
    assert model.layout.names("expression") == tuple(NAMES)
    assert model.layout.names("albedo")[0] == "melanin"
    assert dict(model.expression_aliases["smile"]) == {"mouthSmile_L": 1.0, "mouthSmile_R": 1.0}
    assert "pucker" not in model.expression_aliases
    theta = lit(model)
    rest = model.landmarks(theta, 100)
    expected, _ = FFHQ_CAMERA.project(torch.from_numpy(neutral_landmarks()).float()[None], 100)
    # All but the mouth: the procedural model's rest has a trace of a smile.
    torch.testing.assert_close(rest[:, :48], expected[:, :48], atol=0.5, rtol=0)
    theta[0, model.layout.index("expression", "jawOpen")] = 1.0
    assert model.landmarks(theta, 100)[0, 8, 1] > rest[0, 8, 1] + 3.0
    colours = model.mesh(theta).colours[0]
    assert colours.std(0).min() > 0.02
    assert model.render(theta, 64).mask.mean() > 0.1


def test_the_facexmodel_folder_itself_and_fewer_coefficients(small: Path) -> None:
    model = ict.build(
        settings(small / "FaceXModel", identity=1, expressions=["mouthSmile_R"], albedo=0), context()
    )
    assert [b.size for b in model.layout.blocks] == [3, 3, 1, 0, 1, 27]
    assert model.expression_aliases["smirk_right"] == {"mouthSmile_R": 1.0}


def test_the_cache_gives_the_same(small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "cache_folder", lambda: tmp_path / "cache")
    first = ict.read(small, settings(small, cache=True))
    (kept,) = (tmp_path / "cache").iterdir()
    monkeypatch.setattr(files, "read_obj", _neutral_only(files.read_obj))
    again = ict.read(small, settings(small, cache=True))
    np.testing.assert_array_equal(first.identity, again.identity)
    np.testing.assert_array_equal(first.expression, again.expression)
    kept.write_bytes(kept.read_bytes()[:500])
    monkeypatch.undo()
    monkeypatch.setattr(files, "cache_folder", lambda: tmp_path / "cache")
    np.testing.assert_array_equal(ict.read(small, settings(small, cache=True)).identity, first.identity)
    assert kept.stat().st_size > 500


def _neutral_only(read):  # type: ignore[no-untyped-def]
    def checked(path: Path, with_faces: bool):  # type: ignore[no-untyped-def]
        assert path.name == ict.NEUTRAL, "a kept mesh was read again"
        return read(path, with_faces)

    return checked


def test_an_archive(small: Path, tmp_path: Path) -> None:
    arrays = ict.read(small, settings(small))
    content = {
        "neutral": arrays.neutral,
        "triangles": arrays.triangles.astype(np.int32),
        "identity": arrays.identity.astype(np.float16),
        "expression": arrays.expression.astype(np.float16),
        "expression_names": np.array(NAMES),
    }
    path = tmp_path / "ict_facekit.npz"
    np.savez(path, **content)
    with pytest.raises(AssetError, match=ict.INDICES):
        ict.build(settings(path), context())
    (tmp_path / ict.INDICES).write_bytes((small / "FaceXModel" / ict.INDICES).read_bytes())
    for where in (path, tmp_path):
        model = ict.build(settings(where), context())
        theta = lit(model)
        other = ict.build(settings(small), context())
        torch.testing.assert_close(
            model.landmarks(theta, 100), other.landmarks(theta, 100), atol=0.05, rtol=0
        )
    np.savez(path, **{**content, "identity": arrays.identity[:, :-1]})
    with pytest.raises(AssetError, match="identity is an array"):
        ict.build(settings(path), context())
    np.savez(path, **{**content, "neutral": np.full_like(arrays.neutral, np.nan)})
    with pytest.raises(AssetError, match="not finite"):
        ict.build(settings(path), context())
    np.savez(path, **{**content, "triangles": arrays.triangles + 1})
    with pytest.raises(AssetError, match="beyond"):
        ict.build(settings(path), context())


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"identity": 4}, AssetError, "lacks 1 of ICT-FaceKit's meshes: identity003.obj"),
        ({"expressions": ["jawOpened"]}, ConfigError, "Did you mean 'jawOpen'"),
        ({"path": ""}, ConfigError, "face_model.path=FOLDER"),
    ],
)
def test_what_is_missing_is_named(
    small: Path, change: dict[str, object], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        ict.build(settings(**{"path": small, **change}), context())  # type: ignore[arg-type]


def test_wrong_folders(small: Path, tmp_path: Path) -> None:
    with pytest.raises(AssetError, match=r"vertex_indices.json.* cannot be read"):
        ict.build(settings(tmp_path), context())
    for content, message in (
        ("{", "no JSON|not JSON"),
        ("[]", "lacks the lists"),
        ('{"expressions": ["../../etc/passwd"], "idx_to_landmark_verts": []}', "no plain words"),
    ):
        (tmp_path / ict.INDICES).write_text(content)
        with pytest.raises(AssetError, match=message):
            ict.build(settings(tmp_path), context())
    with pytest.raises(ConfigError, match="identity"):
        merge(IctSettings, {"identity": -1})


def test_a_mesh_of_another_topology(small: Path, tmp_path: Path) -> None:
    for file in (small / "FaceXModel").iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    write_obj(tmp_path / "identity001.obj", np.zeros((7, 3)))
    with pytest.raises(AssetError, match=r"identity001.obj' has 7 vertices"):
        ict.build(settings(tmp_path), context())


@functools.cache
def real_model() -> MorphableModel:
    return ict.build(IctSettings(path=str(REAL)), context())


@pytest.fixture
def real() -> MorphableModel:
    return real_model()


@needs_model
class TestReal(FaceModelTests):
    def build(self) -> MorphableModel:
        return real_model()


@needs_model
def test_the_real_model(real: MorphableModel) -> None:
    sizes = {block.name: block.size for block in real.layout.blocks}
    assert (sizes["identity"], sizes["albedo"], sizes["expression"]) == (100, 80, 53)
    assert "PupilDilate_L" not in real.layout.names("expression")
    theta = lit(real)
    points = real.landmarks(theta, 100)
    expected, _ = FFHQ_CAMERA.project(torch.from_numpy(neutral_landmarks()).float()[None], 100)
    assert (points - expected).norm(dim=-1).mean() < 1.5, (
        "the neutral face is where aligned portraits have it"
    )
    assert (points - expected).norm(dim=-1).max() < 3.0
    assert 0.1 < real.render(theta, 64).mask.mean() < 0.5


@needs_model
def test_the_real_model_s_expressions(real: MorphableModel) -> None:
    rest = real.landmarks(lit(real), 100)[0]

    def posed(name: str) -> torch.Tensor:
        theta = lit(real)
        for part, amount in real.expression_aliases[name].items():
            theta[0, real.layout.index("expression", part)] = amount
        return real.landmarks(theta, 100)[0]

    assert posed("jaw_open")[8, 1] > rest[8, 1] + 4
    smile = posed("smile")
    assert smile[54, 0] - smile[48, 0] > rest[54, 0] - rest[48, 0] + 2
    assert smile[48, 1] < rest[48, 1] - 1 and smile[54, 1] < rest[54, 1] - 1
    left = posed("blink_left")  # the person's own left, on the image's right
    assert left[46, 1] - left[44, 1] < 0.3 * (rest[46, 1] - rest[44, 1])
    torch.testing.assert_close(left[36:42], rest[36:42])
    assert posed("mouth_left")[57, 0] > rest[57, 0] + 1 > posed("mouth_right")[57, 0] + 2
    assert posed("jaw_left")[8, 0] > rest[8, 0] + 0.5 > posed("jaw_right")[8, 0] + 1


@needs_model
def test_the_real_model_s_mirror_image(real: MorphableModel) -> None:
    generator = torch.Generator().manual_seed(0)
    theta = lit(real)
    theta[:, real.layout.slice("rotation")] = torch.tensor([0.1, 0.3, -0.1])
    theta[:, real.layout.slice("translation")] = torch.tensor([0.1, 0.05, -0.1])
    for block in ("identity", "albedo"):
        theta[:, real.layout.slice(block)] = 0.5 * torch.randn(
            real.layout.block(block).size, generator=generator
        )
    for name in ("eyeBlink_L", "mouthSmile_R", "jawLeft"):
        theta[0, real.layout.index("expression", name)] = 0.7
    assert real.mirror_theta is not None
    flipped = real.mirror_theta(theta)
    for name, other in (("eyeBlink_R", 0.7), ("mouthSmile_L", 0.7), ("jawRight", 0.7), ("eyeBlink_L", 0.0)):
        value = float(flipped[0, real.layout.index("expression", name)])
        assert abs(value - other) < 0.05, f"{name}={value}"
    points, mirrored = real.landmarks(theta, 256), real.landmarks(flipped, 256)
    order = torch.from_numpy(mirrored_landmarks())
    expected = points[:, order] * torch.tensor([-1.0, 1.0]) + torch.tensor([256.0, 0.0])
    # Not the inner lips' order, which the mirrored list leaves as it is; half a pixel of 256.
    assert (mirrored - expected)[:, :60].norm(dim=-1).max() < 0.75
    image, other = real.render(theta, 96), real.render(flipped, 96)
    both = image.mask * other.mask.flip(-1)
    assert both.mean() > 0.95 * image.mask.mean()
    assert (((image.image - other.image.flip(-1)) * both).abs().sum() / both.sum() / 3) < 0.02


@needs_model
def test_the_repository_s_meshes_are_the_archive_s() -> None:
    """The folder holds four of the modes and some of the blendshapes, as OBJ files."""
    names = ["jawOpen", "mouthSmile_L", "eyeBlink_L", "browInnerUp_L"]
    folder = ict.read(REAL / "FaceXModel", settings(REAL, identity=4, expressions=names))
    archive = ict.read(REAL, settings(REAL, identity=4, expressions=names))
    np.testing.assert_allclose(folder.neutral, archive.neutral, atol=1e-4)
    np.testing.assert_allclose(folder.identity, archive.identity, atol=2e-3)
    np.testing.assert_allclose(folder.expression, archive.expression, atol=4e-3)
    np.testing.assert_array_equal(np.sort(folder.triangles, 1).sum(), np.sort(archive.triangles, 1).sum())
    np.testing.assert_array_equal(folder.landmarks, archive.landmarks)


@needs_model
def test_fitted_expressions_move_the_landmarks_as_asked(real: MorphableModel) -> None:
    """The blendshapes as if they had no names: directions found by the landmarks' motion do what the names say."""
    arrays = ict.read(REAL, settings(REAL, identity=1))
    data = dataclasses.replace(ict.data_of(arrays, 0), expression_aliases={}, expression_names=())
    model = MorphableModel(data)
    directions = model.expression_directions
    assert {"smile", "jaw_open", "blink_left", "frown", "brow_raise"} <= set(directions)
    theta = torch.zeros(1, model.layout.size)
    rest = model.landmarks(theta, 100)[0]

    def posed(name: str) -> torch.Tensor:
        moved = theta.clone()
        moved[0, model.layout.slice("expression")] = torch.tensor(directions[name])
        return model.landmarks(moved, 100)[0]

    assert posed("jaw_open")[8, 1] > rest[8, 1] + 4
    smile, frown = posed("smile"), posed("frown")
    assert smile[48, 1] < rest[48, 1] - 1 and smile[54, 1] < rest[54, 1] - 1
    assert frown[48, 1] > rest[48, 1] + 1 and frown[54, 1] > rest[54, 1] + 1
    left = posed("blink_left")
    assert left[46, 1] - left[44, 1] < 0.5 * (rest[46, 1] - rest[44, 1])
    assert (left[36:42] - rest[36:42]).abs().max() < 0.5
