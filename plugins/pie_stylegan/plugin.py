"""Declares the StyleGAN generators, the inverter and the recipes that train them; imports no model code."""

from __future__ import annotations

from functools import partial

from pie_framework.api import Asset, Component, Kind
from pie_framework.hookspecs import hookimpl
from pie_stylegan.settings import (
    DEFAULT_WEIGHTS,
    GeneratorConfig,
    GeneratorTraining,
    InverterSettings,
    InverterTraining,
    StyleGAN3Settings,
)

#: Digests of the bundled weight files.
SHA256 = {
    "generator": "2fccef4e9abecaf558aeb7a3129f4e3f133143517a18f729415ea590f6d6a465",
    "inverter": "4564d28dc6af3bbd634a3150dfb2f0891121a39fdead3a747b33e8e9062f833c",
}

#: The version of the plugin contract that this plugin was written for.
API = (1, 1)
component = partial(Component, api_version=API)


@hookimpl
def pie_components() -> list[Component]:
    return [
        component(
            Kind.GENERATOR,
            "stylegan2",
            "pie_stylegan.component:build",
            config=GeneratorConfig,
            summary="StyleGAN2 in plain torch, from safetensors, a NVIDIA pickle or a rosinality checkpoint.",
            assets=(Asset("generator", DEFAULT_WEIGHTS, SHA256["generator"], "MIT"),),
        ),
        component(
            Kind.GENERATOR,
            "stylegan3",
            "pie_stylegan.component:build_stylegan3",
            config=StyleGAN3Settings,
            summary="StyleGAN3, configurations T and R, in plain torch, from safetensors or a NVIDIA pickle.",
        ),
        component(
            Kind.CONVERTER,
            "stylegan2",
            "pie_stylegan.convert:convert",
            summary="StyleGAN2 of NVIDIA's pickles and of rosinality's checkpoints.",
        ),
        component(
            Kind.CONVERTER,
            "stylegan3",
            "pie_stylegan.stylegan3_io:convert",
            summary="StyleGAN3 of NVIDIA's pickles.",
        ),
        component(
            Kind.INVERTER,
            "stylegan2",
            "pie_stylegan.component:build_inverter",
            config=InverterSettings,
            summary="A convolutional network from the portrait to W+: one w, and small offsets for each layer.",
            assets=(Asset("inverter", InverterSettings.weights, SHA256["inverter"], "MIT"),),
            requires=frozenset({"generator"}),
        ),
        component(
            Kind.TRAINER,
            "generator",
            "pie_stylegan.component:train",
            config=GeneratorTraining,
            summary="Trains a generator and its inverter as an autoencoder of portraits, then fits the mapping.",
        ),
        component(
            Kind.TRAINER,
            "inverter",
            "pie_stylegan.component:train_offsets",
            config=InverterTraining,
            summary="Trains the inverter to give each layer its own latent, with the generator frozen.",
        ),
    ]
