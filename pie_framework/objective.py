"""E(w): a sum of weighted, named energy terms (§2). Weights live here, terms know nothing of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from pie_framework.api import EnergyTerm, LatentView, TargetView
from pie_framework.errors import ConfigError, did_you_mean


@dataclass(frozen=True)
class WeightedTerm:
    """One term of E(w) with its weights.

    Attributes:
        term: the term.
        weight: λ, one number for the run, or one per stage by name ({"w": 1.0, "w_plus": 0.5}; a stage that is
            not named has weight 0). A term of weight 0 is not evaluated.
        parts: weights of the parts a term returns by name; 1 for parts that are not named.
    """

    term: EnergyTerm
    weight: float | Mapping[str, float] = 1.0
    parts: Mapping[str, float] = field(default_factory=dict)

    def weight_in(self, stage: str) -> float:
        if isinstance(self.weight, Mapping):
            return float(self.weight.get(stage, 0.0))
        return float(self.weight)

    @property
    def active(self) -> bool:
        """Whether the term has a weight in any stage."""
        if isinstance(self.weight, Mapping):
            return any(float(w) != 0.0 for w in self.weight.values())
        return float(self.weight) != 0.0


@dataclass(frozen=True)
class Breakdown:
    """E(w) and where it comes from.

    Attributes:
        total: (B,), the sum of the weighted parts; carries the gradient.
        raw: {name: (B,)} unweighted, detached; a part is called `term.part`, a term without parts `term`.
        weights: {name: λ}, the factor each part entered the sum with.
    """

    total: Tensor
    raw: Mapping[str, Tensor]
    weights: Mapping[str, float]

    @property
    def weighted(self) -> dict[str, Tensor]:
        """{name: (B,)}, detached."""
        return {name: self.weights[name] * value for name, value in self.raw.items()}


class Objective:
    """The energy of a run.

    Args:
        terms: the weighted terms by the name the configuration gives them.
    """

    def __init__(self, terms: Mapping[str, WeightedTerm]) -> None:
        self.terms = dict(terms)
        if not any(term.active for term in self.terms.values()):
            raise ConfigError("the energy has no term with a weight other than 0", "Try energy=full.")

    def __call__(self, view: LatentView, target: TargetView, stage: str) -> Breakdown:
        """Evaluate every term that has a weight in this stage.

        Raises:
            ConfigError: a weight names a part that its term does not return.
        """
        total = torch.zeros(view.batch, device=view.latent.device, dtype=view.latent.dtype)
        raw: dict[str, Tensor] = {}
        weights: dict[str, float] = {}
        for name, weighted in self.terms.items():
            weight = weighted.weight_in(stage)
            if weight == 0.0:
                continue
            value = weighted.term.energy(view, target)
            parts = (
                {name: value} if isinstance(value, Tensor) else {f"{name}.{p}": v for p, v in value.items()}
            )
            self._check_parts(name, weighted, parts)
            for part, energy in parts.items():
                factor = weight * float(weighted.parts.get(part.removeprefix(f"{name}."), 1.0))
                raw[part] = energy.detach()
                weights[part] = factor
                if factor != 0.0:
                    total = total + factor * energy
        return Breakdown(total, raw, weights)

    @staticmethod
    def _check_parts(name: str, weighted: WeightedTerm, parts: Mapping[str, Tensor]) -> None:
        known = [part.removeprefix(f"{name}.") for part in parts]
        for part in weighted.parts:
            if part not in known:
                raise ConfigError(f"the energy term '{name}' has no part '{part}'", did_you_mean(part, known))
