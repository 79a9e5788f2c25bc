"""The energies of every step, on the CPU."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class HistoryRow:
    """The energies of one step.

    Attributes:
        stage: name of the stage.
        step: step in the stage, from 1.
        portraits: the portraits that took the step, by their number in the run; lists have one value for each.
        total: E(w).
        raw: unweighted parts by name.
        weights: λ by the name of the part.
    """

    stage: str
    step: int
    portraits: tuple[int, ...]
    total: list[float]
    raw: dict[str, list[float]]
    weights: dict[str, float]

    def non_finite_part(self, portrait: int) -> str | None:
        """The first part of E(w) that is not finite for a portrait, "total" when only the sum overflowed; None else."""
        at = self.portraits.index(portrait)
        for name, values in self.raw.items():
            if not math.isfinite(values[at]):
                return name
        return None if math.isfinite(self.total[at]) else "total"


@dataclass
class History:
    """The energies of the steps so far, oldest first."""

    rows: list[HistoryRow] = field(default_factory=list)

    def totals(self, stage: str, portrait: int) -> list[float]:
        """E(w) of a portrait at each step it took in a stage."""
        return [
            row.total[row.portraits.index(portrait)]
            for row in self.rows
            if row.stage == stage and portrait in row.portraits
        ]

    def last(self, portrait: int) -> HistoryRow | None:
        """The last step that a portrait took."""
        return next((row for row in reversed(self.rows) if portrait in row.portraits), None)

    def last_energies(self, portraits: int) -> dict[str, Any]:
        """E(w) where each of the portraits stopped, `{"total": [B], "raw": {part: [B]}, "weights": {part: λ}}`.

        A part that the last step of a portrait did not evaluate is None; {} when no step was taken.
        """
        if not self.rows:
            return {}
        ends = [self.last(i) for i in range(portraits)]
        parts = self.rows[-1].raw

        def at(i: int, part: str | None) -> float | None:
            row = ends[i]
            if row is None:
                return None
            values = row.total if part is None else row.raw.get(part)
            return None if values is None else values[row.portraits.index(i)]

        return {
            "total": [at(i, None) for i in range(portraits)],
            "raw": {part: [at(i, part) for i in range(portraits)] for part in parts},
            "weights": self.rows[-1].weights,
        }
