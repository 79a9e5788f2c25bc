"""Declares the face encoder and the recipe that trains it; imports no model code."""

from __future__ import annotations

from pie_framework.api import Asset, Component, Kind
from pie_framework.hookspecs import hookimpl
from pie_mofa.settings import DEFAULT_WEIGHTS, EncoderConfig, TrainEncoderConfig


@hookimpl
def pie_encoders() -> list[Component]:
    return [
        Component(
            Kind.ENCODER,
            "mofa",
            "pie_mofa.network:build",
            config=EncoderConfig,
            summary="MoFA: a small residual network that reads θ from a portrait.",
            assets=(Asset("encoder", DEFAULT_WEIGHTS, licence="MIT"),),
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
