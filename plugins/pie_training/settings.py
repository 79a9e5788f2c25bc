"""Settings that training recipes have in common. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from pie_framework.api.kinds import Kind
from pie_framework.errors import ConfigError

PRECISIONS = ("float32", "bfloat16", "float16")


@dataclass(frozen=True)
class Product:
    """What a recipe makes. With it in the class attribute `product` of its settings, which are `EngineSettings` with an
    `output` folder that keeps `TrainingFiles.in_folder`, a recipe takes part in `pie train backbone`; one of rigs has
    the setting `blocks`, too.

    Attributes:
        kind: `Kind.ENCODER` or `Kind.RIG`.
        component: name of the component that uses the weights, as its setting `weights`.
        file: the weight file in `output`; `{block}` in it stands for each block that there is a rig for.
    """

    kind: Kind
    component: str
    file: str


@dataclass(frozen=True)
class EngineSettings:
    """How the training engine runs a recipe (`pie_training.engine`); recipes inherit these.

    Attributes:
        seconds: time budget, over all resumed parts, measurements included; 0 for none, -1 for the recipe's usual one,
            and none where steps are given.
        steps: step budget, 0 for none; the learning rate's schedule is stretched over whichever budget ends first.
        clock: "wall", or "cpu" to count this process's own processor seconds (on a busy machine).
        stop_at: stop after this many steps so as to resume later; 0 for not.
        seed: of initialisation and of everything drawn; each process of several draws from a seed of its own.
        threads: processor threads of a process.
        resume: go on from the saved state, if there is one.
        precision: of the networks' feature maps while training: "float32", "bfloat16", or "float16" (GPU only, with
            a scaled loss). Weights, coefficients and losses stay in the run's dtype.
        accumulate: batches whose gradients are averaged in a step.
        ema: half-life, in steps, of the moving average of the weights, which is what is measured and saved; 0 for none.
        clip: largest norm of each network's gradient; 0 for no limit.
        measure_every: steps between two measurements.
        patience: measurements without a better validation figure after which training stops, and the best weights
            are kept; 0 for never.
        save_seconds: seconds between two saved states.
        sheet_every: steps between two sample sheets; 0 for one at the end only.
        tensorboard: also write curves and sheets as TensorBoard events (needs the extra `tensorboard`).
    """

    seconds: float = -1.0
    steps: int = 0
    clock: str = "wall"
    stop_at: int = 0
    seed: int = 0
    threads: int = 1
    resume: bool = False
    precision: str = "bfloat16"
    accumulate: int = 1
    ema: float = 100.0
    clip: float = 5.0
    measure_every: int = 400
    patience: int = 0
    save_seconds: float = 60.0
    sheet_every: int = 0
    tensorboard: bool = False

    #: Time budget where neither seconds nor steps are given.
    usual_seconds: ClassVar[float] = 0.0
    #: What the recipe makes for a backbone; None for nothing.
    product: ClassVar[Product | None] = None

    def __post_init__(self) -> None:
        if self.seconds == -1:
            object.__setattr__(self, "seconds", 0.0 if self.steps else self.usual_seconds)
        if self.clock not in ("wall", "cpu"):
            raise ConfigError(f"clock is '{self.clock}'; it must be 'wall' or 'cpu'")
        if self.precision not in PRECISIONS:
            raise ConfigError(f"precision is '{self.precision}'", "Use float32, bfloat16 or float16.")
        if min(self.seconds, self.steps) < 0 or not (self.seconds or self.steps):
            raise ConfigError(
                "a training needs a limit: steps or seconds must be positive", "Set one or both."
            )
        if min(self.accumulate, self.threads, self.measure_every) < 1:
            raise ConfigError("accumulate, threads and measure_every must be at least 1")
        if min(self.ema, self.clip, self.patience, self.save_seconds, self.sheet_every, self.stop_at) < 0:
            raise ConfigError(
                "ema, clip, patience, save_seconds, sheet_every and stop_at may not be negative"
            )


@dataclass(frozen=True)
class TrainerSettings:
    """Settings common to the recipes that train on a dataset.

    Attributes:
        dataset: folder of the portraits to train on.
        heldout: folder of portraits of other persons, for the curve's figures.
        reader: `module:callable` that opens a folder as a `PortraitReader`; empty: the one that an installed recipe
            for portraits names.
        out: weight file to write (`.safetensors`); the curve and the state are kept beside it.
        seconds: training time; the learning rate's schedule is stretched over it.
        clock: "wall", or "cpu" to count this process's own processor seconds (on a busy machine).
        steps: if above 0, this many steps instead of `seconds`, which makes a run reproducible.
        evaluate_every: seconds (or steps, when counted) between two rows of the curve.
        batch: portraits in a step.
        learning_rate: its peak.
        seed: of everything random.
        threads: processor threads.
        bf16: run the networks in bfloat16 where that is safe.
        resume: continue from the state beside `out`.
    """

    dataset: str = ""
    heldout: str = ""
    reader: str = ""
    out: str = ""
    seconds: float = 600.0
    clock: str = "wall"
    steps: int = 0
    evaluate_every: float = 60.0
    batch: int = 64
    learning_rate: float = 2e-3
    seed: int = 1
    threads: int = 1
    bf16: bool = True
    resume: bool = False

    def __post_init__(self) -> None:
        if self.seconds <= 0 or self.batch < 2 or self.evaluate_every <= 0:
            raise ConfigError("seconds and evaluate_every must be above 0, batch at least 2")
        self.engine()  # checks the others

    def engine(self, **others: Any) -> EngineSettings:
        """The engine's settings, with others on top: no average, no mixed precision outside the recipe's own."""
        return EngineSettings(
            **{
                "seconds": 0.0 if self.steps > 0 else self.seconds,
                "steps": max(0, self.steps),
                "clock": self.clock,
                "seed": self.seed,
                "threads": self.threads,
                "resume": self.resume,
                "precision": "float32",
                "ema": 0.0,
                "measure_every": max(1, round(self.evaluate_every)),
                "save_seconds": 0.0,
                **others,
            }
        )

    @property
    def curve_path(self) -> Path:
        """The curve, a CSV file beside the weights."""
        return Path(self.out).with_suffix(".curve.csv")

    @property
    def state_path(self) -> Path:
        """What `resume` continues from, beside the weights."""
        return Path(self.out).with_suffix(".state.pt")
