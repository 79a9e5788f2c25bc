"""The toy world satisfies the contract that its users rely on."""

from __future__ import annotations

from typing import Any

import torch

from pie_framework.testing.conformance import (
    EditorTests,
    FaceEncoderTests,
    FaceModelTests,
    FeatureNetworkTests,
    GeneratorTests,
    InverterTests,
    LandmarkDetectorTests,
    RigNetworkTests,
    ScenesTests,
)
from pie_framework.testing.toy_scenes import ToyScenes
from pie_framework.testing.toys import ToyFaceModel, toy_networks

WORLD = toy_networks(dtype=torch.float64)


class TestToyGenerator(GeneratorTests):
    dtype = torch.float64

    def build(self) -> Any:
        return WORLD.generator


class TestToyFaceModel(FaceModelTests):
    dtype = torch.float64
    size = 16

    def build(self) -> Any:
        return WORLD.face_model


class TestToyEncoder(FaceEncoderTests):
    dtype = torch.float64
    sizes = (16,)

    def build(self) -> Any:
        return WORLD.encoder


class TestToyRig(RigNetworkTests):
    dtype = torch.float64

    def build(self) -> Any:
        return WORLD.rigs["expression"]


class TestToyEditor(EditorTests):
    dtype = torch.float64

    def build(self) -> Any:
        return WORLD.editor


class TestToyInverter(InverterTests):
    dtype = torch.float64
    sizes = (16,)

    def build(self) -> Any:
        return WORLD.inverter


class TestToyFeatures(FeatureNetworkTests):
    dtype = torch.float64
    sizes = (16,)

    def build(self) -> Any:
        return WORLD.features["recognition"]


class TestToyLandmarks(LandmarkDetectorTests):
    dtype = torch.float64
    sizes = (16,)

    def build(self) -> Any:
        return WORLD.landmarks


class TestToyScenes(ScenesTests):
    dtype = torch.float64

    def build(self) -> Any:
        face_model = WORLD.need_face_model()
        assert isinstance(face_model, ToyFaceModel)
        return ToyScenes(face_model)

    def test_the_encoder_reads_the_true_coefficients(self) -> None:
        drawn = self.drawn(self.component)
        self.close(WORLD.need_encoder().encode(drawn.images), drawn.theta, "θ as the encoder reads it")
