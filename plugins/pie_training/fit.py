"""The engine for recipes on a dataset, whose settings are `TrainerSettings`."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from pie_framework.errors import ConfigError
from pie_training.engine import Engine
from pie_training.processes import generator, start
from pie_training.recipe import Notes, Progress, TrainingFiles, TrainingRecipe
from pie_training.settings import TrainerSettings

WARM_UP = 0.03
WEIGHT_DECAY = 1e-3


class Recipe(Protocol):
    """A recipe with one network and one loss."""

    @property
    def module(self) -> nn.Module:
        """All that is trained."""
        ...

    def loss(self, rng: torch.Generator) -> Tensor:
        """Scalar loss of a fresh batch."""
        ...

    def evaluate(self) -> Mapping[str, float]:
        """Held-out figures by name."""
        ...

    def save(self, path: Path, figures: Mapping[str, float]) -> None:
        """Write the weight file."""
        ...


def learning_rate_factor(progress: float) -> float:
    """Linear warm-up over the first 3 %, then a cosine to zero; progress in [0, 1]."""
    if progress < WARM_UP:
        return max(progress / WARM_UP, 0.02)
    return 0.5 * (1.0 + math.cos(math.pi * min(progress, 1.0)))


def fit(
    recipe: Recipe | TrainingRecipe,
    settings: TrainerSettings,
    report: Callable[[str], None] = print,
    **others: Any,
) -> list[dict[str, float]]:
    """Train until the budget is spent; returns the curve's rows.

    A `Recipe` is trained with AdamW. The weight file, the curve (CSV) and the state are written at every evaluation, so
    an interrupted run loses at most `evaluate_every`.

    Args:
        recipe: what is trained; it gets its `rng` here. Of a `TrainingRecipe` there is one network, "network".
        settings: how.
        report: gets a line at every evaluation.
        others: further settings of the engine.

    Raises:
        ConfigError: `out` is empty, or Accelerate is not installed.
        RunError: when asked to resume without a readable state, or when the loss is not finite.
    """
    if not settings.out:
        raise ConfigError("training needs 'out'", "Give out=PATH")
    engine = settings.engine(**others)
    module = recipe.modules["network"] if isinstance(recipe, TrainingRecipe) else recipe.module
    accelerator = start(engine, next(module.parameters()).device, Path(settings.out).parent)
    if not isinstance(recipe, TrainingRecipe):
        recipe = _Fitted(recipe, settings)
    recipe.rng = generator(accelerator, settings.seed)
    files = TrainingFiles(settings.state_path, settings.curve_path, None)
    seconds = 0.0 if settings.steps > 0 else settings.evaluate_every
    return Engine(recipe, engine, files, accelerator, report, False, seconds).run()


class _Fitted(TrainingRecipe):
    def __init__(self, recipe: Recipe, settings: TrainerSettings) -> None:
        self.recipe, self.settings = recipe, settings
        self.modules = {"network": recipe.module}
        self.optimizer = torch.optim.AdamW(
            _groups(recipe.module), lr=settings.learning_rate, betas=(0.9, 0.99)
        )

    def losses(self, progress: Progress, notes: Notes) -> Iterator[Tensor]:
        yield self.recipe.loss(self.rng)

    def learning_rate(self, progress: Progress) -> float:
        return self.settings.learning_rate * learning_rate_factor(progress.fraction)

    def measure(self) -> Mapping[str, float]:
        return self.recipe.evaluate()

    def save(self, figures: Mapping[str, float]) -> None:
        self.recipe.save(Path(self.settings.out), figures)


def _groups(module: nn.Module) -> list[dict[str, Any]]:
    """Weight decay on matrices and kernels only, not on biases and normalisation."""
    decayed = [p for p in module.parameters() if p.dim() > 1]
    plain = [p for p in module.parameters() if p.dim() <= 1]
    return [{"params": decayed, "weight_decay": WEIGHT_DECAY}, {"params": plain, "weight_decay": 0.0}]
