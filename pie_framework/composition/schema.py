"""The schema of a run's configuration: what keys there are, of which type, and what they mean.

Recipes are YAML (conf/); this module checks what they compose to and turns it into dataclasses. It imports no torch.
"""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from annotated_types import Ge, Lt
from omegaconf import DictConfig

from pie_framework.api.kinds import Kind, Slot
from pie_framework.api.layout import EDITABLE_BLOCKS
from pie_framework.errors import ConfigError, did_you_mean
from pie_framework.optimisation.schedule import PriorSettings, Schedule
from pie_framework.settings import given_values, merge

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

    term: str
    weight: Any = 1.0
    parts: dict[str, float] = field(default_factory=dict)
    options: dict[str, Any] = field(default_factory=dict)

    @property
    def active(self) -> bool:
        """Whether the term has a weight in any stage."""
        weights = self.weight.values() if isinstance(self.weight, Mapping) else [self.weight]
        return any(float(weight) != 0.0 for weight in weights)


@dataclass
class EditConfig:
    """Edits made at the end of a run.

    Attributes:
        requests: a name, and the controls `pie edit` would be given.
        corrections: how often an edit is corrected by what was read back; 0 is a single pass.
    """

    requests: dict[str, list[str]] = field(default_factory=dict)
    corrections: Annotated[int, Ge(0)] = 2


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
    schedule: Schedule = field(default_factory=Schedule)
    edit: EditConfig = field(default_factory=EditConfig)
    blocks: list[str] = field(default_factory=lambda: list(EDITABLE_BLOCKS))
    prior: PriorSettings = field(default_factory=PriorSettings)
    input: Any = "example"
    examples: str = "pkg://pie_synthetic/examples"
    seed: Annotated[int, Ge(0), Lt(1 << 63)] = 0
    device: str = "auto"
    dtype: Literal["float32", "float64"] = "float32"
    outputs: str = "outputs"
    resume: str | None = None
    checkpoint_every: Annotated[int, Ge(0)] = 50
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
    if not re.fullmatch(r"auto|cpu|cuda(:\d+)?", run.device):
        raise ConfigError(f"device: '{run.device}' is not a device", "It is auto, cpu, cuda or cuda:N.")
    for block in run.blocks:
        if run.blocks.count(block) > 1:
            raise ConfigError(f"blocks: '{block}' is there twice")
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
    names = [stage.name for stage in run.schedule.stages]
    for name in names:
        if names.count(name) > 1:
            raise ConfigError(f"schedule.stages: '{name}' is there twice")


def _check_input(run: RunConfig) -> None:
    inputs = run.input if isinstance(run.input, list) else [run.input]
    if not inputs or not all(isinstance(path, str) and path for path in inputs):
        raise ConfigError(f"input: {run.input!r} is not a path or a list of paths", "Try input=photo.jpg.")
