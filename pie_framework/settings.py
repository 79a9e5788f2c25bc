"""Values put into a dataclass, checked against its types; what is wrong is one line with its key. Imports no torch."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from omegaconf import MISSING, DictConfig, OmegaConf
from omegaconf.errors import GrammarParseError, MissingMandatoryValue, OmegaConfBaseException

from pie_framework.api import asset_settings
from pie_framework.errors import ConfigError, PieError, PluginError, did_you_mean, in_one_line

T = TypeVar("T")


def merge(schema: type[T], values: DictConfig | Mapping[str, Any], where: str = "") -> T:
    """An instance of a dataclass from its defaults and the given values, checked against its types.

    Args:
        schema: a dataclass whose field types OmegaConf knows; it may be frozen.
        values: what differs from the defaults; nested mappings for nested dataclasses.
        where: the key these values stand under, for messages.

    Raises:
        ConfigError: a key that the dataclass does not have, a value of the wrong type, one that must be given and is
            not, or one that the dataclass itself refuses (by a `PieError` or a ValueError).
        PluginError: making the dataclass fails in another way.
    """
    given = given_values(values, where)
    node = typed(schema, given, where)
    _make_entries(schema, given, where)
    for name, value in given.items():
        if value == MISSING:
            key = f"{where}.{name}".lstrip(".")
            raise ConfigError(f"{key} must be given", _file_hint(key, schema))
    try:
        result = OmegaConf.to_object(node)
    except MissingMandatoryValue as error:
        key = _key(where, error)
        raise ConfigError(f"{key} must be given", _file_hint(key, schema)) from error
    except OmegaConfBaseException as error:
        raise ConfigError(told(error, where)) from error
    except PieError as error:
        if where:
            error.locate(where)
        raise
    except ValueError as error:  # the usual way of a dataclass to refuse a value
        reason = str(error) or "a value was refused"
        raise ConfigError(f"{where}: {reason}" if where else reason) from error
    except (Exception, SystemExit) as error:
        raise _at_fault(schema, error) from error
    assert isinstance(result, schema)
    return _tuples(result, where)


def typed(schema: type, values: DictConfig | Mapping[str, Any], where: str = "") -> DictConfig:
    """As `merge`, without the instance: keys and types are checked, but nothing need be given.

    Raises:
        ConfigError: a key that the dataclass does not have, or a value of the wrong type.
        PluginError: the dataclass cannot be read.
    """
    given = given_values(values, where)
    node = _structured(schema)
    check_keys(schema, given, where)
    try:
        _writable(node)
        merged = OmegaConf.merge(node, given)
    except OmegaConfBaseException as error:
        raise ConfigError(told(error, where)) from error
    assert isinstance(merged, DictConfig)
    return merged


def defaults(schema: type) -> dict[str, Any]:
    """The settings that a dataclass has, as plain values; "???" for one that must be given.

    Raises:
        PluginError: the dataclass cannot be read.
    """
    found = _plain(OmegaConf.to_container(_structured(schema), enum_to_str=True))
    assert isinstance(found, dict)
    return {str(key): value for key, value in found.items()}


def _plain(value: Any) -> Any:
    """Containers with paths as texts."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return str(value) if isinstance(value, Path) else value


def _structured(schema: type) -> DictConfig:
    """A dataclass with its defaults, as OmegaConf has it."""
    try:
        node = OmegaConf.structured(schema)
        _hints(schema)
    except (Exception, SystemExit) as error:  # its factories and annotations are a plugin's code
        raise _at_fault(schema, error) from error
    assert isinstance(node, DictConfig)
    return node


def _at_fault(schema: type, error: BaseException) -> PluginError:
    return PluginError(f"the settings {schema.__qualname__} cannot be made: {in_one_line(error)}")


def given_values(values: DictConfig | Mapping[str, Any], where: str = "") -> dict[str, Any]:
    """Values as a plain dictionary, interpolations resolved; ConfigError for one that cannot be."""
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
        if inner is None or value == MISSING or (value is None and type(None) in typing.get_args(hints[key])):
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
                typed(inner, child, child_path)  # OmegaConf would not say which of the list it is
            else:
                check_keys(inner, child, child_path)


def _make_entries(schema: type, values: Mapping[str, Any], where: str) -> None:
    """Make what stands in lists of dataclasses: OmegaConf would not say which entry lacks or refuses a value."""
    for name, hint in _hints(schema).items():
        inner, container = _nested(hint)
        value = values.get(name)
        if inner is None or container is dict:
            continue
        path = f"{where}.{name}".lstrip(".")
        if isinstance(value, list):
            for number, entry in enumerate(value):
                merge(inner, entry, f"{path}.{number}")
        elif isinstance(value, Mapping):
            _make_entries(inner, value, path)


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


def _file_hint(key: str, schema: type) -> str:
    """What to do about a file that does not come with the package; empty when the key names none."""
    if key.rpartition(".")[2] not in asset_settings(schema):
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
