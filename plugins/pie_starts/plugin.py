"""Declares the starts of the optimisation; imports no torch."""

from __future__ import annotations

from functools import partial

from pie_framework.api import Component, Kind
from pie_framework.hookspecs import hookimpl
from pie_starts.settings import NearestConfig, SearchConfig

#: The version of the plugin contract that this plugin was written for.
API = (1, 1)
component = partial(Component, api_version=API)


@hookimpl
def pie_components() -> list[Component]:
    return [
        component(
            Kind.INIT,
            "mean",
            "pie_starts.simple:Mean",
            summary="The mean of the generator's prior, as in the paper.",
        ),
        component(
            Kind.INIT,
            "nearest",
            "pie_starts.search:Nearest",
            config=NearestConfig,
            summary="The latent of the prior whose image is nearest to the portrait.",
        ),
        component(
            Kind.INIT,
            "encoder_search",
            "pie_starts.search:EncoderSearch",
            config=SearchConfig,
            summary="The latent of the prior whose face and image are nearest to the portrait.",
            requires=frozenset({"encoder"}),
        ),
        component(
            Kind.INIT,
            "inverter",
            "pie_starts.simple:Inverted",
            summary="What the inverter network says of the portrait.",
            requires=frozenset({"inverter"}),
        ),
    ]
