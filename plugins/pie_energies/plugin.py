"""Declares the five energies; imports no model code."""

from __future__ import annotations

from functools import partial

from pie_energies.settings import AnalysisConfig, DistanceConfig
from pie_framework.api import Component, Kind
from pie_framework.hookspecs import hookimpl

#: The version of the plugin contract that this plugin was written for.
API = (1, 1)
component = partial(Component, api_version=API)


@hookimpl
def pie_components() -> list[Component]:
    return [
        component(
            Kind.ENERGY,
            "synthesis",
            "pie_energies.synthesis:Synthesis",
            config=DistanceConfig,
            summary="The generated image looks like the portrait: pixels and Φ features.",
            requires=frozenset({"features.perceptual"}),
        ),
        component(
            Kind.ENERGY,
            "identity",
            "pie_energies.identity:IdentityPreservation",
            config=DistanceConfig,
            summary="Asking the rig for what the latent already shows changes nothing.",
            requires=frozenset({"rig", "encoder"}),
        ),
        component(
            Kind.ENERGY,
            "edit",
            "pie_energies.edit:EditProperty",
            config=AnalysisConfig,
            summary="An edit does what was asked: the block read back explains the source it came from.",
            requires=frozenset({"rig", "encoder", "face_model", "landmarks", "prior"}),
        ),
        component(
            Kind.ENERGY,
            "invariance",
            "pie_energies.invariance:InvarianceProperty",
            config=AnalysisConfig,
            summary="An edit changes nothing else: all but the block still explains the portrait.",
            requires=frozenset({"rig", "encoder", "face_model", "landmarks", "prior"}),
        ),
        component(
            Kind.ENERGY,
            "recognition",
            "pie_energies.recognition:Recognition",
            config=DistanceConfig,
            summary="The portrait and its edits show the same person to a recognition network.",
            requires=frozenset({"rig", "encoder", "features.recognition", "prior"}),
        ),
    ]
