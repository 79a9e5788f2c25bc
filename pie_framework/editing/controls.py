"""The language of edits: from `rotation.yaw=15` to named, checked values. Imports no torch.

A control is written `block.name=value`, absolute, or `block.name+=value`, relative to what the portrait
shows. The names come from the face model's layout:

- `rotation.yaw`, `.pitch`, `.roll`: degrees;
- `expression.NAME`: a coefficient by its name, or both sides at once (`expression.blink` sets `blink_left`
  and `blink_right`), or a combination that the face model names (`expression.smile` of a model without a
  coefficient of that name);
- `illumination.from` (a named direction, seen in the image), `.direction=[x,y,z]` (towards the light),
  `.azimuth` and `.elevation` (degrees; 0, 0 is in front, azimuth 90 the image's right), `.intensity`,
  `.ambient`, `.colour=[r,g,b]` or `#rrggbb`;
- `BLOCK.raw=[...]` (`illumination.sh` is the same as `illumination.raw`): all coefficients in the layout's
  own unit;
- `source=photo.jpg`, `source_blocks=[expression]`: blocks taken from another portrait;
- `params=file.json`: controls from a file; a list there is a sequence of frames.

`rotation.yaw=-20:20:9` is a sweep of nine values; several sweeps of the same length go hand in hand.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pie_framework.api.layout import Layout
from pie_framework.errors import ConfigError, RunError, did_you_mean
from pie_framework.files.io import read_json

#: Directions towards the light by name: x the image's right, y up, z towards the viewer.
LIGHT_DIRECTIONS: Mapping[str, tuple[float, float, float]] = {
    "left": (-1.0, 0.4, 0.6),
    "right": (1.0, 0.4, 0.6),
    "front": (0.0, 0.2, 1.0),
    "above": (0.0, 1.0, 0.5),
    "below": (0.0, -1.0, 0.5),
    "above_left": (-0.8, 0.8, 0.5),
    "above_right": (0.8, 0.8, 0.5),
}
MAX_FRAMES = 512

#: Parts that move to one side or the other: their left and right do not make a control of both.
_SIDEWAYS = ("jaw", "mouth", "lips", "gaze", "head")
_LIGHT_SCALARS = {"ambient": "", "intensity": "", "azimuth": "degrees", "elevation": "degrees"}
_LIGHT_VECTORS = ("direction", "colour")
_RENAMED = {"illumination.sh": "illumination.raw", "illumination.color": "illumination.colour"}
_RESERVED = ("source", "source_blocks", "params")


class UnknownControlError(ConfigError):
    """A control that the face model does not offer."""


@dataclass(frozen=True)
class Control:
    """One setting of an edit.

    Attributes:
        name: canonical name, such as "rotation.yaw".
        value: a number, or the numbers of a vector, in the control's own unit (degrees for angles).
        relative: whether it is added to what the portrait shows.
    """

    name: str
    value: float | tuple[float, ...]
    relative: bool = False

    @property
    def block(self) -> str:
        return self.name.partition(".")[0]

    @property
    def key(self) -> str:
        return self.name.partition(".")[2]


@dataclass(frozen=True)
class EditRequest:
    """One edited picture asked for.

    Attributes:
        name: of the file.
        controls: applied in order, after the source's blocks.
        source: path of a portrait to take blocks from, or None.
        source_blocks: the blocks taken from it.
    """

    name: str
    controls: tuple[Control, ...] = ()
    source: str | None = None
    source_blocks: tuple[str, ...] = ()

    @property
    def blocks(self) -> tuple[str, ...]:
        """The blocks this request touches, each once."""
        return tuple(dict.fromkeys((*self.source_blocks, *(control.block for control in self.controls))))


@dataclass(frozen=True)
class Combination:
    """What a control of named coefficients sets.

    Attributes:
        indices: of the coefficients in their block.
        amounts: of each, when the control is 1.
        along: whether only the share of the block along the amounts is set, and what the portrait shows beside it is
            kept; else the coefficients themselves are set.
    """

    indices: tuple[int, ...]
    amounts: tuple[float, ...]
    along: bool = False

    @property
    def length(self) -> float:
        """Sum of the squared amounts."""
        return sum(amount * amount for amount in self.amounts) or 1.0


@dataclass(frozen=True)
class Vocabulary:
    """The controls that a face model offers.

    Attributes:
        layout: names and sizes of its blocks.
        ranges: (low, high) that the networks were trained on, by control name and in its unit.
        blocks: the blocks that can be edited in this run.
        combinations: further controls, by name, such as "expression.smile"; a coefficient's own name comes first.
    """

    layout: Layout
    ranges: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    blocks: tuple[str, ...] = ()
    combinations: Mapping[str, Combination] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.blocks:
            object.__setattr__(self, "blocks", self.layout.editable)

    def coefficients(self, block: str) -> dict[str, tuple[int, ...]]:
        """Control name within the block -> indices in the block that it sets; both sides' names come last."""
        names = self.layout.names(block)
        single = {name: (index,) for index, name in enumerate(names)}
        return {**single, **{stem: pair for stem, pair in _pairs(names).items() if stem not in single}}

    def combination(self, block: str, key: str) -> Combination:
        """What a control within a block sets; KeyError for an unknown one."""
        indices = self.coefficients(block).get(key)
        if indices is None:
            return self.combinations[f"{block}.{key}"]
        return Combination(indices, (1.0,) * len(indices))

    def _combined(self, block: str) -> tuple[str, ...]:
        """Names within the block of the combinations that hide behind no coefficient."""
        own = self.coefficients(block)
        keys = (name.partition(".") for name in self.combinations)
        return tuple(key for of, _, key in keys if of == block and key not in own)

    def names(self) -> tuple[str, ...]:
        """Every control a person can name, without the unnamed coefficients."""
        found: list[str] = []
        for block in self.blocks:
            if block == "illumination":
                found += [f"{block}.{key}" for key in ("from", *_LIGHT_VECTORS, *_LIGHT_SCALARS, "sh")]
            else:
                named = self.layout.block(block).names
                both = (pair for pair in _pairs(named) if pair not in named)
                found += [f"{block}.{key}" for key in (*named, *both, *self._combined(block))]
                found.append(f"{block}.raw")
        return (*found, *_RESERVED)

    def unit(self, name: str) -> str:
        """The unit in which a control is written."""
        block, _, key = name.partition(".")
        if block == "illumination":
            return _LIGHT_SCALARS.get(key, "")
        unit = self.layout.block(block).unit
        return "degrees" if unit == "radians" and key != "raw" else unit

    def range_of(self, name: str) -> tuple[float, float] | None:
        """The trained range of a control, if it is known; a control of both sides has that of its sides."""
        if name in self.ranges:
            low, high = self.ranges[name]
            return (float(low), float(high))
        block, _, key = name.partition(".")
        if block == "illumination" or block not in self.blocks:
            return None
        names = self.layout.names(block)
        sides = [
            self.ranges.get(f"{block}.{names[index]}") for index in self.coefficients(block).get(key, ())
        ]
        known = [side for side in sides if side is not None]
        return (max(low for low, _ in known), min(high for _, high in known)) if known else None

    def outside(self, name: str, value: float) -> tuple[float, float] | None:
        """The trained range when `value` lies outside it, else None."""
        bounds = self.range_of(name)
        if bounds is None or bounds[0] - 1e-6 <= value <= bounds[1] + 1e-6:
            return None
        return bounds

    def parse(
        self, settings: Sequence[str] | Mapping[str, Any], name: str | None = None
    ) -> tuple[EditRequest, ...]:
        """Requests for the settings: one, or one per frame of a sweep or parameter file.

        Args:
            settings: `control=value` texts, or control -> value as read from YAML.
            name: of the edit; made from the settings when None.

        Raises:
            ConfigError: for an unknown control, a value of the wrong kind or length, or a sweep that does not
                fit.
        """
        pairs = _split_texts(settings) if not isinstance(settings, Mapping) else dict(settings)
        if not pairs:
            raise ConfigError(
                "no edit was given", "Write, for example, rotation.yaw=15 expression.smile=0.8."
            )
        name = _slug(name if name is not None else _default_name(pairs))
        source, source_blocks = self._source(pairs)
        frames = self._frames(pairs)
        if len(frames) == 1:
            return (EditRequest(name, frames[0], source, source_blocks),)
        digits = len(str(len(frames) - 1))
        return tuple(
            EditRequest(f"{name}_{index:0{digits}d}", controls, source, source_blocks)
            for index, controls in enumerate(frames)
        )

    def _source(self, pairs: Mapping[str, Any]) -> tuple[str | None, tuple[str, ...]]:
        source = pairs.get("source")
        wanted = pairs.get("source_blocks")
        if source is None:
            if wanted is not None:
                raise ConfigError("source_blocks was given without source", "Add source=photo.jpg.")
            return None, ()
        if not isinstance(source, str) or not source:
            raise ConfigError(f"source={source!r} is not the path of a picture")
        if wanted is None:
            return source, self.blocks
        chosen = _texts(wanted)
        for block in chosen:
            if block not in self.blocks:
                raise ConfigError(
                    f"source_blocks names '{block}', which cannot be edited", did_you_mean(block, self.blocks)
                )
        return source, tuple(dict.fromkeys(chosen))

    def _frames(self, pairs: Mapping[str, Any]) -> list[tuple[Control, ...]]:
        """The controls of each frame: the file's, with those given beside it applied after."""
        written = {key: value for key, value in pairs.items() if key not in _RESERVED}
        tracks = [track for key, value in written.items() for track in self._tracks(key, value)]
        from_file = self._file(pairs["params"]) if "params" in pairs else []
        lengths = {len(track) for track in tracks} | ({len(from_file)} if from_file else set())
        lengths.discard(1)
        if len(lengths) > 1:
            counts = " and ".join(str(count) for count in sorted(lengths))
            raise ConfigError(
                f"the sweeps have different numbers of frames: {counts}", "Give them the same number."
            )
        count = lengths.pop() if lengths else 1
        file_frames = from_file * count if len(from_file) == 1 else from_file or [()] * count
        return [
            (*file_frames[index], *(track[index if len(track) > 1 else 0] for track in tracks))
            for index in range(count)
        ]

    def _file(self, path: Any) -> list[tuple[Control, ...]]:
        if not isinstance(path, str) or not path:
            raise ConfigError(f"params={path!r} is not the path of a JSON file")
        try:
            content = read_json(Path(path).expanduser())
        except RunError as error:
            raise ConfigError(f"params: {error.message}") from error
        if isinstance(content, Mapping) and set(content) == {"frames"}:
            content = content["frames"]
        entries = content if isinstance(content, list) else [content]
        if not entries or len(entries) > MAX_FRAMES:
            raise ConfigError(f"'{path}' has {len(entries)} frames; 1 to {MAX_FRAMES} are allowed")
        frames = []
        for entry in entries:
            if not isinstance(entry, Mapping) or not entry:
                raise ConfigError(
                    f"'{path}' must hold controls and values, or a list of those",
                    'For example {"rotation": {"yaw": 15}, "expression.smile": 0.8}.',
                )
            tracks = [track for key, value in _flatten(entry).items() for track in self._tracks(key, value)]
            if any(len(track) > 1 for track in tracks):
                raise ConfigError(f"'{path}' holds a sweep; write its frames as a list instead")
            frames.append(tuple(track[0] for track in tracks))
        return frames

    def _tracks(self, key: str, value: Any) -> list[list[Control]]:
        """The controls of one setting, each as one entry or one per frame of its sweep."""
        key = _RENAMED.get(key, key)
        if key == "illumination.from" and "illumination" in self.blocks:
            if not isinstance(value, str) or value not in LIGHT_DIRECTIONS:
                raise ConfigError(
                    f"illumination.from={value} is no known direction",
                    did_you_mean(str(value), LIGHT_DIRECTIONS),
                )
            return [[Control("illumination.direction", LIGHT_DIRECTIONS[value])]]
        self._known(key)
        relative = isinstance(value, str) and value.startswith("+=")
        value = value[2:].strip() if relative else value
        length = self._vector_length(key)
        if length is not None:
            if relative and key in ("illumination.direction", "illumination.colour"):
                raise ConfigError(f"{key} cannot be relative", "Give the value itself.")
            return [[Control(key, self._checked_vector(key, value, length), relative)]]
        values = _sweep(key, value) if isinstance(value, str) and ":" in value else [_number(key, value)]
        if key in ("illumination.ambient", "illumination.intensity") and not relative and min(values) < 0.0:
            raise ConfigError(f"{key} cannot be negative")
        return [[Control(key, number, relative) for number in values]]

    def _known(self, key: str) -> None:
        block, _, name = key.partition(".")
        if block in self.blocks:
            offered = (
                (*_LIGHT_SCALARS, *_LIGHT_VECTORS)
                if block == "illumination"
                else (*self.coefficients(block), *self._combined(block))
            )
            if name in (*offered, "raw"):
                return
        elif block in self.layout.editable:
            raise ConfigError(
                f"'{key}' cannot be edited: this run has no rig network for the block '{block}'"
            )
        raise UnknownControlError(f"unknown control '{key}'", did_you_mean(key, self.names()))

    def _vector_length(self, key: str) -> int | None:
        block, _, name = key.partition(".")
        if name == "raw":
            return self.layout.block(block).size
        return 3 if block == "illumination" and name in _LIGHT_VECTORS else None

    def _checked_vector(self, key: str, value: Any, length: int) -> tuple[float, ...]:
        numbers = (
            _hex(key, value)
            if key == "illumination.colour" and _is_hex(value)
            else _vector(key, value, length)
        )
        if key == "illumination.colour" and not all(0.0 <= number <= 1.0 for number in numbers):
            raise ConfigError("illumination.colour must lie in 0..1", "Or write it as '#rrggbb'.")
        if key == "illumination.direction" and not any(abs(number) > 1e-9 for number in numbers):
            raise ConfigError("illumination.direction must not be zero")
        return numbers


def _pairs(names: Sequence[str]) -> dict[str, tuple[int, ...]]:
    """Stem -> indices of the coefficients that are its left and right side."""
    where = {name: index for index, name in enumerate(names)}
    found: dict[str, tuple[int, ...]] = {}
    for name, index in where.items():
        for left, right, stem in (
            (r"^(.+)_left$", r"\1_right", r"\1"),
            (r"^left_(.+)$", r"right_\1", r"\1"),
            (r"^(.+)_L$", r"\1_R", r"\1"),
        ):
            if re.match(left, name) and (other := re.sub(left, right, name)) in where:
                found[re.sub(left, stem, name)] = (index, where[other])
    for part in _SIDEWAYS:
        found.pop(part, None)
    return found


def _split_texts(settings: Sequence[str]) -> dict[str, Any]:
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


def _flatten(entry: Mapping[str, Any]) -> dict[str, Any]:
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


def _number(key: str, value: Any) -> float:
    try:
        number = float(value) if not isinstance(value, bool) else math.nan
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number):
        raise ConfigError(f"{key}={value} is not a number")
    return number


def _texts(value: Any) -> list[str]:
    """Entries of a list, or of a text such as `[a, b]` or `a,b`."""
    if isinstance(value, str):
        return [
            part.strip()
            for part in value.strip().removeprefix("[").removesuffix("]").split(",")
            if part.strip()
        ]
    if isinstance(value, Sequence):
        return [str(part) for part in value]
    raise ConfigError(f"{value!r} is not a list")


def _vector(key: str, value: Any, length: int) -> tuple[float, ...]:
    numbers = tuple(_number(key, part) for part in _texts(value))
    if len(numbers) != length:
        raise ConfigError(f"{key} needs {length} numbers, not {len(numbers)}", f"Write {key}=[a,b,...].")
    return numbers


def _is_hex(value: Any) -> bool:
    return isinstance(value, str) and value.startswith("#")


def _hex(key: str, value: str) -> tuple[float, ...]:
    if not re.fullmatch(r"#[0-9a-fA-F]{6}", value):
        raise ConfigError(f"{key}={value} is not a colour", "Write it as '#rrggbb' or [r,g,b] in 0..1.")
    return tuple(int(value[start : start + 2], 16) / 255.0 for start in (1, 3, 5))


def _sweep(key: str, value: str) -> list[float]:
    parts = value.split(":")
    if len(parts) != 3:
        raise ConfigError(f"{key}={value} is not a sweep", "Write first:last:count, such as -20:20:9.")
    first, last, count = (_number(key, part) for part in parts)
    if count != int(count) or not 2 <= count <= MAX_FRAMES:
        raise ConfigError(f"{key}={value}: a sweep has 2 to {MAX_FRAMES} frames, not {parts[2]}")
    steps = int(count) - 1
    return [first + (last - first) * index / steps for index in range(steps + 1)]


def _default_name(pairs: Mapping[str, Any]) -> str:
    parts = []
    for key, value in pairs.items():
        if key in ("source", "params"):
            parts.append(f"{key}_{Path(str(value)).stem}")
        elif key != "source_blocks":
            shown = str(value) if len(str(value)) <= 16 else ""
            parts.append(f"{key.partition('.')[2] or key}_{shown}")
    return "__".join(parts)


def _slug(name: str) -> str:
    """A name that is safe in every file system: letters, digits, `_`, `-` and `.`; at most 80 characters."""
    text = re.sub(r"[^A-Za-z0-9.+-]+", "_", name.replace("+=", "plus_").replace(":", "_to_")).strip("_.")
    return text[:80].rstrip("_.") or "edit"
