"""The factories that the plugin declares."""

from __future__ import annotations

from pathlib import Path

import torch

from pie_framework.api import BuildContext, Kind

from .io import load_generator
from .settings import GeneratorConfig, GeneratorTraining
from .stylegan2 import StyleGAN2
from .training import train_generator

FEATURE_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "same": None}


def build(config: GeneratorConfig, context: BuildContext) -> StyleGAN2:
    """The frozen generator of the weight file that the settings name."""
    generator = load_generator(
        context.asset(config.weights), device=context.device, compute_dtype=FEATURE_DTYPES[config.features]
    )
    return generator.to(context.dtype).freeze()


def train(config: GeneratorTraining, context: BuildContext) -> Path:
    """Train on the processor, and return the weight file; Φ comes from the context when the loss uses it."""
    phi = context.get(Kind.FEATURES, "perceptual") if config.perceptual > 0 else None
    train_generator(config, report=lambda line: print(line, flush=True), phi=phi)
    return Path(config.out)
