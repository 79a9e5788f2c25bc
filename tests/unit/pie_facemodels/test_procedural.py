"""The procedural face model: layout, linearity, what each expression does, symmetry, gradients."""

from __future__ import annotations

import pytest
import torch

from pie_facemodels.procedural.model import ProceduralFaceModel
from pie_facemodels.procedural.ranges import coefficient_range
from pie_framework.api import FaceModel
from pie_framework.rendering import directional_light

LEFT_LIDS, MOUTH_CORNERS = (43, 44, 46, 47), (48, 54)


@pytest.fixture(scope="module")
def model() -> ProceduralFaceModel:
    return ProceduralFaceModel(torch.float64, "cpu")


def neutral(model: ProceduralFaceModel, batch: int = 1) -> torch.Tensor:
    theta = torch.zeros(batch, model.layout.size, dtype=torch.float64)
    light = directional_light(
        torch.tensor([[0.5, 0.4, 1.0]], dtype=torch.float64), intensity=0.7, ambient=0.3
    )
    theta[:, model.layout.slice("illumination")] = light
    return theta


def posed(model: ProceduralFaceModel, **expressions: float) -> torch.Tensor:
    theta = neutral(model)
    for name, value in expressions.items():
        theta[:, model.layout.index("expression", name)] = value
    return theta


def random_theta(model: ProceduralFaceModel, seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    theta = neutral(model)
    noise = torch.randn(theta.shape, generator=generator, dtype=torch.float64)
    scale = torch.zeros_like(theta)
    for block, amount in (("rotation", 0.2), ("translation", 0.05), ("identity", 0.7), ("albedo", 0.5),
                          ("expression", 0.2), ("illumination", 0.05)):  # fmt: skip
        scale[:, model.layout.slice(block)] = amount
    return theta + noise * scale


def lid_gap(points: torch.Tensor) -> torch.Tensor:
    return points[:, (46, 47), 1].mean(1) - points[:, (43, 44), 1].mean(1)


def test_layout_and_contract(model: ProceduralFaceModel) -> None:
    sizes = [(block.name, block.size) for block in model.layout.blocks]
    assert sizes == [("rotation", 3), ("translation", 3), ("identity", 80), ("albedo", 80), ("expression", 64),
                     ("illumination", 27)]  # fmt: skip
    assert model.layout.size == 257
    assert model.num_landmarks == 66
    assert isinstance(model, FaceModel)
    assert {"smile", "jaw_open", "blink_left", "gaze_horizontal"} <= set(model.layout.names("expression"))
    for block in ("identity", "albedo", "expression"):
        for name in model.layout.names(block):
            low, high = coefficient_range(block, name)
            assert low <= 0.0 < high


def test_shapes(model: ProceduralFaceModel) -> None:
    theta = neutral(model, 2)
    mesh = model.mesh(theta)
    assert mesh.vertices.shape == mesh.colours.shape
    assert mesh.faces.max() < mesh.vertices.shape[1]
    rendering = model.render(theta, 48, supersample=2)
    assert rendering.image.shape == (2, 3, 48, 48)
    assert rendering.mask.shape == (2, 1, 48, 48)
    assert rendering.landmarks.shape == (2, 66, 2)
    assert set(rendering.mask.unique().tolist()) == {0.0, 1.0}
    assert torch.isfinite(rendering.image).all()


@pytest.mark.parametrize("block", ["identity", "expression", "albedo"])
def test_linear(model: ProceduralFaceModel, block: str) -> None:
    zero, where = neutral(model), model.layout.slice(block)
    one, two = neutral(model), neutral(model)
    one[:, where] = random_theta(model, 1)[:, where]
    two[:, where] = random_theta(model, 2)[:, where]
    if block == "expression":  # one-sided controls turn into their opposite below zero
        one[:, where], two[:, where] = one[:, where].abs() + two[:, where].abs(), two[:, where].abs()
    both = zero + 2 * (one - zero) - (two - zero)
    of = model.colours if block == "albedo" else model.shape
    expected = of(zero) + 2 * (of(one) - of(zero)) - (of(two) - of(zero))
    assert torch.allclose(of(both), expected, atol=1e-10)


def test_blink_closes_the_eye(model: ProceduralFaceModel) -> None:
    open_eye = model.landmarks(posed(model), 128)
    closed = model.landmarks(posed(model, blink_left=1.0), 128)
    half = model.landmarks(posed(model, blink_left=0.5), 128)
    assert lid_gap(open_eye) > 4.0
    assert lid_gap(closed).abs() < 0.6
    assert 0.3 * lid_gap(open_eye) < lid_gap(half) < 0.7 * lid_gap(open_eye)
    other = (36, 37, 38, 39, 40, 41)
    assert torch.allclose(open_eye[:, other], closed[:, other])


def test_a_closed_lid_hides_the_eyeball(model: ProceduralFaceModel) -> None:
    from pie_framework.rendering import rasterise

    def visible(theta: torch.Tensor) -> int:
        mesh = model.mesh(theta)
        pixels, depth = model.camera.project(mesh.vertices, 256)
        seen = rasterise(pixels, depth, mesh.faces, 256).face_index.unique()
        corners = mesh.faces[seen[seen >= 0]]
        part = model.slices["eye_left"]
        return int(((corners >= part.start) & (corners < part.stop)).all(1).sum())

    assert visible(posed(model)) > 60
    assert visible(posed(model, blink_left=1.0)) == 0


def test_jaw_opens_and_smile_lifts(model: ProceduralFaceModel) -> None:
    rest = model.landmarks(posed(model), 128)[0]
    jaw = model.landmarks(posed(model, jaw_open=1.0), 128)[0]
    assert jaw[64, 1] - jaw[61, 1] > rest[64, 1] - rest[61, 1] + 8.0
    assert jaw[8, 1] > rest[8, 1] + 5.0
    smile = model.landmarks(posed(model, smile=1.0), 128)[0]
    for corner in MOUTH_CORNERS:
        assert smile[corner, 1] < rest[corner, 1] - 2.0
    assert smile[54, 0] - smile[48, 0] > rest[54, 0] - rest[48, 0] + 3.0
    frown = model.landmarks(posed(model, frown=1.0), 128)[0]
    assert all(frown[corner, 1] > rest[corner, 1] + 1.0 for corner in MOUTH_CORNERS)
    pucker = model.landmarks(posed(model, pucker=1.0), 128)[0]
    assert pucker[54, 0] - pucker[48, 0] < rest[54, 0] - rest[48, 0] - 3.0
    brow = model.landmarks(posed(model, brow_raise_left=1.0), 128)[0]
    assert brow[24, 1] < rest[24, 1] - 1.5
    assert (brow[19] - rest[19]).abs().max() < 0.2


@pytest.mark.parametrize("name", ["jaw_open", "blink_left", "funnel", "eyes_wide", "smirk_right", "grin"])
def test_one_sided_controls_turn_smoothly(model: ProceduralFaceModel, name: str) -> None:
    step = 1e-4
    points = [model.landmarks(posed(model, **{name: value}), 128) for value in (-step, 0.0, step)]
    before, after = (points[1] - points[0]) / step, (points[2] - points[1]) / step
    assert torch.allclose(before, after, atol=0.02 * float(after.abs().max()) + 1e-6)
    theta = posed(model, **{name: -0.5}).requires_grad_()
    (gradient,) = torch.autograd.grad(model.landmarks(theta, 128).square().sum(), theta)
    assert float(gradient[0, model.layout.index("expression", name)].abs()) > 0.0


def test_lips_and_lids_stay_in_order_over_the_whole_range(model: ProceduralFaceModel) -> None:
    """No control, at -1, .5 or 1, lets the lips cross or shows teeth unless it parts the lips."""
    parting = {"smile", "jaw_open", "grin", "funnel", "upper_lip_raise", "lower_lip_down", "sneer"}
    for name in model.layout.names("expression"):
        for value in (-1.0, 0.5, 1.0):
            points = model.landmarks(posed(model, **{name: value}), 128)
            assert float(lid_gap(points)) > -0.6, (name, value)
            upper, lower = points[0, (60, 61, 62), 1], points[0, (65, 64, 63), 1]
            assert float((lower - upper).min()) > -0.25, (name, value)
            if value < 0 or name not in parting:
                assert float((lower - upper).max()) < 0.9, (name, value)


def test_closed_lips_hide_the_teeth(model: ProceduralFaceModel) -> None:
    from pie_framework.rendering import rasterise

    teeth = [model.slices[name] for name in ("teeth_upper", "teeth_lower")]
    for name in (
        "jaw_open",
        "pucker",
        "lip_press",
        "stretch",
        "mouth_left",
        "jaw_right",
        "dimple",
        "jaw_forward",
    ):
        for value in (-1.0, 1.0):
            if (name, value) == ("jaw_open", 1.0):
                continue
            mesh = model.mesh(posed(model, **{name: value}))
            pixels, depth = model.camera.project(mesh.vertices, 192)
            seen = rasterise(pixels, depth, mesh.faces, 192).face_index.unique()
            corners = mesh.faces[seen[seen >= 0]]
            shown = sum(int(((corners >= p.start) & (corners < p.stop)).all(1).sum()) for p in teeth)
            assert shown == 0, (name, value)


CLEAR = (
    "jaw_left", "jaw_right", "jaw_forward", "nostril_flare", "chin_raise", "dimple", "smirk_left", "mouth_left",
    "cheek_puff",
)  # fmt: skip


@pytest.mark.parametrize("name", CLEAR)
def test_controls_move_what_they_name_visibly(model: ProceduralFaceModel, name: str) -> None:
    rest, moved = model.shape(posed(model)), model.shape(posed(model, **{name: 1.0}))
    assert float((moved - rest).norm(dim=-1).max()) > 0.05


def test_gaze_moves_the_iris_and_not_the_lids(model: ProceduralFaceModel) -> None:
    rest, turned = posed(model), posed(model, gaze_horizontal=1.0)
    pupil = model.slices["eye_left"].start
    assert model.shape(turned)[0, pupil, 0] > model.shape(rest)[0, pupil, 0] + 0.04
    assert torch.allclose(model.landmarks(rest, 128), model.landmarks(turned, 128))


def test_head_turns_as_the_conventions_say(model: ProceduralFaceModel) -> None:
    theta = neutral(model)
    rest = model.landmarks(theta, 128)[0, 30]
    theta[:, 1] = 0.3
    assert model.landmarks(theta, 128)[0, 30, 0] > rest[0] + 5.0
    theta[:, 1], theta[:, 0] = 0.0, 0.3
    assert model.landmarks(theta, 128)[0, 30, 1] > rest[1] + 5.0


def test_mirror(model: ProceduralFaceModel) -> None:
    theta = random_theta(model, 3)
    image = model.render(theta, 96)
    mirrored = model.render(model.mirror_theta(theta), 96)
    agree = (image.mask.flip(-1) == mirrored.mask).double().mean()
    assert agree > 0.995
    both = (image.mask.flip(-1) * mirrored.mask) > 0
    assert (image.image.flip(-1) - mirrored.image)[both.expand_as(image.image)].abs().mean() < 0.004
    expected = image.landmarks[..., 0].mean() + mirrored.landmarks[..., 0].mean()
    assert abs(float(expected) - 96.0) < 1e-6
    assert torch.allclose(model.mirror_theta(model.mirror_theta(theta)), theta)


def test_gradients_match_finite_differences(model: ProceduralFaceModel) -> None:
    theta = random_theta(model, 4)
    weight = torch.randn(1, 3, 24, 24, generator=torch.Generator().manual_seed(0), dtype=torch.float64)

    def landmarks(t: torch.Tensor) -> torch.Tensor:
        return model.landmarks(t, 24).square().sum()

    def image(t: torch.Tensor) -> torch.Tensor:
        rendering = model.render(t, 24)
        return (rendering.image * weight * rendering.mask).sum()

    for function, step, blocks in (
        (landmarks, 1e-5, ("rotation", "translation", "identity", "expression")),
        (image, 1e-7, ("rotation", "translation", "identity", "expression", "albedo", "illumination")),
    ):
        leaf = theta.clone().requires_grad_()
        (gradient,) = torch.autograd.grad(function(leaf), leaf)
        for block in blocks:
            direction = torch.zeros_like(theta)
            direction[:, model.layout.slice(block)] = 1.0
            with torch.no_grad():
                change = (function(theta + step * direction) - function(theta - step * direction)) / (
                    2 * step
                )
            assert torch.allclose((gradient * direction).sum(), change, rtol=1e-3, atol=1e-4), block


def test_rendering_is_deterministic(model: ProceduralFaceModel) -> None:
    theta = random_theta(model, 5)
    assert torch.equal(model.render(theta, 64).image, model.render(theta, 64).image)


def test_head_surface_follows_identity(model: ProceduralFaceModel) -> None:
    surface = model.head_surface()
    alpha = torch.zeros(2, 80, dtype=torch.float64)
    alpha[1, model.layout.block("identity").names.index("head_height")] = 1.0
    u = torch.tensor([0.0, 0.5, -0.5, 1.0], dtype=torch.float64)
    points, normals = surface.points(alpha, u, torch.full_like(u, 0.2))
    assert points.shape == normals.shape == (2, 4, 3)
    assert (points[1, :, 1] > points[0, :, 1] + 0.01).all()
    assert normals[0, 0, 2] > 0.6
    assert normals[0, 1, 0] > 0.6
    assert normals[0, 2, 0] < -0.6
    assert normals[0, 3, 2] < -0.6
    v = surface.v_of_height(torch.tensor([0.7, 0.3], dtype=torch.float64))
    found, _ = surface.points(alpha[:1], torch.zeros(2, dtype=torch.float64), v)
    assert torch.allclose(found[0, :, 1], torch.tensor([0.7, 0.3], dtype=torch.float64), atol=0.02)


def test_eye_and_tooth_colours_are_arguments(model: ProceduralFaceModel) -> None:
    theta = neutral(model)
    blue = torch.tensor([[0.2, 0.35, 0.6]], dtype=torch.float64)
    difference = (model.mesh(theta, iris=blue).colours - model.mesh(theta).colours).abs().sum(-1)[0]
    changed = torch.zeros_like(difference)
    for name in ("eye_left", "eye_right"):
        changed[model.slices[name]] = 1.0
    assert difference[changed == 0].max() == 0
    assert difference.max() > 0.1


def test_the_model_has_not_moved(model: ProceduralFaceModel) -> None:
    """Generators, encoders and rigs are trained on this very geometry: a change here needs new weights."""
    theta = torch.full((1, model.layout.size), 0.1, dtype=torch.float64)
    expected = torch.tensor(
        [[34.6522, 61.2676], [75.4901, 113.4284], [74.3228, 78.0839], [46.5516, 59.4316], [58.8744, 90.6132]],
        dtype=torch.float64,
    )
    assert torch.allclose(model.landmarks(theta, 128)[0, [0, 8, 30, 36, 48]], expected, atol=2e-4)
    assert abs(float(model.mesh(theta).colours.mean()) - 0.5179499753) < 1e-8
    assert abs(float(model.shape(theta).square().mean()) - 0.4080991430) < 1e-8
    assert abs(float(model.occlusion.mean()) - 0.96847557) < 1e-6
