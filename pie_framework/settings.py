"""Settings are dataclasses, filled with values of a configuration; what is wrong is one line with its key. No torch.

Ranges stand beside the types, as `annotated_types` and `typing.Literal` write them:

    steps: Annotated[int, Ge(0)] = 300
    reduction: Literal["mean", "sum"] = "mean"

What one type cannot say (that two settings fit together), its `__post_init__` refuses by a ValueError or a `PieError`.
"""

from __future__ import annotations

import dataclasses
import functools
import re
import typing
from collections.abc import Callable, Mapping
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import GrammarParseError, OmegaConfBaseException

from pie_framework.api import MISSING, asset_settings
from pie_framework.errors import ConfigError, PieError, PluginError, did_you_mean, in_one_line

if TYPE_CHECKING:
    from pydantic import TypeAdapter

T = TypeVar("T")


def merge(schema: type[T], values: DictConfig | Mapping[str, Any], where: str = "") -> T:
    """An instance of a dataclass from its defaults and the given values.

    Args:
        schema: a dataclass; it may be frozen, and hold others, also in lists and dictionaries.
        values: what differs from the defaults; nested mappings for nested dataclasses, merged into their defaults.
        where: the key these values stand under, for messages.

    Raises:
        ConfigError: a key that the dataclass does not have, a value of the wrong type or out of range, one that must be
            given and is not, or one that the dataclass itself refuses (by a `PieError` or a ValueError).
        PluginError: making the dataclass fails in another way.
    """
    made: T = _Filling(schema, where).group(schema, given_values(values, where), where)
    return made


def check_types(schema: type, values: DictConfig | Mapping[str, Any], where: str = "") -> None:
    """As `merge`, without making anything: keys, types and ranges are checked, but nothing need be given.

    Raises:
        ConfigError: a key that the dataclass does not have, or a value of the wrong type or out of range.
        PluginError: the dataclass cannot be read.
    """
    _Filling(schema, where, partial=True).group(schema, given_values(values, where), where)


def defaults(schema: type) -> dict[str, Any]:
    """The settings that a dataclass has, as plain values; "???" for one that must be given.

    Raises:
        PluginError: the dataclass cannot be read.
    """
    hints(schema)
    return {f.name: _plain(_read(schema, functools.partial(_default, f))) for f in dataclasses.fields(schema)}


@functools.cache
def hints(schema: type) -> dict[str, Any]:
    """The types of a dataclass's fields with what is annotated; PluginError where they cannot be read."""
    types = _read(schema, lambda: typing.get_type_hints(schema, include_extras=True))
    return {f.name: types[f.name] for f in dataclasses.fields(schema)}


def described(schema: type, prefix: str = "", instance: object = None) -> list[tuple[str, str, str]]:
    """Name, type and default of each setting in words, nested ones as `group.name`."""
    rows: list[tuple[str, str, str]] = []
    types = typing.get_type_hints(schema)
    for field in dataclasses.fields(schema):
        name, hint = prefix + field.name, types.get(field.name, field.type)
        value = _default(field) if instance is None else getattr(instance, field.name)
        if dataclasses.is_dataclass(value) and not isinstance(value, type):
            rows += described(type(value), f"{name}.", value)
            continue
        default = "(must be given)" if isinstance(value, str) and value == MISSING else repr(value)
        kind = hint.__name__ if isinstance(hint, type) else str(hint).replace("typing.", "")
        rows.append((name, kind, default))
    return rows


@dataclasses.dataclass(frozen=True)
class _Filling:
    """One call of `merge`: whose settings they are, and whether what is missing does no harm."""

    schema: type
    where: str
    partial: bool = False

    def group(self, schema: type, given: Mapping[str, Any], where: str) -> Any:
        """An instance of one dataclass; None where only types are checked."""
        kinds = hints(schema)
        for key in given:
            if key not in kinds:
                path = f"{where}.{key}".lstrip(".")
                hint = did_you_mean(str(key), kinds) if kinds else f"{where} has no settings."
                raise ConfigError(f"there is no setting '{path}'", hint)
        made = {}
        for field in dataclasses.fields(schema):
            path = f"{where}.{field.name}".lstrip(".")
            default = _read(schema, functools.partial(_default, field))
            value = given.get(field.name, default)
            if isinstance(value, str) and value == MISSING:
                if not self.partial:
                    raise ConfigError(f"{path} must be given", _file_hint(path, schema))
                continue
            made[field.name] = self.value(schema, field.name, kinds[field.name], value, default, path)
        return None if self.partial else self.instance(schema, made, where)

    def value(self, schema: type, name: str, kind: Any, value: Any, default: Any, path: str) -> Any:
        """The value of one field, checked."""
        inner, container = _nested(kind)
        if inner is None or (value is None and type(None) in typing.get_args(kind)):
            adapter = _read(schema, functools.partial(_adapter, kind))
            check = functools.partial(_checked, adapter, kind, value, path)
            return _read(schema, check) if value is default else check()
        if container is None:
            return self.entry(inner, value, path, default)
        if not isinstance(value, (list, tuple) if container is list else Mapping):
            what = "a list" if container is list else "a group of settings"
            raise ConfigError(f"{path}: {value!r} is not {what}", _fields_hint(inner, "Each entry has"))
        if isinstance(value, (list, tuple)):
            return [self.entry(inner, entry, f"{path}.{i}") for i, entry in enumerate(value)]
        return {str(key): self.entry(inner, entry, f"{path}.{key}") for key, entry in value.items()}

    def entry(self, schema: type, value: Any, path: str, default: Any = None) -> Any:
        """A dataclass inside another one."""
        if isinstance(value, schema):
            return value
        if not isinstance(value, Mapping):
            raise ConfigError(f"{path}: {value!r} is not a group of settings", _fields_hint(schema))
        below = _plain(default) if isinstance(default, schema) else {}
        return self.group(schema, over(below, value), path)

    def instance(self, schema: type, values: Mapping[str, Any], where: str) -> Any:
        """What the dataclass makes of checked values."""
        try:
            return schema(**values)
        except PieError as error:
            if where:
                error.locate(where)
            raise
        except ValueError as error:  # the usual way of a dataclass to refuse a value
            reason = str(error) or "a value was refused"
            raise ConfigError(f"{where}: {reason}" if where else reason) from error
        except (Exception, SystemExit) as error:
            raise _at_fault(self.schema, error) from error


def over(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Values over others, group by group."""
    return {
        **below,
        **{
            key: over(below[key], value)
            if isinstance(value, Mapping) and isinstance(below.get(key), Mapping)
            else value
            for key, value in above.items()
        },
    }


def _default(field: dataclasses.Field[Any]) -> Any:
    if field.default is not dataclasses.MISSING:
        return field.default
    return MISSING if field.default_factory is dataclasses.MISSING else field.default_factory()


def _plain(value: Any) -> Any:
    """Settings as containers, with paths as texts."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: _plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, Enum):
        return value.name
    return str(value) if isinstance(value, Path) else value


def _read(schema: type, read: Callable[[], T]) -> T:
    """What is read of a settings class, whose factories and annotations may be a plugin's."""
    try:
        return read()
    except (Exception, SystemExit) as error:
        raise _at_fault(schema, error) from error


def _at_fault(schema: type, error: BaseException) -> PluginError:
    return PluginError(f"the settings {schema.__qualname__} cannot be made: {in_one_line(error)}")


def _nested(hint: Any) -> tuple[type | None, type | None]:
    """The dataclass inside a type, and dict or list where the type holds several of it."""
    if isinstance(hint, type) and dataclasses.is_dataclass(hint):
        return hint, None
    for inner in typing.get_args(hint):
        if isinstance(inner, type) and dataclasses.is_dataclass(inner):
            origin = typing.get_origin(hint)
            return inner, origin if origin in (dict, list) else None
    return None, None


def _fields_hint(schema: type, lead: str = "It has") -> str:
    return f"{lead}: " + ", ".join(f.name for f in dataclasses.fields(schema)) + "."


def _file_hint(key: str, schema: type) -> str:
    """What to do about a file that does not come with the package; empty when the key names none."""
    if key.rpartition(".")[2] not in asset_settings(schema):
        return ""
    return (
        "It is a file that does not come with the package: 'pie assets list' says where from; "
        f"then {key}=PATH or asset://NAME."
    )


@functools.cache
def _adapter(hint: Any) -> TypeAdapter[Any]:
    """Checks values of a type."""
    from pydantic import ConfigDict, TypeAdapter

    return TypeAdapter(hint, config=ConfigDict(coerce_numbers_to_str=True))


def _checked(adapter: TypeAdapter[Any], hint: Any, value: Any, path: str) -> Any:
    """A value as its type has it; ConfigError says why it is none."""
    from pydantic import ValidationError

    if isinstance(hint, type) and issubclass(hint, Enum):
        value = hint.__members__.get(str(value), value)
    if isinstance(value, bool) and _says_number(hint):
        raise ConfigError(f"{path}: {value} is not a number")
    try:
        return adapter.validate_python(value)
    except ValidationError as error:
        wrong = error.errors(include_url=False)[0]
        place = ".".join([path, *(str(part) for part in wrong["loc"] if _is_key(part, value))])
        if wrong["loc"][-1:] == ("[key]",):
            raise ConfigError(f"there is no setting '{place}'", _range_hint(wrong)) from error
        raise ConfigError(f"{place}: {_reason(wrong)}", _range_hint(wrong)) from error


def _says_number(hint: Any) -> bool:
    """Whether true and false are no values of a type, although Python counts them among the numbers."""
    if typing.get_origin(hint) is typing.Annotated:
        return _says_number(typing.get_args(hint)[0])
    inside = typing.get_args(hint)
    return hint in (int, float) or (any(map(_says_number, inside)) and bool not in inside)


def _is_key(part: Any, value: Any) -> bool:
    """Whether a part of pydantic's place is a key or index of the value, and not the name of a type."""
    return isinstance(part, int) or (isinstance(value, Mapping) and part in value)


#: How pydantic's kinds of error begin, and what a value was to be.
_KINDS = {
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "string": "text",
    "path": "a path",
}


def _reason(wrong: Mapping[str, Any]) -> str:
    """What pydantic found wrong, in plain words."""
    kind, value, context = wrong["type"], wrong["input"], wrong.get("ctx", {})
    wants = kind.partition("_")[0]
    if value is None:
        return "it may not be null"
    if wants in ("list", "tuple", "set", "dict", "mapping"):
        what = (
            "a group" if isinstance(value, Mapping) else "a list" if isinstance(value, list) else "one value"
        )
        return f"{what} was given where {'a list' if wants in ('list', 'tuple', 'set') else 'a group'} is expected"
    if kind == "too_short":
        return f"{context['actual_length']} values were given, it takes {context['min_length']} at least"
    if kind in ("too_long", "missing"):
        given = context.get("actual_length", len(value) if isinstance(value, list) else 0)
        return f"{given} values were given, it takes {context.get('max_length', 'more')}"
    if isinstance(value, (list, dict)):
        return f"a {'list' if isinstance(value, list) else 'group'} was given where one value is expected"
    if kind in ("finite_number", "predicate_failed") or value != value:
        return f"{value!r} is not a finite number"
    if kind in ("greater_than", "greater_than_equal"):
        return f"{value} is too small"
    if kind in ("less_than", "less_than_equal"):
        return f"{value} is too large"
    if kind == "literal_error":
        return f"'{value}' is not one of its values"
    if wants in _KINDS:
        return f"'{value}' is not {_KINDS[wants]}"
    return f"'{value}': {wrong['msg']}"


def _range_hint(wrong: Mapping[str, Any]) -> str | None:
    """The values that there are."""
    context = wrong.get("ctx", {})
    for bound, says in (("ge", "at least"), ("gt", "above"), ("le", "at most"), ("lt", "below")):
        if bound in context:
            return f"It is {says} {context[bound]}."
    if "expected" in context and wrong["type"] == "literal_error":
        return did_you_mean(str(wrong["input"]), re.findall(r"'([^']*)'", context["expected"]))
    return None


def given_values(values: DictConfig | Mapping[str, Any], where: str = "") -> dict[str, Any]:
    """Values as a plain dictionary, interpolations resolved; ConfigError for one that cannot be."""
    if isinstance(values, DictConfig):
        return resolved(values, where)
    return {str(key): value for key, value in values.items()}


def resolved(values: DictConfig, where: str) -> dict[str, Any]:
    """A config node as plain containers with its interpolations resolved; ConfigError for one that cannot be."""
    try:
        plain = OmegaConf.to_container(values, resolve=True)
    except OmegaConfBaseException as error:
        raise ConfigError(omegaconf_message(error, where)) from error
    if not isinstance(plain, dict):
        raise ConfigError(f"{where or 'the configuration'} is not a group of settings")
    return {str(key): value for key, value in plain.items()}


def omegaconf_message(error: OmegaConfBaseException, where: str = "") -> str:
    """What OmegaConf found wrong, with its key, in plain words; `where` is the key of what it was about."""
    inside = re.sub(r"\[(\w+)\]", r".\1", str(error.full_key or error.key or ""))
    if not (inside == where or inside.startswith(f"{where}.")):
        inside = ".".join(part for part in (where, inside) if part)
    return f"{inside or 'the configuration'}: {_omegaconf_reason(error)}"


def _omegaconf_reason(error: OmegaConfBaseException) -> str:
    """OmegaConf's message without its technical tail, in plain words."""
    text = str(error.msg or error)
    if "Cannot merge DictConfig with ListConfig" in text:
        return "a list was given where a group is expected"
    if "Cannot merge ListConfig with DictConfig" in text:
        return "a group was given where a list is expected"
    if "is not a subclass of" in text:
        return "one value was given where a group is expected"
    if isinstance(error, GrammarParseError):
        return "its interpolation ${...} cannot be read"
    return text.splitlines()[0]
