"""The training engine: a budget, averaged weights, early stop, a state to resume from; Accelerate does the rest.

What is trained is a `TrainingRecipe`. A training that is interrupted and resumed in one process gives the same weights,
bit for bit, as one that never was, when the budget counts steps.
"""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from pie_framework.errors import RunError, in_one_line
from pie_framework.files.io import save_png, write_csv
from pie_training.interruption import Interruption
from pie_training.processes import agreed, average, average_gradients, share, summed
from pie_training.recipe import Notes, Progress, TrainingFiles, TrainingRecipe
from pie_training.settings import EngineSettings
from pie_training.state import load_state, save_state

if TYPE_CHECKING:
    from accelerate import Accelerator

Report = Callable[[str], None]
#: What a budget of seconds may be counted by.
CLOCKS = {"wall": time.monotonic, "cpu": time.process_time}
#: The folder of TensorBoard events, within the project's.
EVENTS = "tensorboard"


class Engine:
    """One training.

    Args:
        recipe: what is trained; its networks are on the accelerator's device.
        settings: how.
        files: where state, curve and sheets go.
        accelerator: device and processes, by `processes.start` with the same settings.
        report: gets lines of progress, in process 0.
        measure_first: also measure before the first step.
        measure_seconds: measure by this many seconds instead of `settings.measure_every` steps; 0 for not.
    """

    def __init__(
        self,
        recipe: TrainingRecipe,
        settings: EngineSettings,
        files: TrainingFiles,
        accelerator: Accelerator,
        report: Report = print,
        measure_first: bool = True,
        measure_seconds: float = 0.0,
    ) -> None:
        self.recipe, self.settings, self.files, self.accelerator = recipe, settings, files, accelerator
        self.report: Report = accelerator.on_main_process(report)
        self.measure_first, self.measure_seconds = measure_first, measure_seconds
        if accelerator.num_processes > 1 and accelerator.device.type == "cuda":
            for module in recipe.modules.values():
                nn.SyncBatchNorm.convert_sync_batchnorm(module)  # type: ignore[no-untyped-call]
        self.networks = nn.ModuleDict(recipe.modules)
        self.optimizer = accelerator.prepare_optimizer(recipe.optimizer)
        self.average: AveragedModel | None = None
        self.notes = Notes()
        self.rows: list[dict[str, float]] = []
        self.best: dict[str, Any] = {"value": math.inf, "step": 0, "waited": 0, "weights": None}
        #: Steps taken; seconds spent, those of earlier parts included, and those at the last measurement.
        self.step, self.spent, self.measured_at = 0, 0.0, 0.0
        self.began_at = self._now()

    # ---- the whole ---------------------------------------------------------------------------------------------

    def run(self) -> list[dict[str, float]]:
        """Train until the budget is spent, or nothing gets better; returns the rows of the curve.

        Afterwards the networks have the weights that were saved.

        Raises:
            RunError: when the saved state cannot be used, or the loss is not finite.
            KeyboardInterrupt: after saving the state, when interrupted.
        """
        if self.settings.tensorboard:
            self.accelerator.init_trackers(EVENTS)
        self._begin()
        if self.measure_first and not self.rows:
            self.report(self._measure())
        if self._train():
            self._save()
            raise KeyboardInterrupt(
                f"the training's state of step {self.step} is kept in {self.files.state}; go on with resume=true"
            )
        line = ""
        if not self._complete():
            line = f"stopped at step {self.step} as asked; go on with resume=true"
        elif not self.rows or self.rows[-1]["step"] != self.step:
            line = self._measure()
        self._save()
        if line:
            self.report(line)
        if self._complete():
            self._finish()
        return self.rows

    def _begin(self) -> None:
        state = self._read() if self.settings.resume else None
        self.recipe.prepare(resumed=state is not None)
        share(self.accelerator, self.networks.state_dict().values())
        if self.settings.ema:
            self.average = AveragedModel(self.networks, multi_avg_fn=self._follow, use_buffers=True)
        if state is not None:
            self._use(state)
        self.began_at = self._now() - self.spent

    def _train(self) -> bool:
        """Steps, until there is a reason to stop; returns whether it was an interruption."""
        settings = self.settings
        saved_at = self.spent
        with Interruption() as interruption:
            while not self._complete() and not (settings.stop_at and self.step >= settings.stop_at):
                total = self.take_step(Progress(self.step, self._fraction()))
                asked = self._agree(total, interruption.asked)
                self.step += 1
                if asked:
                    return True
                if settings.sheet_every and self.step % settings.sheet_every == 0:
                    self._sheet()
                if self._due():
                    saved_at = self.measured_at = self.spent
                    line = self._measure()
                    self._save()
                    self.report(line)
                elif settings.save_seconds and self.spent - saved_at > settings.save_seconds:
                    saved_at = self.spent
                    self._save()
        return False

    def _now(self) -> float:
        return CLOCKS[self.settings.clock]()

    def _fraction(self) -> float:
        """Share of the budget that is used up, 0 to 1; learning rates follow it."""
        steps, seconds = self.settings.steps, self.settings.seconds
        return min(1.0, max(self.step / steps if steps else 0.0, self.spent / seconds if seconds else 0.0))

    def _complete(self) -> bool:
        """Whether the budget is spent, or nothing gets better."""
        return self._fraction() >= 1 or 0 < self.settings.patience <= self.best["waited"]

    def _due(self) -> bool:
        """Whether it is time for a measurement."""
        if self.measure_seconds:
            return self.spent - self.measured_at >= self.measure_seconds
        return self.step % self.settings.measure_every == 0

    def _finish(self) -> None:
        """Put the final weights into the networks, and write them and their sheet."""
        row, weights = self.rows[-1], self._measured_weights()
        if self.settings.patience and self.best["weights"] is not None:
            weights = self.best["weights"]
            row = next((r for r in self.rows if r["step"] == self.best["step"]), row)
            if self._fraction() < 1:
                self.report(
                    f"stopped: {self.recipe.validation} has not fallen since step {self.best['step']}, "
                    "whose weights are kept"
                )
        self.average = None
        self.networks.load_state_dict(weights)
        if self.accelerator.is_main_process:
            with self._measuring():
                self.recipe.save({k: v for k, v in row.items() if k not in ("step", "seconds")})
        self._sheet()
        self.networks.eval()
        if self.settings.tensorboard:
            self.accelerator.get_tracker(EVENTS).finish()
        self.accelerator.wait_for_everyone()

    # ---- a step ------------------------------------------------------------------------------------------------

    def take_step(self, progress: Progress) -> Tensor:
        """One step of the optimiser; returns the sum of its losses."""
        settings, accelerator = self.settings, self.accelerator
        self.networks.train()
        rate = self.recipe.learning_rate(progress)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.zero_grad()
        total = torch.zeros((), device=accelerator.device)
        for _ in range(settings.accumulate):
            with accelerator.accumulate():
                for loss in self.recipe.losses(progress, self.notes):
                    accelerator.backward(loss)
                    total = total + loss.detach() / settings.accumulate
        self.notes.add("loss", total)
        average_gradients(accelerator, self.networks)
        accelerator.unscale_gradients()
        if settings.clip:
            for module in self.networks.values():
                nn.utils.clip_grad_norm_(module.parameters(), settings.clip)
        # A loss that is not finite must not reach the weights; `_agree` then ends the training.
        if accelerator.scaler is not None or bool(torch.isfinite(total)):
            self.optimizer.step()
        if self.average is not None:
            self.average.update_parameters(self.networks)
        return total

    @torch.no_grad()
    def _follow(self, averaged: Any, current: Any, count: Tensor | int) -> None:
        """One update of the moving average; over the first steps its memory is shorter."""
        memory = min(self.settings.ema, max(1.0, int(count) / 10))
        for mean, value in zip(averaged, current, strict=True):
            if mean.is_floating_point():
                mean.lerp_(value, 1 - 0.5 ** (1 / memory))
            else:
                mean.copy_(value)

    def _agree(self, total: Tensor, asked: bool) -> bool:
        """All processes take the time of process 0, and end together; returns whether one was asked to end."""
        wrong = not bool(torch.isfinite(total))
        spent = self._now() - self.began_at if self.accelerator.is_main_process else 0.0
        failed, interrupted, self.spent = summed(self.accelerator, [wrong, asked, spent])
        if failed:
            raise RunError(
                f"the loss is not finite at step {self.step}",
                "Lower learning_rate, or set precision=float32.",
            )
        return interrupted > 0

    # ---- what is measured and written --------------------------------------------------------------------------

    def _measured_weights(self) -> dict[str, Tensor]:
        """A copy of the averaged weights, or of the weights where there is no average."""
        source = self.networks if self.average is None else self.average.module
        weights: dict[str, Tensor] = copy.deepcopy(source.state_dict())
        return weights

    @contextmanager
    def _measuring(self) -> Iterator[None]:
        """Averaged weights, evaluation mode, no gradients; training weights are put back afterwards."""
        own, training = copy.deepcopy(self.networks.state_dict()), self.networks.training
        self.networks.load_state_dict(self._measured_weights())
        self.networks.eval()
        try:
            with torch.no_grad():
                yield
        finally:
            self.networks.train(training)
            self.networks.load_state_dict(own)

    def _measure(self) -> str:
        """Add a row to the curve; returns it as a line of progress."""
        average(self.accelerator, (b for b in self.networks.buffers() if b.is_floating_point()))
        row = {"step": self.step, "seconds": self.spent, **self._read_notes()}
        self.rows.append(row)
        if self.accelerator.is_main_process:
            with self._measuring():
                figures = dict(self.recipe.measure())
                if self.step:
                    self.recipe.save(figures)
            row |= figures
            names = dict.fromkeys(name for each in self.rows for name in each)
            shown = ({name: f"{value:.6g}" for name, value in each.items()} for each in self.rows)
            write_csv(self.files.curve, list(names), shown)
            if self.settings.tensorboard:
                self.accelerator.log({k: v for k, v in row.items() if math.isfinite(v)}, step=self.step)
        value = agreed(self.accelerator, row.get(self.recipe.validation, math.nan))
        if self.settings.patience and self.step and not math.isnan(value):
            if value < self.best["value"]:
                weights = self._measured_weights()
                self.best = {"value": value, "step": self.step, "waited": 0, "weights": weights}
            else:
                self.best["waited"] += 1
        return self._line(row)

    def _line(self, row: Mapping[str, float]) -> str:
        shown = ("step", "seconds", *self.recipe.headline) if self.recipe.headline else tuple(row)
        line = "  ".join(f"{name} {row[name]:.4g}" for name in shown if name in row)
        done = self._fraction()
        if 0 < done < 1:
            line += f"  left {timedelta(seconds=round(self.spent / done * (1 - done)))}"
        return line

    def _read_notes(self) -> dict[str, float]:
        """Means over steps and processes since the last time."""
        noted, self.notes = self.notes.sums, Notes()
        return {
            n: float(total / count) for n, (total, count) in self.accelerator.reduce(noted, "sum").items()
        }

    def _sheet(self) -> None:
        if not self.accelerator.is_main_process or self.files.sheet is None:
            return
        with self._measuring():
            picture = self.recipe.sheet()
        if picture is None:
            return
        save_png(self.files.sheet, picture)
        if self.settings.sheet_every:
            save_png(self.files.sheet.parent / "sheets" / f"{self.step:07d}.png", picture)
        if self.settings.tensorboard:
            levels = (picture.detach().float().cpu().clamp(-1, 1)[None] + 1) / 2
            self.accelerator.get_tracker(EVENTS).log_images({"sheet": levels.numpy()}, step=self.step)

    # ---- the state ---------------------------------------------------------------------------------------------

    def _save(self) -> None:
        """Write the state: what all processes have in common, and what is each one's own."""
        from accelerate.utils import gather_object, send_to_device

        own = {"rng": self.recipe.rng.get_state(), "recipe": self.recipe.state_dict()}
        ranks = gather_object([send_to_device(own, "cpu")])
        if not self.accelerator.is_main_process:
            return
        scaler = self.accelerator.scaler
        state = {
            "networks": self.networks.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "average": None if self.average is None else self.average.state_dict(),
            "scaler": None if scaler is None else scaler.state_dict(),
            "step": self.step,
            "spent": self.spent,
            "measured_at": self.measured_at,
            "rows": self.rows,
            "best": self.best,
            "notes": self.notes.sums,
            "ranks": ranks,
        }
        save_state(self.files.state, state)

    def _read(self) -> dict[str, Any]:
        path = self.files.state
        if not path.exists():
            raise RunError(f"there is no training state {path} to resume from", "Start with resume=false.")
        state = load_state(path)
        count, here = len(state.get("ranks", [])), self.accelerator.num_processes
        if count != here:
            raise RunError(
                f"{path} is the state of {count} processes, these are {here}",
                "Resume with as many, or start again.",
            )
        return state

    def _use(self, state: Mapping[str, Any]) -> None:
        """Go on from what `_save` wrote."""
        device, scaler = self.accelerator.device, self.accelerator.scaler
        try:
            self.networks.load_state_dict(state["networks"])
            self.optimizer.load_state_dict(state["optimizer"])
            if self.average is not None and state["average"] is not None:
                self.average.load_state_dict(state["average"])
            if scaler is not None and state["scaler"] is not None:
                scaler.load_state_dict(state["scaler"])
            self.step, self.spent = int(state["step"]), float(state["spent"])
            self.measured_at = float(state["measured_at"])
            self.rows, self.best = list(state["rows"]), dict(state["best"])
            self.notes = Notes({name: noted.to(device) for name, noted in state["notes"].items()})
            own = state["ranks"][self.accelerator.process_index]
            self.recipe.rng.set_state(own["rng"])
            self.recipe.load_state_dict(own["recipe"])
        except (LookupError, ValueError, RuntimeError, TypeError, AttributeError) as error:
            raise RunError(
                f"{self.files.state} does not fit these settings: {in_one_line(error)}",
                "Resume with the settings it was made with.",
            ) from error
