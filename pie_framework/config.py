"""The schema of a run's configuration: what keys there are, of which type, and what they mean.

Recipes are YAML (conf/); this module checks what they compose to and turns it into dataclasses. It imports no torch.
"""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from omegaconf import MISSING, DictConfig, OmegaConf
from omegaconf.errors import GrammarParseError, MissingMandatoryValue, OmegaConfBaseException

from pie_framework.api.kinds import Kind, Slot
from pie_framework.api.layout import EDITABLE_BLOCKS
from pie_framework.errors import ConfigError, PieError, did_you_mean

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
    given = _given(config, "")
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


def merge(schema: type[T], values: DictConfig | Mapping[str, Any], where: str = "") -> T:
    """An instance of a dataclass from its defaults and the given values, checked against its types.

    Args:
        schema: a dataclass whose field types OmegaConf knows; it may be frozen.
        values: what differs from the defaults; nested mappings for nested dataclasses.
        where: the key these values stand under, for messages.

    Raises:
        ConfigError: a key that the dataclass does not have, a value of the wrong type, one that must be given and is
            not, or one that the dataclass itself refuses.
    """
    given = _given(values, where)
    node = typed(schema, given, where)
    for name, value in given.items():
        if value == MISSING:
            key = f"{where}.{name}".lstrip(".")
            raise ConfigError(f"{key} must be given", _file_hint(key))
    try:
        result = OmegaConf.to_object(node)
    except MissingMandatoryValue as error:
        key = _key(where, error)
        raise ConfigError(f"{key} must be given", _file_hint(key)) from error
    except OmegaConfBaseException as error:
        raise ConfigError(told(error, where)) from error
    except PieError as error:
        if where:
            error.locate(where)
        raise
    except Exception as error:  # what a plugin's dataclass checks for itself
        reason = f"{type(error).__name__}: {error}"
        raise ConfigError(f"{where}: {reason}" if where else reason) from error
    assert isinstance(result, schema)
    return _tuples(result, where)


def typed(schema: type, values: DictConfig | Mapping[str, Any], where: str = "") -> DictConfig:
    """As `merge`, without the instance: keys and types are checked, but nothing need be given.

    Raises:
        ConfigError: a key that the dataclass does not have, or a value of the wrong type.
    """
    given = _given(values, where)
    check_keys(schema, given, where)
    try:
        node = OmegaConf.structured(schema)
        _writable(node)
        merged = OmegaConf.merge(node, given)
    except OmegaConfBaseException as error:
        raise ConfigError(told(error, where)) from error
    assert isinstance(merged, DictConfig)
    return merged


def defaults(schema: type) -> dict[str, Any]:
    """The settings that a dataclass has, as plain values; "???" for one that must be given."""
    found = OmegaConf.to_container(OmegaConf.structured(schema), enum_to_str=True)
    assert isinstance(found, dict)
    return {str(key): str(value) if isinstance(value, Path) else value for key, value in found.items()}


def _given(values: DictConfig | Mapping[str, Any], where: str) -> dict[str, Any]:
    if isinstance(values, DictConfig):
        return resolved(values, where)
    return {str(key): value for key, value in values.items()}


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
    import typing

    hints = _hints(schema)
    for key, value in values.items():
        path = f"{where}.{key}" if where else str(key)
        if key not in hints:
            hint = did_you_mean(str(key), hints) if hints else f"{where} has no settings."
            raise ConfigError(f"there is no setting '{path}'", hint)
        inner, container = _nested(hints[key])
        if inner is None or (value is None and type(None) in typing.get_args(hints[key])):
            continue
        children: Iterable[tuple[str, Any]] = [(path, value)]
        if container is not None:
            if not isinstance(value, Mapping if container is dict else list):
                what = "a list" if container is list else "a group of settings"
                raise ConfigError(f"{path}: {value!r} is not {what}", _fields_hint(inner, "Each entry has"))
            entries = value.items() if isinstance(value, Mapping) else enumerate(value)
            children = [(f"{path}.{k}", v) for k, v in entries]
        for child_path, child in children:
            if not isinstance(child, Mapping):
                raise ConfigError(f"{child_path}: {child!r} is not a group of settings", _fields_hint(inner))
            if isinstance(value, list):
                merge(inner, child, child_path)  # OmegaConf would not say which of the list it is
            else:
                check_keys(inner, child, child_path)


def _fields_hint(schema: type, lead: str = "It has") -> str:
    return f"{lead}: " + ", ".join(f.name for f in dataclasses.fields(schema)) + "."


def _hints(schema: type) -> dict[str, Any]:
    import typing

    hints = typing.get_type_hints(schema)
    return {f.name: hints[f.name] for f in dataclasses.fields(schema)}


def _nested(hint: Any) -> tuple[type | None, type | None]:
    """The dataclass inside a type, and dict or list where the type holds several of it."""
    import typing

    if isinstance(hint, type) and dataclasses.is_dataclass(hint):
        return hint, None
    for inner in typing.get_args(hint):
        if isinstance(inner, type) and dataclasses.is_dataclass(inner):
            origin = typing.get_origin(hint)
            return (inner, origin if origin in (dict, list) else None)
    return None, None


def resolved(values: DictConfig, where: str) -> dict[str, Any]:
    """A config node as plain containers with its interpolations resolved; ConfigError for one that cannot be."""
    try:
        plain = OmegaConf.to_container(values, resolve=True)
    except OmegaConfBaseException as error:
        raise ConfigError(told(error, where)) from error
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


def told(error: OmegaConfBaseException, where: str = "") -> str:
    """What OmegaConf found wrong, with its key, in plain words; `where` is the key of what it was about."""
    return f"{_key(where, error)}: {_reason(error)}"


def _key(where: str, error: OmegaConfBaseException) -> str:
    inside = str(getattr(error, "full_key", "") or getattr(error, "key", "") or "")
    inside = re.sub(r"\[(\w+)\]", r".\1", inside)
    if inside == where or inside.startswith(f"{where}."):
        return inside or "the configuration"  # of a node that stands in a whole configuration
    return ".".join(part for part in (where, inside) if part)


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
    text = str(getattr(error, "msg", None) or error)
    value = re.search(r"'(.*?)'", text, re.DOTALL)
    kind = re.search(r"(?:converted to|not a valid) (\w+)", text)
    if value and kind and kind[1].lower() in _KINDS:
        return f"'{value[1]}' is not {_KINDS[kind[1].lower()]}"
    if "is not a ListConfig" in text:
        return "one value was given where a list is expected"
    if "Cannot convert 'ListConfig'" in text:
        return "a list was given where one value is expected"
    if "Cannot convert 'DictConfig'" in text:
        return "a group was given where one value is expected"
    if "Cannot merge DictConfig with ListConfig" in text:
        return "a list was given where a group is expected"
    if "Cannot merge ListConfig with DictConfig" in text:
        return "a group was given where a list is expected"
    if re.match(r"Cannot assign \w+ to Dict|Invalid type assigned|Merge error", text):
        return "one value was given where a group is expected"
    if "Incompatible value 'None'" in text or "is not Optional" in text:
        return "it may not be null"
    if isinstance(error, GrammarParseError):
        return "its interpolation ${...} cannot be read"
    return text.splitlines()[0]


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
