"""How the values of controls are written: numbers, lists, colours, sweeps, names. Imports no torch."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pie_framework.errors import ConfigError

MAX_FRAMES = 512


def split_texts(settings: Sequence[str]) -> dict[str, Any]:
    """`control=value` and `control+=value` as control -> value; a relative value keeps its `+=`."""
    pairs: dict[str, Any] = {}
    for text in settings:
        key, equals, value = text.partition("=")
        if not equals or not key:
            raise ConfigError(f"'{text}' is not a control and a value", "Write it as rotation.yaw=15.")
        key, value = key.strip(), value.strip()
        if key.endswith("+"):
            key, value = key[:-1].strip(), f"+={value}"
        if key in pairs:
            raise ConfigError(f"'{key}' is given twice")
        pairs[key] = value
    return pairs


def flatten(entry: Mapping[str, Any]) -> dict[str, Any]:
    """{"rotation": {"yaw": 1}, "expression": [..]} -> {"rotation.yaw": 1, "expression.raw": [..]}."""
    flat: dict[str, Any] = {}
    for key, value in entry.items():
        if isinstance(value, Mapping):
            flat.update({f"{key}.{name}": item for name, item in value.items()})
        elif isinstance(value, list) and "." not in str(key):
            flat[f"{key}.raw"] = value
        else:
            flat[str(key)] = value
    return flat


def number(key: str, value: Any) -> float:
    """A finite number; `key` is for messages."""
    try:
        parsed = float(value) if not isinstance(value, bool) else math.nan
    except (TypeError, ValueError, OverflowError):
        parsed = math.nan
    if not math.isfinite(parsed):
        raise ConfigError(f"{key}={value} is not a number")
    return parsed


def entries(value: Any) -> list[str]:
    """Entries of a list, or of a text such as `[a, b]` or `a,b`."""
    if isinstance(value, str):
        parts = value.strip().removeprefix("[").removesuffix("]").split(",")
        return [part.strip() for part in parts if part.strip()]
    if isinstance(value, Sequence):
        return [str(part) for part in value]
    raise ConfigError(f"{value!r} is not a list")


def vector(key: str, value: Any, length: int) -> tuple[float, ...]:
    """So many numbers."""
    numbers = tuple(number(key, part) for part in entries(value))
    if len(numbers) != length:
        raise ConfigError(f"{key} needs {length} numbers, not {len(numbers)}", f"Write {key}=[a,b,...].")
    return numbers


def colour(key: str, value: Any) -> tuple[float, ...]:
    """Red, green and blue in 0..1, from a list or from `#rrggbb`."""
    if not (isinstance(value, str) and value.startswith("#")):
        channels = vector(key, value, 3)
        if not all(0.0 <= channel <= 1.0 for channel in channels):
            raise ConfigError(f"{key} must lie in 0..1", "Or write it as '#rrggbb'.")
        return channels
    if not re.fullmatch(r"#[0-9a-fA-F]{6}", value):
        raise ConfigError(f"{key}={value} is not a colour", "Write it as '#rrggbb' or [r,g,b] in 0..1.")
    return tuple(channel / 255.0 for channel in bytes.fromhex(value[1:]))


def sweep(key: str, value: Any) -> list[float]:
    """One number, or those of `first:last:count`."""
    if not isinstance(value, str) or ":" not in value:
        return [number(key, value)]
    parts = value.split(":")
    if len(parts) != 3:
        raise ConfigError(f"{key}={value} is not a sweep", "Write first:last:count, such as -20:20:9.")
    first, last, count = (number(key, part) for part in parts)
    if count != int(count) or not 2 <= count <= MAX_FRAMES:
        raise ConfigError(f"{key}={value}: a sweep has 2 to {MAX_FRAMES} frames, not {parts[2]}")
    steps = int(count) - 1
    return [first + (last - first) * index / steps for index in range(steps + 1)]


def default_name(pairs: Mapping[str, Any]) -> str:
    """What an edit is called that was given no name."""
    parts = []
    for key, value in pairs.items():
        if key in ("source", "params"):
            parts.append(f"{key}_{Path(str(value)).stem}")
        elif key != "source_blocks":
            shown = str(value) if len(str(value)) <= 16 else ""
            parts.append(f"{key.partition('.')[2] or key}_{shown}")
    return "__".join(parts)


def file_name(name: str) -> str:
    """A name that is safe in every file system: letters, digits, `_`, `-` and `.`; at most 80 characters."""
    text = re.sub(r"[^A-Za-z0-9.+-]+", "_", name.replace("+=", "plus_").replace(":", "_to_")).strip("_.")
    return text[:80].rstrip("_.") or "edit"
