"""The schema of a run's configuration: what keys there are, of which type, and what they mean.

Recipes are YAML (conf/); this module checks what they compose to and turns it into dataclasses. It imports no torch.
"""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from omegaconf import MISSING, DictConfig

from pie_framework.api.kinds import Kind, Slot
from pie_framework.api.layout import EDITABLE_BLOCKS
from pie_framework.errors import ConfigError, did_you_mean
from pie_framework.settings import given_values, merge

DTYPES = ("float32", "float64")
#: Keys under which a configuration chooses components.
CHOSEN = tuple(kind.value for kind in Kind if kind.slot in (Slot.ONE, Slot.PER_BLOCK, Slot.PER_ROLE))
#: Components of a configuration that says nothing of their kind.
DEFAULT_COMPONENTS: Mapping[str, Any] = {"editor": "rig", "init": "mean", "optimizer": "adam"}


@dataclass
class TermConfig:
    """One term of E(w).

    Attributes:
        term: registered name of the term; the key it stands under is only how this run calls it.
        weight: λ, one number, or one per stage by name; a term of weight 0 is not evaluated and requires nothing.
        parts: weights of the parts it returns; 1 for parts that are not named.
        options: the term's own settings.
    """

    term: str = MISSING
    weight: Any = 1.0
    parts: dict[str, float] = field(default_factory=dict)
    options: dict[str, Any] = field(default_factory=dict)

    @property
    def active(self) -> bool:
        """Whether the term has a weight in any stage."""
        weights = self.weight.values() if isinstance(self.weight, Mapping) else [self.weight]
        return any(float(weight) != 0.0 for weight in weights)


@dataclass
class StageConfig:
    """One stage of the optimisation; `pie_framework.optimisation.solver.Stage` explains the fields."""

    name: str = MISSING
    space: str = MISSING
    steps: int = MISSING
    lr: float = MISSING
    decay: float = 1.0
    decay_every: int = 2000
    staircase: bool = False
    decay_from_start: bool = False
    cosine: bool = False
    tolerance: float = 0.0
    window: int = 50


@dataclass
class ScheduleConfig:
    """The stages in order, and every how many steps energies are read."""

    stages: list[StageConfig] = field(default_factory=list)
    check_every: int = 10


@dataclass
class PriorConfig:
    """How the v of E_v are drawn; see conf/config.yaml."""

    pool: int = 64
    per_step: int = 1
    blocks_per_step: int = 1


@dataclass
class EditConfig:
    """Edits made at the end of a run.

    Attributes:
        requests: a name, and the controls `pie edit` would be given.
        corrections: how often an edit is corrected by what was read back; 0 is a single pass.
    """

    requests: dict[str, list[str]] = field(default_factory=dict)
    corrections: int = 2


@dataclass
class RunConfig:
    """The whole configuration of a run.

    Attributes:
        terms: of E(w), by the name this run gives them.
        components: the chosen components by kind, each `{name: ..., <its own settings>}`; of rigs and features one
            such node per block and per role. In a configuration file each kind is a key of its own.

    The other fields are explained in conf/config.yaml.
    """

    terms: dict[str, TermConfig] = field(default_factory=dict)
    components: dict[str, Any] = field(default_factory=dict)
    schedule: ScheduleConfig = field(default_factory=ScheduleConfig)
    edit: EditConfig = field(default_factory=EditConfig)
    blocks: list[str] = field(default_factory=lambda: list(EDITABLE_BLOCKS))
    prior: PriorConfig = field(default_factory=PriorConfig)
    input: Any = "example"
    examples: str = "pkg://pie_synthetic/examples"
    seed: int = 0
    device: str = "auto"
    dtype: str = "float32"
    outputs: str = "outputs"
    resume: str | None = None
    checkpoint_every: int = 50
    paste_back: bool = False


#: What a configuration may hold.
_KEYS = tuple(f.name for f in dataclasses.fields(RunConfig) if f.name != "components") + CHOSEN
#: Groups whose options go elsewhere: what is missing where they become keys.
_HEADERS = {
    "energy": "The first line of a file of the group energy is '# @package _global_'.",
    "term": "Choose it as +term@terms.NAME=OPTION.",
}


def parse(config: DictConfig | Mapping[str, Any]) -> RunConfig:
    """Check a composed configuration and give it as dataclasses.

    Raises:
        ConfigError: a key that does not exist (names the near ones), a value of the wrong type or out of range.
    """
    given = given_values(config)
    for key in given:
        if key not in _KEYS:
            raise ConfigError(f"there is no setting '{key}'", _HEADERS.get(key) or did_you_mean(key, _KEYS))
    chosen = {**DEFAULT_COMPONENTS, **{kind: given.pop(kind) for kind in CHOSEN if kind in given}}
    run = merge(RunConfig, given)
    run.components = {kind: _node(kind, node) for kind, node in chosen.items()}
    _check_terms(run)
    _check_schedule(run)
    _one_of("dtype", run.dtype, DTYPES)
    if not re.fullmatch(r"auto|cpu|cuda(:\d+)?", run.device):
        raise ConfigError(f"device: '{run.device}' is not a device", "It is auto, cpu, cuda or cuda:N.")
    for block in run.blocks:
        if run.blocks.count(block) > 1:
            raise ConfigError(f"blocks: '{block}' is there twice")
    _at_least("seed", run.seed, 0)
    if run.seed >= 1 << 63:
        raise ConfigError(f"seed: {run.seed} is too large", "It is below 2^63.")
    _at_least("checkpoint_every", run.checkpoint_every, 0)
    _at_least("edit.corrections", run.edit.corrections, 0)
    _at_least("prior.pool", run.prior.pool, 0)
    _at_least("prior.per_step", run.prior.per_step, 1)
    _at_least("prior.blocks_per_step", run.prior.blocks_per_step, 0)
    _check_input(run)
    return run


def values(run: RunConfig) -> dict[str, Any]:
    """The inverse of `parse`: the configuration as plain values, with each kind of component under its own key."""
    plain = dataclasses.asdict(run)
    components: dict[str, Any] = plain.pop("components")
    return {**plain, **components}


def _node(kind: str, node: Any) -> dict[str, Any]:
    """The settings under a kind's key; a name alone stands for the component with its defaults."""
    if isinstance(node, str):
        return {"name": node}
    if node is None:
        return {}
    if not isinstance(node, Mapping):
        raise ConfigError(f"{kind}: {node!r} is not a group of settings", f"Choose one with {kind}=NAME.")
    return {str(key): value for key, value in node.items()}


def _check_terms(run: RunConfig) -> None:
    stages = [stage.name for stage in run.schedule.stages]
    for name, term in run.terms.items():
        where = f"terms.{name}"
        weights = term.weight if isinstance(term.weight, Mapping) else {"": term.weight}
        for stage, weight in weights.items():
            key = f"{where}.weight.{stage}" if stage else f"{where}.weight"
            if stage and stage not in stages:
                raise ConfigError(f"{key}: the schedule has no stage '{stage}'", did_you_mean(stage, stages))
            _check_weight(key, weight)
        for part, weight in term.parts.items():
            _check_weight(f"{where}.parts.{part}", weight)


def _check_weight(key: str, weight: object) -> None:
    if isinstance(weight, bool) or not isinstance(weight, (int, float)) or not math.isfinite(weight):
        raise ConfigError(f"{key}: {weight!r} is not a finite number")


def _check_schedule(run: RunConfig) -> None:
    if not run.schedule.stages:
        raise ConfigError("schedule.stages is empty", "Try schedule=quick.")
    _at_least("schedule.check_every", run.schedule.check_every, 1)
    names = [stage.name for stage in run.schedule.stages]
    for i, stage in enumerate(run.schedule.stages):
        if names.count(stage.name) > 1:
            raise ConfigError(f"schedule.stages: '{stage.name}' is there twice")
        _one_of(f"schedule.stages.{i}.space", stage.space, ("w", "w_plus"))
        _at_least(f"schedule.stages.{i}.steps", stage.steps, 0)
        for name in ("lr", "decay", "tolerance"):
            if not math.isfinite(getattr(stage, name)):
                raise ConfigError(
                    f"schedule.stages.{i}.{name}: {getattr(stage, name)} is not a finite number"
                )


def _check_input(run: RunConfig) -> None:
    inputs = run.input if isinstance(run.input, list) else [run.input]
    if not inputs or not all(isinstance(path, str) and path for path in inputs):
        raise ConfigError(f"input: {run.input!r} is not a path or a list of paths", "Try input=photo.jpg.")


def _one_of(key: str, value: str, known: Iterable[str]) -> None:
    if value not in known:
        raise ConfigError(f"{key}: '{value}' is not one of its values", did_you_mean(value, known))


def _at_least(key: str, value: int, least: int) -> None:
    if value < least:
        raise ConfigError(f"{key}: {value} is too small", f"It is at least {least}.")
