"""The recipe that trains the face encoder: analysis by synthesis (§5), with labels where they exist.

As published (`pure_self_supervised`): portraits are samples of the generator, the losses are photometric,
landmarks and coefficient priors. Added here, for a world whose portraits come with their coefficients: losses
against the known θ, weighted by what a coefficient changes, and augmentation towards what generators make.
The photometric loss is then taken only every few steps, because rendering costs more than the encoder.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pie_framework.api import BuildContext, FaceModel, Generator, LandmarkDetector
from pie_framework.errors import ConfigError
from pie_framework.rendering import ambient_light
from pie_framework.training.progress import Budget, Curve, load_state, save_state, settings_as_notes
from pie_mofa.data import PortraitFolder, Portraits, augment, statistics
from pie_mofa.effects import Effects
from pie_mofa.losses import known_losses, rendered_loss, self_supervised_losses
from pie_mofa.measure import measure
from pie_mofa.network import MofaEncoder, channels_last
from pie_mofa.settings import TrainEncoderConfig

Report = Callable[[str], None]


def run(config: TrainEncoderConfig, context: BuildContext) -> Path:
    """The trainer component: build what the settings need, train, return the weight file."""
    torch.set_num_threads(config.threads)
    face_model: FaceModel = context.get("face_model")
    if config.pure_self_supervised:
        train, heldout = None, None
        if config.heldout:
            heldout = PortraitFolder(config.heldout, face_model.layout)
        return train_encoder(
            config,
            face_model,
            None,
            heldout,
            context.get("generator"),
            context.get("landmarks"),
            context.device,
        )
    if not config.dataset:
        raise ConfigError(
            "training the encoder needs portraits", "Set dataset=FOLDER or pure_self_supervised=true."
        )
    keep = slice(None) if config.heldout else slice(0, -config.measure_portraits)
    train = PortraitFolder(config.dataset, face_model.layout, keep)
    last = slice(-config.measure_portraits, None)
    heldout = PortraitFolder(config.heldout or config.dataset, face_model.layout, last)
    return train_encoder(config, face_model, train, heldout, device=context.device)


def train_encoder(
    config: TrainEncoderConfig,
    face_model: FaceModel,
    portraits: Portraits | None,
    heldout: Portraits | None = None,
    generator: Generator | None = None,
    detector: LandmarkDetector | None = None,
    device: torch.device | None = None,
    report: Report = print,
) -> Path:
    """Train, or go on training, an encoder.

    Args:
        config: settings; `config.output` gets `encoder.safetensors`, `curve.csv` and `state.pt`.
        face_model: the fixed decoder.
        portraits: labelled portraits; None for the label-free recipe.
        heldout: labelled portraits that measure; None for no measurement.
        generator: makes the portraits of the label-free recipe.
        detector: finds their landmarks.
        device: where to train; the CPU when None.
        report: called with a line of progress.

    Returns:
        Path of the weight file.
    """
    if portraits is None and (generator is None or detector is None):
        raise ConfigError(
            "training without labels needs a generator and a landmark detector", "Compose both."
        )
    device = device or torch.device("cpu")
    folder = Path(config.output)
    folder.mkdir(parents=True, exist_ok=True)
    recipe = _Recipe(config, face_model, portraits, generator, detector, device)
    state_file = folder / "state.pt"
    if config.resume and state_file.exists():
        recipe.load_state_dict(load_state(state_file))
    budget = recipe.budget
    curve = Curve(folder / "curve.csv", budget.step)
    saved_at = budget.spent()
    while not budget.over() and not (config.stop_at and budget.step >= config.stop_at):
        losses = recipe.step()
        if budget.step % config.measure_every == 0 or budget.step == 1:
            figures = recipe.measure(heldout)
            values = {"seconds": budget.spent(), **losses, **figures}
            curve.add(budget.step, values)
            report(
                f"step {budget.step}  " + "  ".join(f"{name} {value:.4g}" for name, value in values.items())
            )
        if config.save_seconds and budget.spent() - saved_at > config.save_seconds:
            save_state(state_file, recipe.state_dict())
            saved_at = budget.spent()
    save_state(state_file, recipe.state_dict())
    figures = recipe.measure(heldout)
    if figures and budget.step % config.measure_every:
        curve.add(budget.step, {"seconds": budget.spent(), **figures})
    report(
        f"step {budget.step}, {budget.spent():.0f} s  "
        + "  ".join(f"{k} {v:.4g}" for k, v in figures.items())
    )
    weights = folder / "encoder.safetensors"
    notes = {"training": settings_as_notes(config, ("output", "dataset", "heldout")), "figures": figures}
    recipe.encoder.save(weights, notes)
    return weights


class _Recipe:
    """Everything that changes while training, so that it can be saved and restored."""

    def __init__(
        self,
        config: TrainEncoderConfig,
        face_model: FaceModel,
        portraits: Portraits | None,
        generator: Generator | None,
        detector: LandmarkDetector | None,
        device: torch.device,
    ) -> None:
        self.config = config
        self.face_model = face_model
        self.portraits = portraits
        self.generator = generator
        self.detector = detector
        self.device = device
        self.budget = Budget(config.steps, config.seconds)
        self.rng = torch.Generator().manual_seed(config.seed)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.seed)
            self.encoder = MofaEncoder(face_model.layout, config.architecture)
        mean, scale = self._assumed() if portraits is None else statistics(portraits)
        self.encoder.set_statistics(mean, scale)
        channels_last(self.encoder.to(device))
        self.effects = None if portraits is None else Effects(face_model, mean.to(device), scale.to(device))
        self.optimizer = torch.optim.AdamW(
            self.encoder.parameters(),
            config.learning_rate,
            betas=(0.9, 0.99),
            weight_decay=config.weight_decay,
        )

    def _assumed(self) -> tuple[Tensor, Tensor]:
        """Mean and scale of θ where no portrait tells: neutral under white light, the settings' scales."""
        layout = self.face_model.layout
        mean, scale = torch.zeros(layout.size), torch.ones(layout.size)
        for block in layout.blocks:
            scale[layout.slice(block.name)] = self.config.scales.get(block.name, 1.0)
        light = ambient_light(torch.tensor([self.config.ambient]))[0]
        where = layout.slice("illumination")
        if layout.block("illumination").size == len(light):
            mean[where] = light
        return mean, scale

    def _batch(self, n: int) -> tuple[Tensor, Tensor | None]:
        """Images as the encoder sees them and, where known, their θ."""
        if self.portraits is None:
            assert self.generator is not None
            with torch.no_grad():
                return self.generator.synthesize(self.generator.sample(n, self.rng)).clamp(-1, 1), None
        rows = torch.randint(len(self.portraits), (n,), generator=self.rng)
        images = self.portraits.images(rows).to(self.device)
        theta = self.portraits.theta(rows).to(self.device)
        return augment(images, theta, self.face_model, self.config.augmentation, self.rng)

    def _losses(self, images: Tensor, truth: Tensor | None, theta: Tensor) -> dict[str, Tensor]:
        mean, scale = self.encoder.mean, self.encoder.scale
        if truth is None:
            assert self.detector is not None
            with torch.no_grad():
                landmarks = self.detector.detect(images)
            losses = self_supervised_losses(images, landmarks, theta, self.face_model, mean, scale)
        else:
            assert self.effects is not None
            losses = known_losses(theta, truth, self.face_model, self.effects, scale)
        if self.config.render_every and self.budget.step % self.config.render_every == 0:
            n = self.config.render_batch
            losses["photometric"] = rendered_loss(
                images[:n], theta[:n], self.face_model, self.config.render_size
            )
        return losses

    def step(self) -> dict[str, float]:
        """One step; the losses, unweighted."""
        config, done = self.config, self.budget.fraction()
        rate = config.learning_rate * min(1.0, (done + 1e-3) / max(config.warmup, 1e-6))
        for group in self.optimizer.param_groups:
            group["lr"] = rate * 0.5 * (1 + math.cos(math.pi * done))
        images, truth = self._batch(config.batch)
        self.encoder.train()
        with torch.autocast(self.device.type, torch.bfloat16, enabled=config.bfloat16):
            theta = self.encoder.encode(images)
        losses = self._losses(images, truth, theta)
        weights = dataclasses.asdict(config.weights)
        total = torch.stack([weights[name] * value for name, value in losses.items()]).sum()
        self.optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(total)
        torch.nn.utils.clip_grad_norm_(self.encoder.parameters(), 5.0)
        self.optimizer.step()
        self.budget.step += 1
        return {
            "total": float(total.detach()),
            **{name: float(value.detach()) for name, value in losses.items()},
        }

    def measure(self, heldout: Portraits | None) -> dict[str, float]:
        if heldout is None:
            return {}
        self.encoder.eval()
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.config.bfloat16):
            return measure(self.encoder, heldout, self.face_model, self.device)

    def state_dict(self) -> dict[str, Any]:
        return {
            "encoder": self.encoder.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "rng": self.rng.get_state(),
            "step": self.budget.step,
            "elapsed": self.budget.spent(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.encoder.load_state_dict(state["encoder"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.rng.set_state(state["rng"])
        self.budget.step = int(state["step"])
        self.budget.elapsed = float(state["elapsed"])
