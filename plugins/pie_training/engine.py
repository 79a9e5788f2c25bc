"""The training engine: a budget, mixed precision, averaged weights, several processes, a state to resume from.

What is trained is a `TrainingRecipe`. A training that is interrupted and resumed in one process gives the same weights,
bit for bit, as one that never was, when the budget counts steps.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from pie_framework.errors import ConfigError, RunError
from pie_training.board import Board
from pie_training.distributed import Processes
from pie_training.estimate import estimate
from pie_training.interruption import Interruption
from pie_training.progress import Budget, Curve, load_state, save_state
from pie_training.recipe import Notes, Progress, TrainingFiles, TrainingRecipe
from pie_training.settings import EngineSettings
from pie_training.sheets import write_picture

Report = Callable[[str], None]


class Engine:
    """One training.

    Args:
        recipe: what is trained; its networks are on `processes.device`.
        settings: how.
        files: where state, curve and sheets go.
        processes: the processes that train together.
        report: gets lines of progress, in process 0.
        measure_first: also measure before the first step.
        measure_seconds: measure by this many seconds instead of `settings.measure_every` steps; 0 for not.
    """

    def __init__(
        self,
        recipe: TrainingRecipe,
        settings: EngineSettings,
        files: TrainingFiles,
        processes: Processes | None = None,
        report: Report = print,
        measure_first: bool = True,
        measure_seconds: float = 0.0,
    ) -> None:
        self.recipe, self.settings, self.files = recipe, settings, files
        self.processes = processes or Processes()
        self.report: Report = report if self.processes.first else _silent
        self.measure_first, self.measure_seconds = measure_first, measure_seconds
        device = self.processes.device
        if settings.precision == "float16" and device.type != "cuda":
            raise ConfigError(
                f"precision=float16 needs a GPU, not {device.type}", "Use precision=bfloat16 or float32."
            )
        self.scaler = torch.amp.GradScaler(device.type, enabled=settings.precision == "float16")
        self.budget = Budget(settings.steps, settings.seconds, clock=settings.clock)
        self.notes = Notes()
        self.rows: list[dict[str, float]] = []
        self.best: dict[str, Any] = {"value": math.inf, "step": 0, "waited": 0, "weights": None}
        self.average: dict[str, dict[str, Tensor]] | None = None
        self.spent, self.measured_at = 0.0, 0.0
        self._share()

    # ---- the whole ---------------------------------------------------------------------------------------------

    def run(self) -> list[dict[str, float]]:
        """Train until the budget is spent, or nothing gets better; returns the rows of the curve.

        Raises:
            RunError: when the saved state cannot be used, or the loss is not finite.
            KeyboardInterrupt: after saving the state, when interrupted.
        """
        settings, budget = self.settings, self.budget
        torch.set_num_threads(settings.threads)
        if self.processes.first:
            self.files.state.parent.mkdir(parents=True, exist_ok=True)
        board = Board(self.files.board) if settings.tensorboard and self.processes.first else None
        self._begin()
        kept = budget.step if settings.resume else None
        curve = Curve(self.files.curve, kept) if self.processes.first else None
        budget.start()
        self.spent = self.processes.agree(budget.spent())
        if self.measure_first and not self.rows:
            self.report(self._measure(curve, board))
        saved_at = self.spent
        stopped = self._waited_enough()
        with Interruption() as interruption:
            while not self._over() and not stopped:
                self._step(interruption)
                if interruption.agreed:
                    break
                if settings.sheet_every and budget.step % settings.sheet_every == 0:
                    self._sheet(board)
                if self._due():
                    saved_at = self.measured_at = self.spent
                    line = self._measure(curve, board)
                    stopped = self._waited_enough()
                    self._save()
                    self.report(line)
                elif settings.save_seconds and self.spent - saved_at > settings.save_seconds:
                    saved_at = self.spent
                    self._save()
            if interruption.agreed:
                self._save()
                raise KeyboardInterrupt(
                    f"the training's state of step {budget.step} is kept in {self.files.state}; go on with resume=true"
                )
        if not stopped and budget.fraction(self.spent) < 1:
            self._save()
            self.report(f"stopped at step {budget.step} as asked; go on with resume=true")
            return self.rows
        line = ""
        if not self.rows or int(self.rows[-1]["step"]) != budget.step:
            line = self._measure(curve, board)
        self._save()
        if line:
            self.report(line)
        self._finish(board, stopped)
        return self.rows

    def _begin(self) -> None:
        state = self._read() if self.settings.resume else None
        if state is None and self.settings.estimate:
            estimate(self)
        self.recipe.prepare(resumed=state is not None)
        self._share()
        if state is not None:
            self._use(state)
            if self.settings.estimate and not self._over():
                estimate(self, resumed=True)

    def _share(self) -> None:
        """All processes start from the weights of process 0."""
        for module in self.recipe.modules.values():
            self.processes.share(module.state_dict().values())
        self.average = self._weights() if self.settings.ema else None

    def _finish(self, board: Board | None, stopped: bool) -> None:
        if self.settings.patience and self.best["weights"] is not None:
            self._load_weights(self.best["weights"])
            self.average = self.best["weights"] if self.average is not None else None
            if stopped:
                self.report(
                    f"stopped: {self.recipe.validation} has not fallen since step {self.best['step']}, "
                    "whose weights are kept"
                )
        if self.processes.first:
            row = self.rows[-1]
            if self.settings.patience:
                row = next((r for r in self.rows if r["step"] == self.best["step"]), row)
            with self.measuring():
                self.recipe.save(_figures(row))
        self._sheet(board)
        if board is not None:
            board.close()
        self.processes.barrier()

    # ---- a step ------------------------------------------------------------------------------------------------

    def _progress(self) -> Progress:
        return Progress(self.budget.step, self.budget.fraction(self.spent))

    def _over(self) -> bool:
        stop_at = self.settings.stop_at
        return self.budget.fraction(self.spent) >= 1 or bool(stop_at and self.budget.step >= stop_at)

    def _due(self) -> bool:
        """Whether it is time for a measurement."""
        if self.measure_seconds:
            return self.spent - self.measured_at >= self.measure_seconds
        return self.budget.step % self.settings.measure_every == 0

    def _waited_enough(self) -> bool:
        return 0 < self.settings.patience <= int(self.best["waited"])

    def _step(self, interruption: Interruption | None = None) -> None:
        total = self.take_step(self._progress())
        self._agree(total, interruption)
        self.budget.step += 1

    def take_step(self, progress: Progress) -> Tensor:
        """One step of the optimiser; returns the sum of its losses."""
        recipe, settings = self.recipe, self.settings
        modules = recipe.modules.values()
        for module in modules:
            module.train()
        rate = recipe.learning_rate(progress)
        for group in recipe.optimizer.param_groups:
            group["lr"] = rate
        recipe.optimizer.zero_grad(set_to_none=True)
        total = torch.zeros((), device=self.processes.device)
        for _ in range(settings.accumulate):
            for loss in recipe.losses(progress, self.notes):
                torch.autograd.backward(self.scaler.scale(loss / settings.accumulate))
                total = total + loss.detach() / settings.accumulate
        self.notes.add("loss", total)
        self.processes.average_gradients(p for module in modules for p in module.parameters())
        self.scaler.unscale_(recipe.optimizer)
        if settings.clip:
            for module in modules:
                nn.utils.clip_grad_norm_(module.parameters(), settings.clip)
        # A loss that is not finite must not reach the weights; `_agree` then ends the training.
        if self.scaler.is_enabled() or bool(torch.isfinite(total)):
            self.scaler.step(recipe.optimizer)
        self.scaler.update()
        if self.average is not None:
            _follow(self.average, recipe.modules, _decay(settings.ema, progress.step))
        return total

    def _agree(self, total: Tensor | None = None, interruption: Interruption | None = None) -> None:
        """All processes take the time of process 0, and end together."""
        first = self.processes.first
        wrong = 0.0 if total is None or bool(torch.isfinite(total)) else 1.0
        asked = 1.0 if interruption is not None and interruption.asked else 0.0
        found = self.processes.sum([wrong, asked, self.budget.spent() if first else 0.0])
        self.spent = found[2]
        if interruption is not None:
            interruption.agreed = found[1] > 0
        if found[0]:
            raise RunError(
                f"the loss is not finite at step {self.budget.step}",
                "Lower learning_rate, or set precision=float32.",
            )

    # ---- what is measured and written --------------------------------------------------------------------------

    def _weights(self) -> dict[str, dict[str, Tensor]]:
        return {
            name: {key: value.detach().clone() for key, value in module.state_dict().items()}
            for name, module in self.recipe.modules.items()
        }

    @torch.no_grad()
    def _load_weights(self, weights: Mapping[str, Mapping[str, Tensor]]) -> None:
        for name, module in self.recipe.modules.items():
            for key, value in module.state_dict().items():
                if value.shape != weights[name][key].shape:  # `copy_` would repeat what is smaller
                    raise ValueError(
                        f"{name}.{key} is {list(weights[name][key].shape)}, not {list(value.shape)}"
                    )
                value.copy_(weights[name][key])

    @contextmanager
    def measuring(self) -> Iterator[None]:
        """Averaged weights, evaluation mode, no gradients; training weights are put back afterwards."""
        own = None
        if self.average is not None:
            own = self._weights()
            self._load_weights(self.average)
        modes = {name: module.training for name, module in self.recipe.modules.items()}
        for module in self.recipe.modules.values():
            module.eval()
        try:
            with torch.no_grad():
                yield
        finally:
            for name, module in self.recipe.modules.items():
                module.train(modes[name])
            if own is not None:
                self._load_weights(own)

    def _measure(self, curve: Curve | None, board: Board | None) -> str:
        """Add a row to the curve; returns it as a line of progress."""
        self.processes.average_buffers(self.recipe.modules.values())
        losses = self._read_notes()
        row: dict[str, float] = {}
        value, line = math.nan, ""
        if self.processes.first:
            with self.measuring():
                figures = dict(self.recipe.measure())
                value = figures.get(self.recipe.validation, math.nan)
                if self.budget.step:
                    self.recipe.save(figures)
            row = {"step": self.budget.step, "seconds": self.spent, **losses, **figures}
            if curve is not None:
                curve.add(self.budget.step, {k: v for k, v in row.items() if k != "step"})
            if board is not None:
                board.scalars(self.budget.step, row)
            shown = ("step", "seconds", *self.recipe.headline) if self.recipe.headline else tuple(row)
            line = "  ".join(f"{name} {row[name]:.4g}" for name in shown if name in row)
        self.rows.append(row or {"step": self.budget.step, "seconds": self.spent, **losses})
        value = self.processes.agree(value if self.processes.first else 0.0)
        if self.settings.patience and self.budget.step and not math.isnan(value):
            if value < self.best["value"]:
                weights = self._weights() if self.average is None else copy.deepcopy(self.average)
                self.best = {"value": value, "step": self.budget.step, "waited": 0, "weights": weights}
            else:
                self.best["waited"] += 1
        return line

    def _read_notes(self) -> dict[str, float]:
        """Means over steps and processes since the last time."""
        names = list(self.notes.sums)
        values = self.notes.values()
        totals = self.processes.sum([values[n] for n in names] + [float(self.notes.counts[n]) for n in names])
        self.notes = Notes()
        return {n: totals[i] / totals[i + len(names)] for i, n in enumerate(names)}

    def _sheet(self, board: Board | None) -> None:
        if not self.processes.first or self.files.sheet is None:
            return
        with self.measuring():
            picture = self.recipe.sheet()
        if picture is None:
            return
        write_picture(self.files.sheet, picture)
        if self.settings.sheet_every:
            write_picture(self.files.sheet.parent / "sheets" / f"{self.budget.step:07d}.png", picture)
        if board is not None:
            board.picture(self.budget.step, "sheet", picture)

    # ---- the state ---------------------------------------------------------------------------------------------

    def _save(self) -> None:
        own = {"rng": self.recipe.rng.get_state(), "recipe": self.recipe.state_dict()}
        ranks = self.processes.gather(own)
        if self.processes.first:
            save_state(self.files.state, {**self.state_dict(), "ranks": ranks})

    def state_dict(self) -> dict[str, Any]:
        """What all processes have in common."""
        return {
            "modules": {name: module.state_dict() for name, module in self.recipe.modules.items()},
            "optimizer": self.recipe.optimizer.state_dict(),
            "average": self.average,
            "scaler": self.scaler.state_dict(),
            "step": self.budget.step,
            "elapsed": self.spent,
            "measured_at": self.measured_at,
            "rows": self.rows,
            "best": self.best,
            "notes": {"sums": self.notes.values(), "counts": dict(self.notes.counts)},
        }

    def _read(self) -> dict[str, Any]:
        path = self.files.state
        if not path.exists():
            raise RunError(f"there is no training state {path} to resume from", "Start with resume=false.")
        state = load_state(path)
        if len(state.get("ranks", [])) != self.processes.size:
            raise RunError(
                f"{path} is the state of {len(state.get('ranks', []))} processes, these are {self.processes.size}",
                "Resume with as many, or start again.",
            )
        return state

    def _use(self, state: Mapping[str, Any]) -> None:
        try:
            self.load_state_dict(state, state["ranks"][self.processes.rank])
        except (LookupError, ValueError, RuntimeError, TypeError, AttributeError) as error:
            raise RunError(
                f"{self.files.state} does not fit these settings: {error}",
                "Resume with the settings it was made with.",
            ) from error

    def load_state_dict(self, state: Mapping[str, Any], own: Mapping[str, Any]) -> None:
        """The inverse of `state_dict`; `own` is of this process: its rng and its recipe's state."""
        device = self.processes.device
        self._load_weights(state["modules"])
        self.recipe.optimizer.load_state_dict(state["optimizer"])
        average = state["average"]
        if self.average is not None:
            chosen = state["modules"] if average is None else average
            self.average = {n: {k: v.to(device) for k, v in w.items()} for n, w in chosen.items()}
        self.scaler.load_state_dict(state["scaler"])
        self.budget.step, self.budget.elapsed = int(state["step"]), float(state["elapsed"])
        self.spent, self.measured_at = self.budget.elapsed, float(state["measured_at"])
        self.rows, self.best = list(state["rows"]), dict(state["best"])
        if self.best["weights"] is not None:
            self.best["weights"] = {
                n: {k: v.to(device) for k, v in w.items()} for n, w in self.best["weights"].items()
            }
        self.notes = Notes(
            {
                n: torch.tensor(v, dtype=torch.float64, device=device)
                for n, v in state["notes"]["sums"].items()
            },
            dict(state["notes"]["counts"]),
        )
        self.recipe.rng.set_state(own["rng"])
        self.recipe.load_state_dict(own["recipe"])


def _silent(_: str) -> None:
    pass


def _figures(row: Mapping[str, float]) -> dict[str, float]:
    return {name: value for name, value in row.items() if name not in ("step", "seconds")}


def _decay(half_life: float, step: int) -> float:
    """Of the moving average; over the first steps its memory is shorter."""
    memory = min(half_life, max(1.0, step / 10))
    return float(0.5 ** (1 / memory))


@torch.no_grad()
def _follow(average: dict[str, dict[str, Tensor]], modules: Mapping[str, nn.Module], decay: float) -> None:
    for name, module in modules.items():
        for key, value in module.state_dict().items():
            if value.is_floating_point():
                average[name][key].lerp_(value, 1 - decay)
            else:
                average[name][key].copy_(value)
