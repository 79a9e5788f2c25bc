"""Declares the rig network and the recipe that trains it; imports no model code."""

from __future__ import annotations

from functools import partial

from pie_framework.api import Asset, Component, Kind
from pie_framework.hookspecs import hookimpl
from pie_stylerig.settings import DEFAULT_WEIGHTS, RigConfig, TrainRigConfig

#: Digests of the bundled weight files.
SHA256 = {
    "rotation": "47453253f0177f5453ec33abddb7abc61eee0c522f80178868316f4dd12a0261",
    "expression": "0920adf4d8c6ffcb156b2323013802f54925ffeda8f2b4aed765b1905d608c1b",
    "illumination": "4ea6b3900a4538207c2b5e47661f93a6c5f162a0f7b95236be9c64c87752f902",
}

#: The version of the plugin contract that this plugin was written for.
API = (1, 1)
component = partial(Component, api_version=API)


@hookimpl
def pie_components() -> list[Component]:
    return [
        component(
            Kind.RIG,
            "stylerig",
            "pie_stylerig.network:build",
            config=RigConfig,
            summary="StyleRig: per-layer linear encoders and decoders that add an edit to the latent.",
            assets=tuple(
                Asset(f"rig_{block}", DEFAULT_WEIGHTS.format(block=block), digest, "MIT")
                for block, digest in SHA256.items()
            ),
        ),
        component(
            Kind.EDITOR,
            "rig",
            "pie_framework.api.editor:build",
            summary="Edits through the rig networks, one for each block.",
            requires=frozenset({"rig"}),
        ),
        component(
            Kind.TRAINER,
            "rig",
            "pie_stylerig.training:run",
            config=TrainRigConfig,
            summary="Trains rig networks on the generator's own samples, without labels; on true edits too, if given.",
            requires=frozenset({"generator", "encoder", "face_model"}),
        ),
    ]
