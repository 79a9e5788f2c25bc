"""The networks, the face model and the aligners that ship, small and untrained, satisfy the contract."""

from __future__ import annotations

from typing import Any

import torch

from pie_alignment.aligners import AutoAligner, CentreAligner, FaceAligner
from pie_alignment.landmark_network import LandmarkNetwork
from pie_alignment.settings import AlignerSettings
from pie_directions.directions import LinearEditor
from pie_facemodels.procedural.model import ProceduralFaceModel
from pie_features.perceptual import PerceptualNetwork
from pie_features.recognition import RecognitionNetwork
from pie_framework.api import EmptyConfig
from pie_framework.testing.conformance import (
    AlignerTests,
    EditorTests,
    FaceEncoderTests,
    FaceModelTests,
    FeatureNetworkTests,
    GeneratorTests,
    InitializerTests,
    LandmarkDetectorTests,
    OptimizerTests,
    RigNetworkTests,
)
from pie_framework.testing.toys import TOY_LAYOUT
from pie_mofa.network import MofaEncoder
from pie_mofa.settings import Architecture as EncoderArchitecture
from pie_optimizers.adadelta import AdaDelta
from pie_optimizers.adam import Adam
from pie_optimizers.settings import AdaDeltaConfig, AdamConfig, TorchConfig
from pie_optimizers.torch_optim import TorchOptim
from pie_starts.search import EncoderSearch, Nearest
from pie_starts.settings import NearestConfig, SearchConfig
from pie_starts.simple import Inverted, Mean
from pie_stylegan.stylegan2 import StyleGAN2, StyleGAN2Config
from pie_stylegan.stylegan3 import StyleGAN3, StyleGAN3Config
from pie_stylerig.network import RigNet
from pie_stylerig.settings import Architecture as RigArchitecture


def seeded() -> None:
    """Untrained weights are drawn from here on; the suites themselves leave the global generator alone."""
    torch.manual_seed(0)


class TestStyleGAN2(GeneratorTests):
    dtype = torch.float64

    def build(self) -> Any:
        seeded()
        config = StyleGAN2Config(resolution=16, latent_dim=12, prior_dim=12, channels=(8, 8, 8))
        return StyleGAN2(config).double().freeze()


class TestStyleGAN3(GeneratorTests):
    dtype = torch.float64

    def build(self) -> Any:
        seeded()
        widths: dict[str, object] = {"latent_dim": 12, "prior_dim": 12, "channel_base": 256, "channel_max": 8}
        return StyleGAN3(StyleGAN3Config.r(16, filtered_layers=4, **widths)).double().freeze()


class TestProceduralFaceModel(FaceModelTests):
    dtype = torch.float64

    def build(self) -> Any:
        return ProceduralFaceModel(dtype=self.dtype)


class TestMofaEncoder(FaceEncoderTests):
    sizes = (32, 48)

    def build(self) -> Any:
        seeded()
        architecture = EncoderArchitecture(input_size=32, widths=(4, 8, 8), squeeze=8, hidden=16)
        return MofaEncoder(TOY_LAYOUT, architecture).freeze()


class TestRigNet(RigNetworkTests):
    dtype = torch.float64
    num_layers = 4
    latent_dim = 10

    def build(self) -> Any:
        seeded()
        rig = RigNet(TOY_LAYOUT, "expression", 4, 10, RigArchitecture(code=4))
        torch.nn.init.normal_(rig.decoder.weight, std=0.1)  # untrained it would change nothing
        return rig.double().freeze()


class TestLinearEditor(EditorTests):
    dtype = torch.float64
    latent_dim = 60
    keeps = True
    conditional = False

    def build(self) -> Any:
        editor = LinearEditor(TOY_LAYOUT, self.latent_dim, self.conditional, main=2).double()
        editor.weight.copy_(self.randn(TOY_LAYOUT.size, self.latent_dim))
        return editor.eval()


class TestConditionalLinearEditor(TestLinearEditor):
    conditional = True


class TestRecognition(FeatureNetworkTests):
    sizes = (64, 96)

    def build(self) -> Any:
        seeded()
        return RecognitionNetwork().eval().requires_grad_(False)


class TestPerceptual(FeatureNetworkTests):
    sizes = (64, 96)

    def build(self) -> Any:
        seeded()
        return PerceptualNetwork().eval().requires_grad_(False)


class TestLandmarkNetwork(LandmarkDetectorTests):
    sizes = (64, 96)

    def build(self) -> Any:
        seeded()
        network = LandmarkNetwork(side=64, widths=(8, 16, 16, 16), folded=True)
        return network.eval().requires_grad_(False)


class TestCentreAligner(AlignerTests):
    def build(self) -> Any:
        return CentreAligner()


class TestFaceAligner(AlignerTests):
    """Without a face there is nothing to align; with one see tests/unit/pie_alignment."""

    needs_face = True

    def build(self) -> Any:
        return FaceAligner(AlignerSettings())

    test_portrait = None  # type: ignore[assignment]
    test_the_photo_stays_as_it_is_and_the_answer_too = None  # type: ignore[assignment]
    test_the_way_back_is_true = None  # type: ignore[assignment]


class TestAutoAligner(AlignerTests):
    size = 120

    def photo(self) -> Any:
        return super().photo().crop((0, 0, 120, 120))

    def build(self) -> Any:
        return AutoAligner(AlignerSettings())


class TestAdaDelta(OptimizerTests):
    lr = 10.0

    def build(self) -> Any:
        return AdaDelta(AdaDeltaConfig(), self.context)


class TestAdam(OptimizerTests):
    def build(self) -> Any:
        return Adam(AdamConfig(), self.context)


class TestTorchNAdam(OptimizerTests):
    def build(self) -> Any:
        return TorchOptim(TorchConfig("NAdam"), self.context)


class TestTorchSGD(OptimizerTests):
    def build(self) -> Any:
        return TorchOptim(TorchConfig("SGD", {"momentum": 0.9}), self.context)


class TestMeanStart(InitializerTests):
    def build(self) -> Any:
        return Mean(EmptyConfig(), self.context)


class TestNearestStart(InitializerTests):
    def build(self) -> Any:
        return Nearest(NearestConfig(16), self.context)


class TestEncoderSearchStart(InitializerTests):
    requires = frozenset({"encoder"})

    def build(self) -> Any:
        return EncoderSearch(SearchConfig(16), self.context)


class TestInvertedStart(InitializerTests):
    requires = frozenset({"inverter"})

    def build(self) -> Any:
        return Inverted(EmptyConfig(), self.context)
