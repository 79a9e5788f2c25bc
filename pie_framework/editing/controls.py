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

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from pie_framework.api.layout import Layout
from pie_framework.editing import values
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

#: Parts that move to one side or the other: their left and right do not make a control of both.
_SIDEWAYS = ("jaw", "mouth", "lips", "gaze", "head")
#: What a light is described by, with its unit.
_LIGHT = {
    "direction": "",
    "colour": "",
    "ambient": "",
    "intensity": "",
    "azimuth": "degrees",
    "elevation": "degrees",
}
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
        blocks: the blocks that can be edited in this run; all that rig networks can edit by default.
        combinations: further controls, by name, such as "expression.smile"; a coefficient's own name comes first.
    """

    layout: Layout
    ranges: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    blocks: tuple[str, ...] = ()
    combinations: Mapping[str, Combination] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.blocks:
            object.__setattr__(self, "blocks", self.layout.editable)

    @cached_property
    def coefficients(self) -> Mapping[str, Combination]:
        """What each control of coefficients sets: of one, of both sides, then the combinations of the face model."""
        offered: dict[str, Combination] = {}
        for block in self.layout.block_names:
            names = self.layout.names(block)
            single = {name: (index,) for index, name in enumerate(names)}
            for key, indices in (*single.items(), *_both_sides(names).items()):
                offered.setdefault(f"{block}.{key}", Combination(indices, (1.0,) * len(indices)))
        for name, combination in self.combinations.items():
            offered.setdefault(name, combination)
        return offered

    def names(self) -> tuple[str, ...]:
        """Every control a person can name, without the unnamed coefficients."""
        offered: list[str] = []
        for block in self.blocks:
            if block == "illumination":
                offered += [f"{block}.{key}" for key in ("from", *_LIGHT, "sh")]
            else:
                count = len(self.layout.block(block).names)
                unnamed = {f"{block}.{name}" for name in self.layout.names(block)[count:]}
                own = (name for name in self.coefficients if name.startswith(f"{block}."))
                offered += [*(name for name in own if name not in unnamed), f"{block}.raw"]
        return (*offered, *_RESERVED)

    def unit(self, name: str) -> str:
        """The unit in which a control is written."""
        block, _, key = name.partition(".")
        if block == "illumination":
            return _LIGHT.get(key, "")
        unit = self.layout.block(block).unit
        return "degrees" if unit == "radians" and key != "raw" else unit

    def range_of(self, name: str) -> tuple[float, float] | None:
        """The trained range of a control, if it is known; a control of both sides has that of its sides."""
        known = [self.ranges[name]] if name in self.ranges else []
        own = self.coefficients.get(name)
        if not known and own is not None and own is not self.combinations.get(name):
            block = name.partition(".")[0]
            sides = [f"{block}.{self.layout.names(block)[index]}" for index in own.indices]
            known = [self.ranges[side] for side in sides if side in self.ranges]
        if not known:
            return None
        return float(max(low for low, _ in known)), float(min(high for _, high in known))

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
        pairs = dict(settings) if isinstance(settings, Mapping) else values.split_texts(settings)
        if not pairs:
            raise ConfigError(
                "no edit was given", "Write, for example, rotation.yaw=15 expression.smile=0.8."
            )
        name = values.file_name(values.default_name(pairs) if name is None else name)
        source, source_blocks = self._source(pairs)
        frames = self._frames(pairs)
        digits = len(str(len(frames) - 1))
        names = [name] if len(frames) == 1 else [f"{name}_{i:0{digits}d}" for i in range(len(frames))]
        return tuple(
            EditRequest(each, controls, source, source_blocks)
            for each, controls in zip(names, frames, strict=True)
        )

    def _source(self, pairs: Mapping[str, Any]) -> tuple[str | None, tuple[str, ...]]:
        source, blocks = pairs.get("source"), pairs.get("source_blocks")
        if source is None:
            if blocks is not None:
                raise ConfigError("source_blocks was given without source", "Add source=photo.jpg.")
            return None, ()
        if not isinstance(source, str) or not source:
            raise ConfigError(f"source={source!r} is not the path of a picture")
        chosen = self.blocks if blocks is None else tuple(dict.fromkeys(values.entries(blocks)))
        for block in chosen:
            if block not in self.blocks:
                raise ConfigError(
                    f"source_blocks names '{block}', which cannot be edited", did_you_mean(block, self.blocks)
                )
        return source, chosen

    def _frames(self, pairs: Mapping[str, Any]) -> list[tuple[Control, ...]]:
        """The controls of each frame: the file's, with those given beside it applied after."""
        tracks = [self._track(key, value) for key, value in pairs.items() if key not in _RESERVED]
        of_file = self._file(pairs["params"]) if "params" in pairs else [()]
        lengths = {len(track) for track in (*tracks, of_file)} - {1}
        if len(lengths) > 1:
            counts = " and ".join(str(count) for count in sorted(lengths))
            raise ConfigError(
                f"the sweeps have different numbers of frames: {counts}", "Give them the same number."
            )
        return [
            (*of_file[index % len(of_file)], *(track[index % len(track)] for track in tracks))
            for index in range(max(lengths, default=1))
        ]

    def _file(self, path: Any) -> list[tuple[Control, ...]]:
        """The controls of each frame of a parameter file."""
        if not isinstance(path, str) or not path:
            raise ConfigError(f"params={path!r} is not the path of a JSON file")
        try:
            content = read_json(Path(path).expanduser())
        except RunError as error:
            raise ConfigError(f"params: {error.message}") from error
        if isinstance(content, Mapping) and set(content) == {"frames"}:
            content = content["frames"]
        entries = content if isinstance(content, list) else [content]
        if not 1 <= len(entries) <= values.MAX_FRAMES:
            raise ConfigError(f"'{path}' has {len(entries)} frames; 1 to {values.MAX_FRAMES} are allowed")
        frames = []
        for entry in entries:
            if not isinstance(entry, Mapping) or not entry:
                raise ConfigError(
                    f"'{path}' must hold controls and values, or a list of those",
                    'For example {"rotation": {"yaw": 15}, "expression.smile": 0.8}.',
                )
            tracks = [self._track(key, value) for key, value in values.flatten(entry).items()]
            if any(len(track) > 1 for track in tracks):
                raise ConfigError(f"'{path}' holds a sweep; write its frames as a list instead")
            frames.append(tuple(track[0] for track in tracks))
        return frames

    def _track(self, name: str, value: Any) -> list[Control]:
        """One setting as one control, or as one for each frame of its sweep."""
        name = _RENAMED.get(name, name)
        if name == "illumination.from" and "illumination" in self.blocks:
            if not isinstance(value, str) or value not in LIGHT_DIRECTIONS:
                raise ConfigError(
                    f"illumination.from={value} is no known direction",
                    did_you_mean(str(value), LIGHT_DIRECTIONS),
                )
            return [Control("illumination.direction", LIGHT_DIRECTIONS[value])]
        self._check_known(name)
        relative = isinstance(value, str) and value.startswith("+=")
        value = value[2:].strip() if relative else value
        block, _, key = name.partition(".")
        if key == "raw":
            return [Control(name, values.vector(name, value, self.layout.block(block).size), relative)]
        if name in ("illumination.direction", "illumination.colour"):
            if relative:
                raise ConfigError(f"{name} cannot be relative", "Give the value itself.")
            if key == "colour":
                return [Control(name, values.colour(name, value))]
            direction = values.vector(name, value, 3)
            if not any(abs(number) > 1e-9 for number in direction):
                raise ConfigError("illumination.direction must not be zero")
            return [Control(name, direction)]
        numbers = values.sweep(name, value)
        if name in ("illumination.ambient", "illumination.intensity") and not relative and min(numbers) < 0.0:
            raise ConfigError(f"{name} cannot be negative")
        return [Control(name, number, relative) for number in numbers]

    def _check_known(self, name: str) -> None:
        block, _, key = name.partition(".")
        if block in self.blocks:
            if key == "raw" or (key in _LIGHT if block == "illumination" else name in self.coefficients):
                return
        elif block in self.layout.editable:
            raise ConfigError(
                f"'{name}' cannot be edited: this run has no rig network for the block '{block}'"
            )
        raise UnknownControlError(f"unknown control '{name}'", did_you_mean(name, self.names()))


def _both_sides(names: Sequence[str]) -> dict[str, tuple[int, ...]]:
    """Stem -> indices of the coefficients that are its left and right side."""
    where = {name: index for index, name in enumerate(names)}
    sides: dict[str, tuple[int, ...]] = {}
    for name, index in where.items():
        for left, right, stem in (
            (r"^(.+)_left$", r"\1_right", r"\1"),
            (r"^left_(.+)$", r"right_\1", r"\1"),
            (r"^(.+)_L$", r"\1_R", r"\1"),
        ):
            if re.match(left, name) and (other := re.sub(left, right, name)) in where:
                sides[re.sub(left, stem, name)] = (index, where[other])
    return {stem: pair for stem, pair in sides.items() if stem not in _SIDEWAYS}
