"""The factories that the plugin declares."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import nn

from pie_framework.api import BuildContext, Kind
from pie_framework.errors import ComponentError, ConfigError

from .inverter import FeedbackInverter
from .inverter_training import train_inverter
from .io import load_generator, load_inverter
from .settings import (
    GeneratorConfig,
    GeneratorTraining,
    InverterSettings,
    InverterTraining,
    StyleGAN3Settings,
)
from .stylegan2 import StyleGAN2
from .stylegan3 import StyleGAN3
from .stylegan3_io import load_stylegan3
from .training import train_generator

FEATURE_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "same": None}


def build(config: GeneratorConfig, context: BuildContext) -> StyleGAN2:
    """The frozen generator of the weight file that the settings name.

    Raises:
        AssetError: the file is missing, or holds no generator.
        ConfigError: a class is missing, or given to an unconditional network.
    """
    generator = load_generator(
        context.asset(config.weights), device=context.device, compute_dtype=FEATURE_DTYPES[config.features]
    )
    _set_up(generator, config)
    return generator.to(context.dtype).freeze()


def build_stylegan3(config: StyleGAN3Settings, context: BuildContext) -> StyleGAN3:
    """The frozen StyleGAN3 generator of the weight file that the settings name.

    Raises:
        AssetError: the file is missing, or holds no StyleGAN3 generator.
        ConfigError: no file is named; a class is missing, or given to an unconditional network.
    """
    if not config.weights:
        raise ConfigError(
            "generator=stylegan3 has no weights of its own",
            "Give generator.weights=FILE: a NVIDIA pickle (asset://stylegan3-t-ffhq-1024), or what pie convert made.",
        )
    generator = load_stylegan3(
        context.asset(config.weights), device=context.device, compute_dtype=FEATURE_DTYPES[config.features]
    )
    _set_up(generator, config)
    return generator.to(context.dtype).freeze()


def _set_up(generator: StyleGAN2 | StyleGAN3, config: GeneratorConfig) -> None:
    generator.mapping.choose_class(config.class_index)
    generator.truncation, generator.truncation_cutoff = config.truncation, config.truncation_cutoff
    generator.checkpointing = config.checkpointing


def build_inverter(config: InverterSettings, context: BuildContext) -> FeedbackInverter:
    """The frozen inverter of the weight file that the settings name.

    Raises:
        ComponentError: it was made for a generator of another resolution or with other latents.
    """
    inverter = load_inverter(context.asset(config.weights), device=context.device)
    generator = context.generator()
    for quantity in ("resolution", "num_layers", "latent_dim"):
        own, other = getattr(inverter, quantity), getattr(generator, quantity)
        if own != other:
            raise ComponentError(
                f"the inverter '{config.weights}' is for a generator whose {quantity} is {own}; this one's is {other}",
                "'pie train backbone' makes encoder and rigs for this generator; without an inverter, set init=mean.",
            )
    inverter = inverter.to(context.dtype).requires_grad_(False).eval()
    return FeedbackInverter(inverter, generator, config.passes, config.rate)


def train_offsets(config: InverterTraining, context: BuildContext) -> Path:
    """Train the inverter on the processor, and return its weight file; Φ and Ψ come from the context."""
    phi = _on_processor(context.features("perceptual")) if config.perceptual > 0 else None
    psi = _on_processor(context.features("recognition")) if config.identity > 0 else None
    generator = load_generator(
        context.asset(config.generator), compute_dtype=torch.bfloat16 if config.bf16 else None
    )
    train_inverter(config, generator.freeze(), lambda line: print(line, flush=True), phi, psi)
    return Path(config.out)


def train(config: GeneratorTraining, context: BuildContext) -> Path:
    """Train on the processor, and return the weight file; Φ and the encoder come from the context when used."""
    phi = _on_processor(context.features("perceptual")) if config.perceptual > 0 else None
    kinds = (Kind.ENCODER, Kind.FACE_MODEL)
    readers = tuple(_on_processor(context.get(kind)) for kind in kinds) if config.reading > 0 else None
    train_generator(config, report=lambda line: print(line, flush=True), phi=phi, readers=readers)
    return Path(config.out)


def _on_processor(component: Any) -> Any:
    """A component where these recipes train, wherever the run's device is."""
    return component.to("cpu") if isinstance(component, nn.Module) else component
