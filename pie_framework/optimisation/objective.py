"""E(w): a sum of weighted, named energy terms (§2). Weights live here, terms know nothing of them.

What a term raises, gives wrongly or changes that is not its own is a `PluginError` that names it.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from pie_framework.api import EnergyTerm, LatentView, TargetView
from pie_framework.errors import ConfigError, PieError, PluginError, did_you_mean, in_one_line
from pie_framework.optimisation.watching import Watch

if TYPE_CHECKING:
    from jaxtyping import Float

_log = logging.getLogger(__name__)

#: Names of the parts of a term: what configuration and tables can write.
PART = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclass(frozen=True)
class WeightedTerm:
    """One term of E(w) with its weights.

    Attributes:
        term: the term.
        weight: λ, one number for the run, or one per stage by name ({"w": 1.0, "w_plus": 0.5}; a stage that is
            not named has weight 0). A term of weight 0 is not evaluated.
        parts: weights of the parts a term returns by name; 1 for parts that are not named.
        origin: the plugin it comes from, such as "pie-glow 0.1.0", for messages.
    """

    term: EnergyTerm
    weight: float | Mapping[str, float] = 1.0
    parts: Mapping[str, float] = field(default_factory=dict)
    origin: str = ""

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
class Part:
    """One part of E(w) at one latent.

    Attributes:
        name: `term.part`, or `term` for a term without parts.
        weight: λ, the factor it enters the sum with.
        value: unweighted; carries the gradient.
    """

    name: str
    weight: float
    value: Float[Tensor, "B"]


@dataclass(frozen=True)
class Breakdown:
    """E(w) and where it comes from.

    Attributes:
        total: the sum of the weighted parts; carries the gradient.
        raw: by name, unweighted, detached; a part is called `term.part`, a term without parts `term`.
        weights: {name: λ}, the factor each part entered the sum with.
    """

    total: Float[Tensor, "B"]
    raw: Mapping[str, Float[Tensor, "B"]]
    weights: Mapping[str, float]

    @property
    def weighted(self) -> dict[str, Float[Tensor, "B"]]:
        """By name, detached."""
        return {name: self.weights[name] * value for name, value in self.raw.items()}


class Objective:
    """The energy of a run.

    Args:
        terms: the weighted terms by the name the configuration gives them.
    """

    def __init__(self, terms: Mapping[str, WeightedTerm]) -> None:
        self.terms = dict(terms)
        self._parts: dict[str, tuple[str, ...]] = {}
        if not any(term.active for term in self.terms.values()):
            raise ConfigError("the energy has no term with a weight other than 0", "Try energy=full.")

    def __call__(self, view: LatentView, target: TargetView, stage: str) -> Breakdown:
        """Evaluate every term that has a weight in this stage.

        Raises:
            ConfigError: a weight names a part that its term does not return.
            PluginError: a term failed, gave something else than (B,), or changed what it was given.
        """
        total = torch.zeros(view.batch, device=view.latent.device, dtype=view.latent.dtype)
        raw: dict[str, Tensor] = {}
        weights: dict[str, float] = {}
        for part in self.parts(view, target, stage):
            raw[part.name] = part.value.detach()
            weights[part.name] = part.weight
            if part.weight != 0.0:
                total = total + part.weight * part.value
        return Breakdown(total, raw, weights)

    def described(self, part: str) -> str:
        """The term that a part of E(w) is of, in words, with its plugin."""
        name = part if part in self.terms else part.rpartition(".")[0]
        origin = self.terms[name].origin if name in self.terms else ""
        return f"the energy term '{part}'" + (f" of {origin}" if origin else "")

    def parts(self, view: LatentView, target: TargetView, stage: str) -> Iterator[Part]:
        """The parts of every term that has a weight in this stage, one by one; errors as for the sum."""
        for name, weighted in self.terms.items():
            weight = weighted.weight_in(stage)
            if weight == 0.0:
                continue
            values = self._evaluate(name, weighted, view, target)
            for part, value in values.items():
                factor = weight * float(weighted.parts.get(part, 1.0))
                yield Part(f"{name}.{part}" if part else name, factor, value)

    def _evaluate(
        self, name: str, weighted: WeightedTerm, view: LatentView, target: TargetView
    ) -> Mapping[str, Float[Tensor, "B"]]:
        """The checked parts of one term by name; a term without parts has the one part ""."""
        who = self.described(name)
        watch = Watch(view, target) if name not in self._parts else None
        try:
            given = weighted.term.energy(view, target)
        except PluginError:
            raise
        except PieError as error:
            error.locate(who)
            raise
        except (Exception, SystemExit) as error:
            raise PluginError(f"{who} failed: {in_one_line(error)}") from error
        values = _checked(who, given, view)
        if watch is not None and (changed := watch.changed()):
            raise PluginError(
                f"{who} changed {changed}", "A term reads what it is given; use .clone() first."
            )
        named = tuple(values)
        before = self._parts.setdefault(name, named)
        if set(named) != set(before):
            raise PluginError(f"{who} gave the parts {_listed(named)}, before {_listed(before)}")
        if watch is not None:
            if view.latent.requires_grad and not any(value.requires_grad for value in values.values()):
                _log.warning("%s has no gradient: it is measured, but changes nothing", who)
            for part in weighted.parts:
                if part not in values:
                    raise ConfigError(
                        f"the energy term '{name}' has no part '{part}'",
                        did_you_mean(part, [p for p in values if p]),
                    )
        return values


def _checked(who: str, given: object, view: LatentView) -> dict[str, Float[Tensor, "B"]]:
    """What a term gave as named parts; PluginError says what is wrong with it."""
    parts: Mapping[object, object] = given if isinstance(given, Mapping) else {"": given}
    if not parts:
        raise PluginError(f"{who} gave no part")
    checked: dict[str, Tensor] = {}
    for part, value in parts.items():
        what = who
        if isinstance(given, Mapping):
            if not isinstance(part, str) or not PART.fullmatch(part):
                raise PluginError(
                    f"{who} gave a part called {part!r}",
                    "Parts are called by letters, digits and underscores.",
                )
            what = f"the part '{part}' of {who}"
        wanted = f"one value per portrait, ({view.batch},)"
        if not isinstance(value, Tensor):
            raise PluginError(f"{what} is {type(value).__name__}, not a tensor with {wanted}")
        if tuple(value.shape) != (view.batch,):
            raise PluginError(f"{what} has the shape {tuple(value.shape)}, not {wanted}")
        if value.dtype != view.latent.dtype or value.device != view.latent.device:
            raise PluginError(
                f"{what} is {value.dtype} on {value.device}, the latent is {view.latent.dtype} "
                f"on {view.latent.device}"
            )
        checked[str(part)] = value
    return checked


def _listed(names: tuple[str, ...]) -> str:
    return ", ".join(f"'{name}'" for name in names)
