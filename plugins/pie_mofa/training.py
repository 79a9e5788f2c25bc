"""The recipe that trains the face encoder: analysis by synthesis (§5), with labels where they exist.

Without a dataset it trains as published, on the generator's own samples: see `unlabelled`. For a world whose portraits
come with their coefficients: see `labelled`.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch

from pie_framework.api import BuildContext, FaceModel, Generator, LandmarkDetector
from pie_framework.errors import ConfigError
from pie_mofa.data import PortraitFolder, Portraits
from pie_mofa.labelled import LabelledRecipe
from pie_mofa.recipe import FILE, EncoderRecipe
from pie_mofa.settings import TrainEncoderConfig
from pie_mofa.unlabelled import SampleRecipe
from pie_training.engine import Engine
from pie_training.processes import start
from pie_training.recipe import TrainingFiles

Report = Callable[[str], None]


def run(config: TrainEncoderConfig, context: BuildContext) -> Path:
    """The trainer component: build what the settings need, train, return the weight file."""
    face_model: FaceModel = context.face_model()
    if not config.dataset:
        heldout = PortraitFolder(config.heldout, face_model.layout) if config.heldout else None
        generator, detector = context.generator(), context.landmarks()
        return train_encoder(
            config, face_model, None, heldout, generator, detector, context.device, context.dtype
        )
    keep = slice(None) if config.heldout else slice(0, -config.portraits_measured)
    train = PortraitFolder(config.dataset, face_model.layout, keep)
    last = slice(-config.portraits_measured, None)
    heldout = PortraitFolder(config.heldout or config.dataset, face_model.layout, last)
    return train_encoder(config, face_model, train, heldout, None, None, context.device, context.dtype)


def train_encoder(
    config: TrainEncoderConfig,
    face_model: FaceModel,
    portraits: Portraits | None,
    heldout: Portraits | None = None,
    generator: Generator | None = None,
    detector: LandmarkDetector | None = None,
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.float32,
    report: Report = print,
) -> Path:
    """Train, or go on training, an encoder.

    Args:
        config: settings; `config.output` gets `encoder.safetensors`, `curve.csv`, `state.pt` and `sheet.png`.
        face_model: the fixed decoder.
        portraits: labelled portraits; None for the generator's samples.
        heldout: labelled portraits that measure; None for none.
        generator: makes the samples.
        detector: finds their landmarks.
        device: where this process trains.
        dtype: of the weights.
        report: called with a line of progress.

    Returns:
        Path of the weight file.
    """
    accelerator = start(config, device, config.output)
    recipe: EncoderRecipe
    if portraits is not None:
        recipe = LabelledRecipe(config, face_model, portraits, heldout, accelerator, dtype)
    elif generator is None or detector is None:
        raise ConfigError(
            "training without labels needs a generator and a landmark detector", "Compose both."
        )
    else:
        shown = accelerator.on_main_process(report)
        recipe = SampleRecipe(config, face_model, generator, detector, heldout, accelerator, dtype, shown)
    Engine(recipe, config, TrainingFiles.in_folder(config.output), accelerator, report).run()
    return Path(config.output) / FILE
