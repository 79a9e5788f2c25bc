"""Declares the rig network and the recipe that trains it; imports no model code."""

from __future__ import annotations

from pie_framework.api import Asset, Component, Kind
from pie_framework.hookspecs import hookimpl
from pie_stylerig.settings import DEFAULT_WEIGHTS, RigConfig, TrainRigConfig

#: Digests of the bundled weight files.
SHA256 = {
    "rotation": "f55c496560d8665c375990d26fccfd216142f53d286c910fd7e8ea18bca94aa3",
    "expression": "003eb7891b67bf366a1a5411368697ceee1ead751c17bc14b74c5c57ad59fe85",
    "illumination": "0aea1ea0c4bbd9e4e736efe43a1ef9445ff4e71a657e550f50c4a32162f28993",
}


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
                Asset(f"rig_{block}", DEFAULT_WEIGHTS.format(block=block), digest, "MIT")
                for block, digest in SHA256.items()
            ),
        )
    ]


@hookimpl
def pie_editors() -> list[Component]:
    return [
        Component(
            Kind.EDITOR,
            "rig",
            "pie_framework.api.editor:build",
            summary="Edits through the rig networks, one for each block.",
            requires=frozenset({"rig"}),
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
            summary="Trains rig networks on the generator's own samples, without labels; on true edits too, if given.",
            requires=frozenset({"generator", "encoder", "face_model"}),
        )
    ]
