"""The toy world satisfies the contract that its users rely on."""

from __future__ import annotations

from typing import Any

import torch

from pie_framework.testing.conformance import (
    FaceEncoderTests,
    FaceModelTests,
    FeatureNetworkTests,
    GeneratorTests,
    LandmarkDetectorTests,
    RigNetworkTests,
)
from pie_framework.testing.toys import toy_networks

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
