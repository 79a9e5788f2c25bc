"""What is measured: the truth is perfect, a known error gives its number, regions are apart."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from pie_bench.columns import COLUMNS
from pie_bench.measure import Judge, TruthReadings, light_error, measure, visible_normals
from pie_framework.errors import InputError
from pie_framework.images.metrics import MAX_PSNR
from pie_framework.rendering import ambient_light, directional_light
from pie_framework.testing.toy_scenes import ToyKnownPortraits, ToyScenes
from pie_framework.testing.toys import ToyEncoder, ToyFaceModel, ToyFeatures, toy_networks

ERRORS = ("yaw_error", "pitch_error", "landmark_px", "expression_px", "light_error")


def world(count: int = 3) -> tuple[ToyKnownPortraits, Judge]:
    """Portraits of the toy world and a judge that reads them exactly."""
    networks = toy_networks()
    encoder, face_model, features = networks.encoder, networks.face_model, networks.features
    assert isinstance(encoder, ToyEncoder) and isinstance(face_model, ToyFaceModel)
    recognition = features["recognition"]
    assert isinstance(recognition, ToyFeatures)
    judge = Judge(encoder, face_model, features["perceptual"], recognition)
    portraits = ToyScenes(face_model).draw(count, np.random.default_rng(0))
    return portraits, judge


def test_the_truth_against_itself_is_perfect() -> None:
    portraits, judge = world()
    found = measure(portraits.images, portraits, judge)
    assert list(found) == list(COLUMNS)
    for name, values in found.items():
        assert values.shape == (3,)
        if name.startswith("psnr"):
            assert values.tolist() == [MAX_PSNR] * 3
        elif name.startswith("ssim") or name == "identity":
            assert values.tolist() == pytest.approx([1.0] * 3, abs=1e-5), name
        else:  # degrees, pixels and shares, of float32 values of about 100 at most
            assert values.tolist() == pytest.approx([0.0] * 3, abs=1e-3), name


def test_an_edit_of_one_block_has_that_block_s_error_alone() -> None:
    portraits, judge = world()
    layout = judge.face_model.layout
    turned = portraits.theta.clone()
    turned[:, layout.index("rotation", "yaw")] += math.radians(7.0)
    made = portraits.edited(turned)
    found = measure(made.images, portraits, judge)
    torch.testing.assert_close(found["yaw_error"], torch.full((3,), 7.0), rtol=1e-3, atol=1e-3)
    assert found["pitch_error"].max() < 1e-3 and found["expression_px"].max() < 1e-3
    assert found["light_error"].max() < 1e-3
    moved = (made.landmarks - portraits.landmarks).norm(dim=-1).mean(dim=1) * 128 / judge.face_model.size  # type: ignore[attr-defined]
    torch.testing.assert_close(found["landmark_px"], moved, rtol=1e-3, atol=1e-3)

    smiling = portraits.theta.clone()
    smiling[:, layout.index("expression", "smile")] += 0.5
    found = measure(portraits.edited(smiling).images, portraits, judge)
    assert found["yaw_error"].max() < 1e-3 and found["light_error"].max() < 1e-3
    torch.testing.assert_close(found["expression_px"], found["landmark_px"], rtol=1e-3, atol=1e-3)
    assert found["expression_px"].min() > 0.1

    lit = portraits.theta.clone()
    lit[:, layout.slice("illumination")] *= 1.25
    found = measure(portraits.edited(lit).images, portraits, judge)
    torch.testing.assert_close(found["light_error"], torch.full((3,), 0.25), rtol=1e-3, atol=1e-3)
    assert found["landmark_px"].min() > 0, "the toy's landmarks depend on every coefficient"


def test_the_regions_are_apart() -> None:
    portraits, judge = world()
    made = torch.where(portraits.background.bool(), -portraits.images.sign() * 0.5, portraits.images)
    found = measure(made, portraits, judge)
    assert found["psnr_face"].tolist() == [MAX_PSNR] * 3
    assert found["psnr_background"].max() < found["psnr"].max() < 40
    assert found["ssim_background"].max() < found["ssim_face"].min()


def test_readings_of_the_truth_serve_every_method_and_nothing_is_read_twice() -> None:
    portraits, judge = world(5)
    made = portraits.images * 0.9
    whole = measure(made, portraits, judge)
    readings = TruthReadings.read(portraits, judge, batch=2)
    assert isinstance(judge.encoder, ToyEncoder) and isinstance(judge.perceptual, ToyFeatures)
    judge.encoder.calls = judge.perceptual.calls = 0
    again = measure(made, readings, judge)
    assert (judge.encoder.calls, judge.perceptual.calls) == (1, 1)
    for name, values in again.items():
        torch.testing.assert_close(values, whole[name], rtol=1e-3, atol=1e-4)
    measure(made, readings, judge, batch=2)
    assert judge.encoder.calls == 1 + 3


def test_values_outside_the_range_are_clipped() -> None:
    portraits, judge = world()
    white = torch.ones_like(portraits.images)
    first, second = (measure(picture, portraits, judge) for picture in (white, 3 * white))
    for name in COLUMNS:
        torch.testing.assert_close(first[name], second[name], rtol=1e-4, atol=1e-4)


def test_shapes_that_differ_are_named() -> None:
    portraits, judge = world()
    with pytest.raises(InputError, match="cannot be measured"):
        measure(portraits.images[:2], portraits, judge)
    with pytest.raises(InputError, match="no picture"):
        TruthReadings.read(portraits.take([]), judge)


def test_light_error_is_relative_to_the_reference() -> None:
    reference = ambient_light(torch.tensor([0.5, 1.0]))
    brighter = ambient_light(torch.tensor([0.6, 0.8]))
    torch.testing.assert_close(light_error(brighter, reference), torch.tensor([0.2, 0.2]))
    left = directional_light(torch.tensor([[-1.0, 0.0, 0.3]]))
    right = directional_light(torch.tensor([[1.0, 0.0, 0.3]]))
    assert light_error(left, left).item() == 0.0
    assert light_error(left, right).item() > 1.0


def test_normals_cover_the_visible_half_evenly() -> None:
    normals = visible_normals(2000)
    torch.testing.assert_close(normals.norm(dim=1), torch.ones(2000, dtype=torch.float64))
    assert normals[:, 2].min() > 0
    torch.testing.assert_close(
        normals.mean(dim=0), torch.tensor([0.0, 0.0, 0.5], dtype=torch.float64), atol=2e-3, rtol=0
    )
