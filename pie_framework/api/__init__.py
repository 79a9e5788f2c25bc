"""The public contract between the core and its plugins. Importing it imports no torch."""

from __future__ import annotations

from pie_framework.api.analysis import analysis_losses, landmark_loss, photometric_loss
from pie_framework.api.component import API_VERSION, Asset, BuildContext, Component, EmptyConfig, Kind
from pie_framework.api.contracts import (
    Aligner,
    Editor,
    EnergyTerm,
    FaceEncoder,
    FaceModel,
    FeatureNetwork,
    Generator,
    Inverter,
    KnownPortraits,
    LandmarkDetector,
    PhotoLandmarks,
    RecognitionNetwork,
    RigNetwork,
    Scenes,
)
from pie_framework.api.converting import Conversion, Converter
from pie_framework.api.editor import RigEditor
from pie_framework.api.layout import EDITABLE_BLOCKS, Block, Layout
from pie_framework.api.records import AlignedPortrait, Mesh, Rendering
from pie_framework.api.view import EditedView, ImageView, LatentView, Networks, PriorDraw, TargetView

__all__ = [
    "API_VERSION",
    "EDITABLE_BLOCKS",
    "AlignedPortrait",
    "Aligner",
    "Asset",
    "Block",
    "BuildContext",
    "Component",
    "Conversion",
    "Converter",
    "EditedView",
    "Editor",
    "EmptyConfig",
    "EnergyTerm",
    "FaceEncoder",
    "FaceModel",
    "FeatureNetwork",
    "Generator",
    "ImageView",
    "Inverter",
    "Kind",
    "KnownPortraits",
    "LandmarkDetector",
    "LatentView",
    "Layout",
    "Mesh",
    "Networks",
    "PhotoLandmarks",
    "PriorDraw",
    "RecognitionNetwork",
    "Rendering",
    "RigEditor",
    "RigNetwork",
    "Scenes",
    "TargetView",
    "analysis_losses",
    "landmark_loss",
    "photometric_loss",
]
