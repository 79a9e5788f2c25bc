"""The public contract between the core and its plugins. Importing it imports no torch."""

from __future__ import annotations

from pie_framework.api.abilities import (
    HasExpressionAliases,
    HasExpressionDirections,
    HasLatentShape,
    HasRanges,
    MadeForGenerator,
    Mirrors,
)
from pie_framework.api.analysis import analysis_losses, landmark_loss, photometric_loss
from pie_framework.api.asset_path import AssetPath, asset_settings
from pie_framework.api.component import (
    API_VERSION,
    MISSING,
    Asset,
    BuildContext,
    Command,
    Component,
    EmptyConfig,
)
from pie_framework.api.converting import Conversion, Converter
from pie_framework.api.editor import RigEditor
from pie_framework.api.kinds import Kind, Slot
from pie_framework.api.layout import EDITABLE_BLOCKS, Block, Layout
from pie_framework.api.models import (
    Aligner,
    Editor,
    FaceEncoder,
    FaceModel,
    FeatureNetwork,
    Generator,
    Inverter,
    LandmarkDetector,
    PhotoLandmarks,
    RecognitionNetwork,
    RigNetwork,
)
from pie_framework.api.networks import Networks
from pie_framework.api.records import AlignedPortrait, Mesh, Rendering
from pie_framework.api.scenes import KnownPortraits, Scenes
from pie_framework.api.solving import EnergyTerm, Initializer, Optimizer
from pie_framework.api.view import EditedView, ImageView, LatentView, PriorDraw, TargetView

__all__ = [
    "API_VERSION",
    "EDITABLE_BLOCKS",
    "MISSING",
    "AlignedPortrait",
    "Aligner",
    "Asset",
    "AssetPath",
    "Block",
    "BuildContext",
    "Command",
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
    "HasExpressionAliases",
    "HasExpressionDirections",
    "HasLatentShape",
    "HasRanges",
    "ImageView",
    "Initializer",
    "Inverter",
    "Kind",
    "KnownPortraits",
    "LandmarkDetector",
    "LatentView",
    "Layout",
    "MadeForGenerator",
    "Mesh",
    "Mirrors",
    "Networks",
    "Optimizer",
    "PhotoLandmarks",
    "PriorDraw",
    "RecognitionNetwork",
    "Rendering",
    "RigEditor",
    "RigNetwork",
    "Scenes",
    "Slot",
    "TargetView",
    "analysis_losses",
    "asset_settings",
    "landmark_loss",
    "photometric_loss",
]
