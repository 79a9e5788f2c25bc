"""The training loop: a budget of time or steps, warm-up and cosine decay, a curve, a state to resume from."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from pie_framework.errors import RunError
from pie_framework.training.progress import Curve, load_state, save_state
from pie_framework.training.settings import TrainerSettings

WARM_UP = 0.03
WEIGHT_DECAY = 1e-3
GRADIENT_LIMIT = 5.0
LOSS_MEMORY = 0.98


class Recipe(Protocol):
    """What the loop trains."""

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
    recipe: Recipe, settings: TrainerSettings, report: Callable[[str], None] = print
) -> list[dict[str, float]]:
    """Train `recipe.module` with AdamW until the budget is spent; returns the curve's rows.

    The weight file, the curve (CSV) and the state are written at every evaluation, so an interrupted run
    loses at most `evaluate_every`.

    Raises:
        RunError: when asked to resume without a readable state, or when the loss is not finite.
    """
    torch.set_num_threads(settings.threads)
    rng = torch.Generator().manual_seed(settings.seed)
    optimiser = torch.optim.AdamW(_groups(recipe.module), lr=settings.learning_rate, betas=(0.9, 0.99))
    now = time.process_time if settings.clock == "cpu" else time.monotonic
    budget = float(settings.steps) if settings.steps > 0 else settings.seconds
    spent, step, rows, average = 0.0, 0, [], math.nan
    if settings.resume:
        state = load_state(settings.state_path)
        recipe.module.load_state_dict(state["module"])
        optimiser.load_state_dict(state["optimiser"])
        rng.set_state(state["rng"])
        spent, step, rows, average = state["spent"], state["step"], state["rows"], state["average"]
    settings.curve_path.parent.mkdir(parents=True, exist_ok=True)
    curve = Curve(settings.curve_path, keep_until=step)
    next_row = spent + settings.evaluate_every
    recipe.module.train()
    while spent < budget:
        begun = now()
        for group in optimiser.param_groups:
            group["lr"] = settings.learning_rate * learning_rate_factor(spent / budget)
        loss = recipe.loss(rng)
        if not torch.isfinite(loss):
            raise RunError(
                f"the loss is {float(loss.detach())} at step {step}", "Lower learning_rate or set bf16=false."
            )
        optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(recipe.module.parameters(), GRADIENT_LIMIT)
        optimiser.step()
        step += 1
        value = float(loss.detach())
        average = value if math.isnan(average) else LOSS_MEMORY * average + (1.0 - LOSS_MEMORY) * value
        spent += 1.0 if settings.steps > 0 else now() - begun
        if spent >= next_row or spent >= budget:
            next_row = spent + settings.evaluate_every
            figures = _evaluate(recipe)
            rows.append({"step": step, "spent": spent, "loss": average, **figures})
            recipe.save(Path(settings.out), figures)
            curve.add(step, {"spent": spent, "loss": average, **figures})
            save_state(
                settings.state_path,
                {
                    "module": recipe.module.state_dict(),
                    "optimiser": optimiser.state_dict(),
                    "rng": rng.get_state(),
                    "spent": spent,
                    "step": step,
                    "rows": rows,
                    "average": average,
                },
            )
            report("  ".join(f"{name} {number:.4g}" for name, number in rows[-1].items()))
    return rows


def _evaluate(recipe: Recipe) -> dict[str, float]:
    recipe.module.eval()
    with torch.no_grad():
        figures = dict(recipe.evaluate())
    recipe.module.train()
    return figures


def _groups(module: nn.Module) -> list[dict[str, Any]]:
    """Weight decay on matrices and kernels only, not on biases and normalisation."""
    decayed = [p for p in module.parameters() if p.dim() > 1]
    plain = [p for p in module.parameters() if p.dim() <= 1]
    return [{"params": decayed, "weight_decay": WEIGHT_DECAY}, {"params": plain, "weight_decay": 0.0}]
