"""Declares the aligners, the landmark detectors and their recipe; imports no torch and no opencv."""

from __future__ import annotations

from pie_alignment.landmark_settings import (
    FileLandmarkSettings,
    LandmarkSettings,
    LandmarkTraining,
    MediapipeSettings,
)
from pie_alignment.settings import AlignerSettings
from pie_framework.api import Asset, Component, Kind
from pie_framework.hookspecs import hookimpl

#: Digests of the bundled weight files.
SHA256 = {
    "landmarks": "63a3218334b4e61c8d103ce22fe5995011104d473646904a4d71b2adc94ddbab",
}

#: The version of the plugin contract that this plugin was written for.
API = (1, 1)


@hookimpl
def pie_components() -> list[Component]:
    return [*_aligners(), *_detectors(), *_recipes()]


def _aligners() -> list[Component]:
    return [
        Component(
            Kind.ALIGNER,
            "auto",
            "pie_alignment.aligners:build_auto",
            config=AlignerSettings,
            summary="Takes a square picture of the generator's size as it is, aligns any other by its face.",
            api_version=API,
        ),
        Component(
            Kind.ALIGNER,
            "ffhq",
            "pie_alignment.aligners:build_ffhq",
            config=AlignerSettings,
            summary="Finds the face with opencv's cascades and cuts it out upright, as FFHQ does.",
            api_version=API,
        ),
        Component(
            Kind.ALIGNER,
            "none",
            "pie_alignment.aligners:build_centre",
            summary="Looks for no face: the largest centred square, for pictures that are already cut.",
            api_version=API,
        ),
    ]


def _detectors() -> list[Component]:
    return [
        Component(
            Kind.LANDMARKS,
            "embedded",
            "pie_alignment.landmark_network:build",
            config=LandmarkSettings,
            summary="The 66 landmarks of an aligned portrait of the embedded world.",
            assets=(
                Asset("landmark detector weights", LandmarkSettings.weights, SHA256["landmarks"], "MIT"),
            ),
            api_version=API,
        ),
        Component(
            Kind.LANDMARKS,
            "mediapipe",
            "pie_alignment.landmark_mediapipe:build",
            config=MediapipeSettings,
            summary="MediaPipe's face landmarker, 478 points brought to the 66, from a model file of the user's.",
            assets=(Asset("MediaPipe face landmarker", MediapipeSettings.model, licence="Apache-2.0"),),
            api_version=API,
            packages=("mediapipe",),
        ),
        Component(
            Kind.LANDMARKS,
            "file",
            "pie_alignment.landmark_file:build",
            config=FileLandmarkSettings,
            summary="Points that the user gives for the photos; another detector looks at all other images.",
            api_version=API,
        ),
    ]


def _recipes() -> list[Component]:
    return [
        Component(
            Kind.TRAINER,
            "landmarks",
            "pie_alignment.landmark_training:run",
            config=LandmarkTraining,
            summary="Train the landmark detector on rendered portraits.",
            api_version=API,
        ),
    ]
