"""Factories of the toy components, called by name from a configuration."""

from __future__ import annotations

import torch

from pie_framework.api import BuildContext, EmptyConfig, Kind, RigEditor
from pie_framework.testing import toy_scenes, toys
from pie_framework.testing.toy_plugin import ToyFeaturesConfig, ToyRigConfig


def face_model(config: EmptyConfig, context: BuildContext) -> toys.ToyFaceModel:
    model = toys.ToyFaceModel().to(context.device, context.dtype)
    model.pixels = torch.linalg.qr(model.pixels)[0]
    return model


def generator(config: EmptyConfig, context: BuildContext) -> toys.ToyGenerator:
    built = toys.ToyGenerator(context.get(Kind.FACE_MODEL)).to(context.device, context.dtype)
    built.mixing = torch.linalg.qr(built.mixing)[0]
    return built


def encoder(config: EmptyConfig, context: BuildContext) -> toys.ToyEncoder:
    return toys.ToyEncoder(context.get(Kind.FACE_MODEL))


def inverter(config: EmptyConfig, context: BuildContext) -> toys.ToyInverter:
    return toys.ToyInverter(context.get(Kind.GENERATOR))


def rig(config: ToyRigConfig, context: BuildContext) -> toys.ToyRig:
    return toys.ToyRig(context.get(Kind.GENERATOR), config.block, config.strength)


def editor(config: EmptyConfig, context: BuildContext) -> RigEditor:
    return RigEditor({block: context.get(Kind.RIG, block) for block in context.blocks})


def features(config: ToyFeaturesConfig, context: BuildContext) -> toys.ToyFeatures:
    size = context.get(Kind.FACE_MODEL).size
    return toys.ToyFeatures(size, seed=config.seed).to(context.device, context.dtype)


def landmarks(config: EmptyConfig, context: BuildContext) -> toys.ToyLandmarks:
    return toys.ToyLandmarks(context.get(Kind.FACE_MODEL))


def scenes(config: EmptyConfig, context: BuildContext) -> toy_scenes.ToyScenes:
    return toy_scenes.ToyScenes(context.get(Kind.FACE_MODEL))
