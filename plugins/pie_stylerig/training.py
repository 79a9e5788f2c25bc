"""The recipe that trains rig networks, one for each block (StyleRig, §4); `recipe` has what is trained."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch

from pie_framework.api import (
    BuildContext,
    FaceEncoder,
    FaceModel,
    Generator,
    Inverter,
    RecognitionNetwork,
)
from pie_stylerig.recipe import RigRecipe, rig_file
from pie_stylerig.settings import TrainRigConfig
from pie_training.engine import Engine
from pie_training.processes import start
from pie_training.recipe import TrainingFiles

Report = Callable[[str], None]


def run(config: TrainRigConfig, context: BuildContext) -> dict[str, Path]:
    """The trainer component: build what the settings need, train, return the weight files by block."""
    wanted = config.weights.recognition and context.chosen("features", "recognition") is not None
    recognition = context.features("recognition") if wanted else None
    return train_rig(
        config,
        context.generator(),
        context.encoder(),
        context.face_model(),
        recognition if isinstance(recognition, RecognitionNetwork) else None,
        context.inverter() if config.pairs else None,
        context.device,
    )


def train_rig(
    config: TrainRigConfig,
    generator: Generator,
    encoder: FaceEncoder,
    face_model: FaceModel,
    recognition: RecognitionNetwork | None = None,
    inverter: Inverter | None = None,
    device: torch.device | str = "cpu",
    report: Report = print,
) -> dict[str, Path]:
    """Train, or go on training, one rig for each block.

    Args:
        config: settings; `config.output` gets `rig_BLOCK.safetensors`, `curve.csv`, `state.pt`, `pool.pt` and
            `sheet.png`.
        generator: G, frozen.
        encoder: MoFA, frozen.
        face_model: for ℓ.
        recognition: Ψ; without it that loss and measurement are left out.
        inverter: finds the latents of the portraits of `config.pairs`, if there are any.
        device: where this process trains.
        report: called with a line of progress.

    Returns:
        The weight files by block.

    Raises:
        ConfigError: pairs without an inverter, or without edits of a block; no block that the face model has.
    """
    accelerator = start(config, device, config.output)
    shown = accelerator.on_main_process(report)
    recipe = RigRecipe(config, generator, encoder, face_model, recognition, inverter, accelerator, shown)
    Engine(recipe, config, TrainingFiles.in_folder(config.output), accelerator, report).run()
    return {block: rig_file(config.output, block) for block in recipe.rigs}
