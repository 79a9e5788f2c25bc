"""Declares Φ, Ψ and their recipes; imports no model code."""

from __future__ import annotations

from pie_features.settings import (
    ArcFaceSettings,
    PerceptualSettings,
    PerceptualTraining,
    RecognitionSettings,
    RecognitionTraining,
    Vgg16Settings,
    VggFaceSettings,
)
from pie_framework.api import Asset, Component, Kind
from pie_framework.hookspecs import hookimpl

#: Digests of the bundled weight files.
SHA256 = {
    "recognition": "26825945597bb8d9999b04dda3fad8d7c6ffb3aa9741384b3f245cbdc826e484",
    "perceptual": "31a9c90d01ddd979a04a3fc4a26f762a92f4b7ec14e8cc809f5c81175af7fb7f",
}

#: The version of the plugin contract that this plugin was written for.
API = (1, 1)


@hookimpl
def pie_components() -> list[Component]:
    return [*_networks(), *_converters_and_recipes()]


def _networks() -> list[Component]:
    return [
        Component(
            Kind.FEATURES,
            "recognition",
            "pie_features.recognition:build",
            config=RecognitionSettings,
            summary="Ψ of the embedded world: who is shown, whatever the pose, expression and light.",
            assets=(Asset("Ψ weights", RecognitionSettings.weights, SHA256["recognition"], "MIT"),),
            api_version=API,
        ),
        Component(
            Kind.FEATURES,
            "perceptual",
            "pie_features.perceptual:build",
            config=PerceptualSettings,
            summary="Φ of the embedded world: features trained to label the regions of a portrait.",
            assets=(Asset("Φ weights", PerceptualSettings.weights, SHA256["perceptual"], "MIT"),),
            api_version=API,
        ),
        Component(
            Kind.FEATURES,
            "vgg16",
            "pie_features.vgg16:build",
            config=Vgg16Settings,
            summary="Φ by VGG-16 trained on ImageNet, with the heads of LPIPS if given.",
            api_version=API,
        ),
        Component(
            Kind.FEATURES,
            "vggface16",
            "pie_features.vggface16:build",
            config=VggFaceSettings,
            summary="Ψ by VGG-Face-16 (Parkhi et al. 2015).",
            api_version=API,
        ),
        Component(
            Kind.FEATURES,
            "arcface",
            "pie_features.arcface:build",
            config=ArcFaceSettings,
            summary="Ψ by ArcFace: IResNet checkpoints of insightface, of any depth.",
            api_version=API,
        ),
    ]


def _converters_and_recipes() -> list[Component]:
    return [
        Component(
            Kind.CONVERTER,
            "features",
            "pie_features.convert:convert",
            summary="VGG-16, VGG-Face-16 and ArcFace's IResNet from their public state dicts.",
            api_version=API,
        ),
        Component(
            Kind.TRAINER,
            "recognition",
            "pie_features.recognition_training:run",
            config=RecognitionTraining,
            summary="Train Ψ by margin softmax over the persons of a portrait dataset.",
            api_version=API,
        ),
        Component(
            Kind.TRAINER,
            "perceptual",
            "pie_features.perceptual_training:run",
            config=PerceptualTraining,
            summary="Train Φ to label regions, find landmarks and read θ.",
            api_version=API,
        ),
    ]
