"""What both ways of training the face encoder share."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from pie_framework.api import FaceModel
from pie_mofa.network import MofaEncoder, channels_last
from pie_mofa.settings import TrainEncoderConfig
from pie_training.processes import generator
from pie_training.recipe import Notes, Progress, TrainingRecipe, settings_as_notes

if TYPE_CHECKING:
    from accelerate import Accelerator

FOLDERS = ("output", "dataset", "heldout")
FILE = "encoder.safetensors"


class EncoderRecipe(TrainingRecipe):
    """The network, its optimiser and its weight file.

    Args:
        config: settings.
        face_model: the fixed decoder.
        mean, scale: (P,) what the network's outputs are scaled by and added to.
        accelerator: device, processes and precision.
        dtype: of the weights.
    """

    def __init__(
        self,
        config: TrainEncoderConfig,
        face_model: FaceModel,
        mean: Tensor,
        scale: Tensor,
        accelerator: Accelerator,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        self.config, self.face_model, self.accelerator = config, face_model, accelerator
        self.rng = generator(accelerator, config.seed)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.seed)
            self.encoder = MofaEncoder(face_model.layout, config.architecture)
        self.encoder.set_statistics(mean.float().cpu(), scale.float().cpu())
        channels_last(self.encoder.to(accelerator.device, dtype))
        self.modules = {"encoder": self.encoder}
        self.optimizer = torch.optim.AdamW(
            self.encoder.parameters(),
            config.learning_rate,
            betas=(0.9, 0.99),
            weight_decay=config.weight_decay,
        )
        self.notes: dict[str, Any] = {}

    def learning_rate(self, progress: Progress) -> float:
        done = progress.fraction
        rate = self.config.learning_rate * min(1.0, (done + 1e-3) / max(self.config.warmup, 1e-6))
        return rate * 0.5 * (1 + math.cos(math.pi * done))

    def renders(self, progress: Progress) -> bool:
        """Whether a step has a photometric loss."""
        every = self.config.rendering[0]
        return every > 0 and progress.step % every == 0

    def total(self, losses: Mapping[str, Tensor], weights: Mapping[str, float], notes: Notes) -> Tensor:
        """The weighted sum, scalar; the losses themselves are noted."""
        for name, value in losses.items():
            notes.add(name, value)
        return torch.stack([weights[name] * value for name, value in losses.items()]).sum()

    def save(self, figures: Mapping[str, float]) -> None:
        notes = {
            "training": settings_as_notes(self.config, FOLDERS),
            "figures": dict(figures),
            **self.notes,
        }
        self.encoder.save(Path(self.config.output) / FILE, notes)
