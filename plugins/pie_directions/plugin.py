"""Declares the linear editor and the recipe that fits it; imports no model code."""

from __future__ import annotations

from functools import partial

from pie_directions.settings import DEFAULT_WEIGHTS, LinearConfig, TrainDirectionsConfig
from pie_framework.api import Asset, Component, Kind
from pie_framework.hookspecs import hookimpl

#: Digests of the bundled weight files.
SHA256 = {
    "directions": "915b68f22cb7c84ee8ad0ffff028d7f5e236cdf3cbfd60836e336a3c8c30d63a",
}

#: The version of the plugin contract that this plugin was written for.
API = (1, 1)
component = partial(Component, api_version=API)


@hookimpl
def pie_components() -> list[Component]:
    return [
        component(
            Kind.EDITOR,
            "linear",
            "pie_directions.directions:build",
            config=LinearConfig,
            summary="InterFaceGAN: moves w along the normal of a linear attribute, without rig networks.",
            assets=(Asset("directions", DEFAULT_WEIGHTS, SHA256["directions"], "MIT"),),
        ),
        component(
            Kind.TRAINER,
            "directions",
            "pie_directions.training:run",
            config=TrainDirectionsConfig,
            summary="Fits the directions of the linear editor on the generator's own samples.",
            requires=frozenset({"generator", "encoder"}),
        ),
    ]
