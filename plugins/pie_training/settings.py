"""Settings that training recipes have in common. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from annotated_types import Ge, Gt, IsFinite

from pie_framework.api.kinds import Kind
from pie_framework.errors import ConfigError

#: What a budget of seconds may be counted by.
Clock = Literal["wall", "cpu"]
Positive = Annotated[IsFinite[float], Gt(0)]
#: Portraits in a step.
Batch = Annotated[int, Ge(2)]


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
        seconds: time budget, over all resumed parts, measurements included; 0 for none, null for the recipe's usual
            one, and none where steps are given.
        steps: step budget, 0 for none; the learning rate's schedule is stretched over whichever budget ends first.
        clock: "wall", or "cpu" to count this process's own processor seconds (on a busy machine).
        stop_at: stop after this many steps so as to resume later; 0 for not.
        seed: of initialisation and of everything drawn; each process of several draws from a seed of its own.
        threads: processor threads of a process, at least 1.
        resume: go on from the saved state, if there is one.
        precision: of the networks' feature maps while training: "float32", "bfloat16", or "float16" (GPU only, with
            a scaled loss). Weights, coefficients and losses stay in the run's dtype.
        accumulate: batches whose gradients are averaged in a step, at least 1.
        ema: half-life, in steps, of the moving average of the weights, which is what is measured and saved; 0 for none.
        clip: largest norm of each network's gradient; 0 for no limit.
        measure_every: steps between two measurements, at least 1.
        patience: measurements without a better validation figure after which training stops, and the best weights
            are kept; 0 for never.
        save_seconds: seconds between two saved states; 0 for none between measurements.
        sheet_every: steps between two sample sheets; 0 for one at the end only.
        tensorboard: also write curves and sheets as TensorBoard events (needs the extra `tensorboard`).
    """

    seconds: Annotated[float, Ge(0)] | None = None
    steps: Annotated[int, Ge(0)] = 0
    clock: Clock = "wall"
    stop_at: Annotated[int, Ge(0)] = 0
    seed: int = 0
    threads: Annotated[int, Ge(1)] = 1
    resume: bool = False
    precision: Literal["float32", "bfloat16", "float16"] = "bfloat16"
    accumulate: Annotated[int, Ge(1)] = 1
    ema: Annotated[float, Ge(0)] = 100.0
    clip: Annotated[float, Ge(0)] = 5.0
    measure_every: Annotated[int, Ge(1)] = 400
    patience: Annotated[int, Ge(0)] = 0
    save_seconds: Annotated[float, Ge(0)] = 60.0
    sheet_every: Annotated[int, Ge(0)] = 0
    tensorboard: bool = False

    #: Time budget where neither seconds nor steps are given.
    usual_seconds: ClassVar[float] = 0.0
    #: What the recipe makes for a backbone; None for nothing.
    product: ClassVar[Product | None] = None

    def __post_init__(self) -> None:
        if self.seconds is None:
            object.__setattr__(self, "seconds", 0.0 if self.steps else self.usual_seconds)
        if not (self.seconds or self.steps):
            raise ConfigError(
                "a training needs a limit: steps or seconds must be positive", "Set one or both."
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
        seconds: training time, above 0; the learning rate's schedule is stretched over it.
        clock: "wall", or "cpu" to count this process's own processor seconds (on a busy machine).
        steps: this many steps instead of `seconds`, which makes a run reproducible; 0 for the seconds.
        evaluate_every: seconds (or steps, when counted) between two rows of the curve, above 0.
        batch: portraits in a step, at least 2.
        learning_rate: its peak.
        seed: of everything random.
        threads: processor threads, at least 1.
        bf16: run the networks in bfloat16 where that is safe.
        resume: continue from the state beside `out`.
    """

    dataset: str = ""
    heldout: str = ""
    reader: str = ""
    out: str = ""
    seconds: Annotated[float, Gt(0)] = 600.0
    clock: Clock = "wall"
    steps: Annotated[int, Ge(0)] = 0
    evaluate_every: Positive = 60.0
    batch: Batch = 64
    learning_rate: float = 2e-3
    seed: int = 1
    threads: Annotated[int, Ge(1)] = 1
    bf16: bool = True
    resume: bool = False

    def engine(self, **others: Any) -> EngineSettings:
        """The engine's settings, with others on top: no average, no mixed precision outside the recipe's own."""
        return EngineSettings(
            **{
                "seconds": 0.0 if self.steps else self.seconds,
                "steps": self.steps,
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
