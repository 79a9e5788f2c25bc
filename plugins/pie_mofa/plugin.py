"""Declares the face encoder and the recipe that trains it; imports no model code."""

from __future__ import annotations

from pie_framework.api import Asset, Component, Kind
from pie_framework.hookspecs import hookimpl
from pie_mofa.settings import DEFAULT_WEIGHTS, EncoderConfig, TrainEncoderConfig

#: Digests of the bundled weight files.
SHA256 = {
    "encoder": "7155b16aac9a4d2b19e46f6a7890a9d7154efc4d70561a0413be4ff7308d4de0",
}


@hookimpl
def pie_encoders() -> list[Component]:
    return [
        Component(
            Kind.ENCODER,
            "mofa",
            "pie_mofa.network:build",
            config=EncoderConfig,
            summary="MoFA: a small residual network that reads θ from a portrait.",
            assets=(Asset("encoder", DEFAULT_WEIGHTS, SHA256["encoder"], "MIT"),),
        )
    ]


@hookimpl
def pie_trainers() -> list[Component]:
    return [
        Component(
            Kind.TRAINER,
            "encoder",
            "pie_mofa.training:run",
            config=TrainEncoderConfig,
            summary="Trains the face encoder by analysis by synthesis, with labels if there are any.",
            requires=frozenset({"face_model"}),
        )
    ]
