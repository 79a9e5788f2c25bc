"""The schema of a run's configuration: what keys there are, of which type, and what they mean.

Recipes are YAML (conf/); this module checks what they compose to and turns it into dataclasses. It imports no torch.
"""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from omegaconf import MISSING, DictConfig, OmegaConf
from omegaconf.errors import MissingMandatoryValue, OmegaConfBaseException

from pie_framework.api.kinds import Kind, Slot
from pie_framework.api.layout import EDITABLE_BLOCKS
from pie_framework.errors import ConfigError, did_you_mean

T = TypeVar("T")

DTYPES = ("float32", "float64")
#: Keys under which a configuration chooses components.
CHOSEN = tuple(kind.value for kind in Kind if kind.slot in (Slot.ONE, Slot.PER_BLOCK, Slot.PER_ROLE))
#: Components of a configuration that says nothing of their kind.
DEFAULT_COMPONENTS: Mapping[str, Any] = {"editor": "rig", "init": "mean", "optimizer": "adam"}
#: Settings that are the address of a file.
FILE_KEYS = ("weights", "path", "file", "model", "heads", "landmarks")


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
    """One stage of the optimisation; `pie_framework.solver.Stage` explains the fields."""

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


def parse(config: DictConfig | Mapping[str, Any]) -> RunConfig:
    """Check a composed configuration and give it as dataclasses.

    Raises:
        ConfigError: a key that does not exist (names the near ones), a value of the wrong type or out of range.
    """
    plain: dict[str, Any] = (
        _plain(config, "") if isinstance(config, DictConfig) else {str(k): v for k, v in config.items()}
    )
    chosen = {**DEFAULT_COMPONENTS, **{kind: plain.pop(kind) for kind in CHOSEN if kind in plain}}
    run = merge(RunConfig, plain)
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


def merge(schema: type[T], values: DictConfig | Mapping[str, Any], where: str = "") -> T:
    """An instance of a dataclass from its defaults and the given values, checked against its types.

    Args:
        schema: a dataclass whose field types OmegaConf knows; it may be frozen.
        values: what differs from the defaults; nested mappings for nested dataclasses.
        where: the key these values stand under, for messages.
    """
    if isinstance(values, DictConfig):
        plain = _plain(values, where)
    else:
        plain = {str(key): value for key, value in values.items()}
    check_keys(schema, plain, where)
    try:
        node = OmegaConf.structured(schema)
        _writable(node)
        result = OmegaConf.to_object(OmegaConf.merge(node, plain))
    except MissingMandatoryValue as error:
        key = _key(where, error)
        raise ConfigError(f"{key} must be given", _file_hint(key)) from error
    except OmegaConfBaseException as error:
        raise ConfigError(f"{_key(where, error)}: {_reason(error)}") from error
    assert isinstance(result, schema)
    return _tuples(result, where)


def _writable(node: Any) -> None:
    """Frozen dataclasses come as read-only nodes, also inside one another; here they are still to be filled."""
    OmegaConf.set_readonly(node, False)
    for key in list(node):
        if isinstance(node, DictConfig) and not OmegaConf.is_missing(node, key):
            child = node._get_node(key)
            if isinstance(child, DictConfig) and not child._is_none():
                _writable(child)


def check_keys(schema: type, values: Mapping[str, Any], where: str = "") -> None:
    """Raise ConfigError for a key that a dataclass (or one nested in it) does not have."""
    hints = _hints(schema)
    for key, value in values.items():
        path = f"{where}.{key}" if where else str(key)
        if key not in hints:
            raise ConfigError(f"there is no setting '{path}'", did_you_mean(str(key), hints))
        inner, many = _nested(hints[key])
        if inner is None:
            continue
        children: Iterable[tuple[str, Any]] = [(path, value)]
        if many and isinstance(value, Mapping):
            children = [(f"{path}.{k}", v) for k, v in value.items()]
        elif many and isinstance(value, list):
            children = [(f"{path}.{i}", v) for i, v in enumerate(value)]
        for child_path, child in children:
            if not isinstance(child, Mapping):
                raise ConfigError(f"{child_path}: {child!r} is not a group of settings", _fields_hint(inner))
            if isinstance(value, list):
                merge(inner, child, child_path)  # OmegaConf would not say which of the list it is
            else:
                check_keys(inner, child, child_path)


def _fields_hint(schema: type) -> str:
    return "It has: " + ", ".join(f.name for f in dataclasses.fields(schema)) + "."


def _hints(schema: type) -> dict[str, Any]:
    import typing

    hints = typing.get_type_hints(schema)
    return {f.name: hints[f.name] for f in dataclasses.fields(schema)}


def _nested(hint: Any) -> tuple[type | None, bool]:
    """The dataclass inside a type, and whether the type holds several of it."""
    import typing

    if isinstance(hint, type) and dataclasses.is_dataclass(hint):
        return hint, False
    for inner in typing.get_args(hint):
        if isinstance(inner, type) and dataclasses.is_dataclass(inner):
            return inner, typing.get_origin(hint) in (dict, list)
    return None, False


def _plain(values: Any, where: str) -> dict[str, Any]:
    """A config node as plain containers with its interpolations resolved."""
    try:
        plain = OmegaConf.to_container(values, resolve=True)
    except OmegaConfBaseException as error:
        raise ConfigError(f"{_key(where, error)}: {_reason(error)}") from error
    if not isinstance(plain, dict):
        raise ConfigError(f"{where or 'the configuration'} is not a group of settings")
    return {str(key): value for key, value in plain.items()}


def _tuples(instance: T, where: str) -> T:
    """The same instance with lists made tuples where the field says tuple (OmegaConf knows only lists)."""
    import typing

    if dataclasses.is_dataclass(instance):
        for name, hint in _hints(type(instance)).items():
            value = getattr(instance, name)
            if dataclasses.is_dataclass(value):
                _tuples(value, f"{where}.{name}".lstrip("."))
            if isinstance(value, list) and typing.get_origin(hint) is tuple:
                expected = typing.get_args(hint)
                if Ellipsis not in expected and len(value) != len(expected):
                    key = f"{where}.{name}".lstrip(".")
                    raise ConfigError(f"{key}: {len(value)} values were given, it takes {len(expected)}")
                object.__setattr__(instance, name, tuple(value))
    return instance


def _key(where: str, error: OmegaConfBaseException) -> str:
    inside = str(getattr(error, "full_key", "") or getattr(error, "key", "") or "")
    return ".".join(part for part in (where, inside) if part) or "the configuration"


def _file_hint(key: str) -> str:
    """What to do about a file that does not come with the package; empty when the key names none."""
    if key.rpartition(".")[2] not in FILE_KEYS:
        return ""
    return (
        "It is a file that does not come with the package: 'pie assets list' says where from; "
        f"then {key}=PATH or asset://NAME."
    )


def _reason(error: OmegaConfBaseException) -> str:
    """OmegaConf's message without its technical tail, in plain words."""
    text = str(getattr(error, "msg", None) or error).splitlines()[0]
    value = re.search(r"'(.*?)'", text)
    kind = re.search(r"(?:converted to|not a valid) (\w+)", text)
    if value and kind and kind[1].lower() in _KINDS:
        return f"'{value[1]}' is not {_KINDS[kind[1].lower()]}"
    if "is not a ListConfig" in text:
        return "one value was given where a list is expected"
    if "Cannot convert 'ListConfig'" in text:
        return "a list was given where one value is expected"
    if "Incompatible value 'None'" in text:
        return "it may not be null"
    return text


_KINDS = {
    "integer": "a whole number",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "boolean": "true or false",
    "str": "text",
    "string": "text",
}


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
