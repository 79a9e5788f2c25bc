"""What the training engine trains: the base of every recipe."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Progress:
    """Where a training stands.

    Attributes:
        step: steps taken.
        fraction: share of the budget that is used up, 0 to 1.
    """

    step: int
    fraction: float


class Notes:
    """Figures of the steps since they were last read, for the curve.

    Attributes:
        sums: by name, the sum of the values and their number, (2,) float64.
    """

    def __init__(self, sums: Mapping[str, Tensor] | None = None) -> None:
        self.sums = dict(sums or {})

    def add(self, name: str, value: Tensor | float) -> None:
        """Note a scalar; the curve shows the mean."""
        number = torch.as_tensor(value, dtype=torch.float64).detach()
        noted = torch.stack([number, torch.ones_like(number)])
        self.sums[name] = self.sums[name] + noted if name in self.sums else noted


class TrainingRecipe:
    """What the engine trains. Subclasses set the attributes and write `losses`, `measure` and `save`.

    Attributes:
        modules: the networks that are trained, by name.
        optimizer: of their parameters; the engine sets its learning rate.
        rng: what this process draws from.
        validation: the figure of `measure` that early stopping watches (lower is better); empty for none.
        headline: figures that lines of progress show; empty for all. The curve has all.
    """

    modules: Mapping[str, nn.Module]
    optimizer: torch.optim.Optimizer
    rng: torch.Generator
    validation: str = ""
    headline: Sequence[str] = ()

    def prepare(self, resumed: bool) -> None:
        """What is done once before the first step, and takes time, such as making samples.

        Args:
            resumed: the saved state is loaded next.
        """

    def losses(self, progress: Progress, notes: Notes) -> Iterator[Tensor]:
        """Scalar losses of a fresh batch, each a mean over it; one after another is differentiated and let go.

        Losses that share no network may be given one by one, which saves memory.
        """
        raise NotImplementedError

    def learning_rate(self, progress: Progress) -> float:
        """The optimiser's rate of a step."""
        raise NotImplementedError

    def measure(self) -> Mapping[str, float]:
        """Figures on what is not trained on. Called in process 0, without gradients, in evaluation mode."""
        return {}

    def save(self, figures: Mapping[str, float]) -> None:
        """Write the weight files. Called in process 0."""
        raise NotImplementedError

    def sheet(self) -> Tensor | None:
        """A picture (3, H, W) in [-1, 1] that shows how far the training is; None for none."""
        return None

    def state_dict(self) -> dict[str, Any]:
        """What changes while training beside modules, optimiser and rng; of this process."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """The inverse of `state_dict`."""


@dataclass(frozen=True)
class TrainingFiles:
    """Where the engine writes.

    Attributes:
        state: what `resume` goes on from.
        curve: CSV of the measurements.
        sheet: PNG, always the newest; earlier ones lie in `sheets/` beside it. None for none.
    """

    state: Path
    curve: Path
    sheet: Path | None

    @classmethod
    def in_folder(cls, folder: str | Path) -> TrainingFiles:
        """The usual names in one folder."""
        base = Path(folder)
        return cls(base / "state.pt", base / "curve.csv", base / "sheet.png")


def settings_as_notes(settings: Any, folders: Sequence[str] = ()) -> dict[str, Any]:
    """A settings dataclass as JSON values for the notes of a weight file, without its local folders."""
    return {name: value for name, value in asdict(settings).items() if name not in folders}
