"""Declares the starts of the optimisation; imports no torch."""

from __future__ import annotations

from pie_framework.api import Component, Kind
from pie_framework.hookspecs import hookimpl
from pie_starts.settings import NearestConfig, SearchConfig

#: The version of the plugin contract that this plugin was written for.
API = (1, 1)


@hookimpl
def pie_components() -> list[Component]:
    return [
        Component(
            Kind.INIT,
            "mean",
            "pie_starts.simple:Mean",
            summary="The mean of the generator's prior, as in the paper.",
            api_version=API,
        ),
        Component(
            Kind.INIT,
            "nearest",
            "pie_starts.search:Nearest",
            config=NearestConfig,
            summary="The latent of the prior whose image is nearest to the portrait.",
            api_version=API,
        ),
        Component(
            Kind.INIT,
            "encoder_search",
            "pie_starts.search:EncoderSearch",
            config=SearchConfig,
            summary="The latent of the prior whose face and image are nearest to the portrait.",
            requires=frozenset({"encoder"}),
            api_version=API,
        ),
        Component(
            Kind.INIT,
            "inverter",
            "pie_starts.simple:Inverted",
            summary="What the inverter network says of the portrait.",
            requires=frozenset({"inverter"}),
            api_version=API,
        ),
    ]
