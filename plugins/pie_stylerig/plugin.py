"""Declares the rig network and the recipe that trains it; imports no model code."""

from __future__ import annotations

from pie_framework.api import EDITABLE_BLOCKS, Asset, Component, Kind
from pie_framework.hookspecs import hookimpl
from pie_stylerig.settings import DEFAULT_WEIGHTS, RigConfig, TrainRigConfig


@hookimpl
def pie_rigs() -> list[Component]:
    return [
        Component(
            Kind.RIG,
            "stylerig",
            "pie_stylerig.network:build",
            config=RigConfig,
            summary="StyleRig: per-layer linear encoders and decoders that add an edit to the latent.",
            assets=tuple(
                Asset(f"rig_{b}", DEFAULT_WEIGHTS.format(block=b), licence="MIT") for b in EDITABLE_BLOCKS
            ),
        )
    ]


@hookimpl
def pie_trainers() -> list[Component]:
    return [
        Component(
            Kind.TRAINER,
            "rig",
            "pie_stylerig.training:run",
            config=TrainRigConfig,
            summary="Trains rig networks on the generator's own samples, without labels.",
            requires=frozenset({"generator", "encoder", "face_model"}),
        )
    ]
