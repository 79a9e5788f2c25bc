"""Declares the face encoder and the recipe that trains it; imports no model code."""

from __future__ import annotations

from functools import partial

from pie_framework.api import Asset, Component, Kind
from pie_framework.hookspecs import hookimpl
from pie_mofa.deep3d.settings import Deep3DConfig
from pie_mofa.settings import DEFAULT_WEIGHTS, JUDGE_WEIGHTS, EncoderConfig, TrainEncoderConfig

#: Digests of the bundled weight files.
SHA256 = {
    "encoder": "f4ee2514bb08ea38ac5fdbbbc4cd227e0160395a60a7afb2170b08f7ee35c485",
    "judge": "c4818044d561ee2d67257bc2c3cf7cd8d7fbecbb52a32a63e6902f09d78f76f6",
}

#: The version of the plugin contract that this plugin was written for.
API = (1, 1)
component = partial(Component, api_version=API)


@hookimpl
def pie_components() -> list[Component]:
    return [
        component(
            Kind.ENCODER,
            "mofa",
            "pie_mofa.network:build",
            config=EncoderConfig,
            summary="MoFA: a small residual network that reads θ from a portrait.",
            assets=(
                Asset("encoder", DEFAULT_WEIGHTS, SHA256["encoder"], "MIT"),
                Asset("judge", JUDGE_WEIGHTS, SHA256["judge"], "MIT"),
            ),
        ),
        component(
            Kind.ENCODER,
            "deep3d",
            "pie_mofa.deep3d.component:build",
            config=Deep3DConfig,
            summary="Deep3DFaceRecon's ResNet-50, for the face model bfm.",
            requires=frozenset({"face_model"}),
        ),
        component(
            Kind.CONVERTER,
            "deep3d",
            "pie_mofa.deep3d.convert:convert",
            summary="Deep3DFaceRecon's coefficient network.",
        ),
        component(
            Kind.TRAINER,
            "encoder",
            "pie_mofa.training:run",
            config=TrainEncoderConfig,
            summary="Trains the face encoder by analysis by synthesis, with labels if there are any.",
            requires=frozenset({"face_model"}),
        ),
    ]
