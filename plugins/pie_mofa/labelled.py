"""Training on portraits whose coefficients are known: losses against the true θ, weighted by what it changes."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from pie_framework.api import FaceModel
from pie_mofa.data import Portraits, augment, statistics
from pie_mofa.effects import Effects
from pie_mofa.losses import known_losses, rendered_loss
from pie_mofa.measure import measure
from pie_mofa.recipe import EncoderRecipe
from pie_mofa.settings import TrainEncoderConfig
from pie_training.recipe import Notes, Progress

if TYPE_CHECKING:
    from accelerate import Accelerator


class LabelledRecipe(EncoderRecipe):
    """See the module.

    Args:
        config: settings.
        face_model: the fixed decoder.
        portraits: labelled, to train on.
        heldout: labelled, to measure by; None for no measurement.
        accelerator: device, processes and precision.
    """

    def __init__(
        self,
        config: TrainEncoderConfig,
        face_model: FaceModel,
        portraits: Portraits,
        heldout: Portraits | None,
        accelerator: Accelerator,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        mean, scale = statistics(portraits)
        super().__init__(config, face_model, mean, scale, accelerator, dtype)
        self.portraits, self.heldout = portraits, heldout
        self.effects = Effects(face_model, self.encoder.mean, self.encoder.scale)
        self.validation = "landmark_px" if heldout is not None else ""

    def losses(self, progress: Progress, notes: Notes) -> Iterator[Tensor]:
        config = self.config
        rows = torch.randint(len(self.portraits), (config.batch,), generator=self.rng)
        images = self.portraits.images(rows).to(self.encoder.mean)
        truth = self.portraits.theta(rows).to(self.encoder.mean)
        images, truth = augment(images, truth, self.face_model, config.augmentation, self.rng)
        with self.accelerator.autocast():
            theta = self.encoder.encode(images)
        losses = known_losses(theta, truth, self.face_model, self.effects, self.encoder.scale)
        if self.renders(progress):
            n = config.rendering[1]
            losses["photometric"] = rendered_loss(images[:n], theta[:n], self.face_model, config.render_size)
        yield self.total(losses, dataclasses.asdict(config.weights), notes)

    def measure(self) -> Mapping[str, float]:
        if self.heldout is None:
            return {}
        with self.accelerator.autocast():
            return measure(self.encoder, self.heldout, self.face_model, self.encoder.mean.device)
