"""Declares the embedded world and the recipe that renders its portraits; imports no model code."""

from __future__ import annotations

from functools import partial

from pie_framework.api import Component, Kind
from pie_framework.hookspecs import hookimpl
from pie_synthetic.settings import PortraitRecipe, SceneSettings

#: The version of the plugin contract that this plugin was written for.
API = (1, 1)
component = partial(Component, api_version=API)


@hookimpl
def pie_components() -> list[Component]:
    return [
        component(
            Kind.SCENES,
            "embedded",
            "pie_synthetic.source:build",
            config=SceneSettings,
            summary="Procedural portraits: face, hair, clothes, background and light, with θ known exactly.",
        ),
        component(
            Kind.TRAINER,
            "portraits",
            "pie_synthetic.recipe:run",
            config=PortraitRecipe,
            summary="Renders the portraits that the other recipes train on.",
        ),
    ]
