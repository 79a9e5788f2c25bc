"""Declares the five energies; imports no model code."""

from __future__ import annotations

from pie_energies.settings import AnalysisConfig
from pie_framework.api import Component, Kind
from pie_framework.hookspecs import hookimpl


@hookimpl
def pie_energy_terms() -> list[Component]:
    return [
        Component(
            Kind.ENERGY,
            "synthesis",
            "pie_energies.synthesis:Synthesis",
            summary="The generated image looks like the portrait: pixels and Φ features.",
            requires=frozenset({"features.perceptual"}),
        ),
        Component(
            Kind.ENERGY,
            "identity",
            "pie_energies.identity:IdentityPreservation",
            summary="Asking the rig for what the latent already shows changes nothing.",
            requires=frozenset({"rig", "encoder"}),
        ),
        Component(
            Kind.ENERGY,
            "edit",
            "pie_energies.edit:EditProperty",
            config=AnalysisConfig,
            summary="An edit does what was asked: the block read back explains the source it came from.",
            requires=frozenset({"rig", "encoder", "face_model", "landmarks", "prior"}),
        ),
        Component(
            Kind.ENERGY,
            "invariance",
            "pie_energies.invariance:InvarianceProperty",
            config=AnalysisConfig,
            summary="An edit changes nothing else: all but the block still explains the portrait.",
            requires=frozenset({"rig", "encoder", "face_model", "landmarks", "prior"}),
        ),
        Component(
            Kind.ENERGY,
            "recognition",
            "pie_energies.recognition:Recognition",
            summary="The portrait and its edits show the same person to a recognition network.",
            requires=frozenset({"rig", "encoder", "features.recognition", "prior"}),
        ),
    ]
