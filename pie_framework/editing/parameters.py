"""From the controls of an edit to the coefficients θ, and back from coefficients to readings.

θ here is that of one portrait, (1, P). The light of θ is described as one distant light plus an ambient one;
for illumination made of those two the description is exact (see `pie_framework.rendering.illumination`).
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass

import torch
from torch import Tensor

from pie_framework.api import Layout
from pie_framework.editing.controls import Combination, Control, EditRequest, Vocabulary
from pie_framework.errors import ConfigError
from pie_framework.rendering import ambient_light, directional_light, dominant_direction

Value = float | tuple[float, ...]

_C0, _C1 = 0.5 / math.sqrt(math.pi), math.sqrt(3.0 / (4.0 * math.pi))
#: A light that is only given a direction gets at least this share of the brightness, or it would not be seen.
KEY_SHARE = 0.6
#: How many coefficients of a block set as a whole are read back by name.
READ_BACK = 4


@dataclass(frozen=True)
class Light:
    """One distant light and an ambient one.

    Attributes:
        direction: (1, 3), unit, from the face to the light.
        intensity: shading of a surface that faces the light, in its strongest channel.
        colour: (1, 3), largest channel 1.
        ambient: (1, 3), shading added everywhere.
    """

    direction: Tensor
    intensity: float
    colour: Tensor
    ambient: Tensor

    @property
    def ambient_level(self) -> float:
        """Mean of the ambient channels."""
        return float(self.ambient.mean())

    @property
    def azimuth(self) -> float:
        """Degrees; 0 in front, positive towards the image's right."""
        return math.degrees(math.atan2(float(self.direction[0, 0]), float(self.direction[0, 2])))

    @property
    def elevation(self) -> float:
        """Degrees above the horizon."""
        return math.degrees(math.asin(max(-1.0, min(1.0, float(self.direction[0, 1])))))

    def gamma(self) -> Tensor:
        """Its spherical harmonics, (1, 27)."""
        return directional_light(self.direction, self.colour, self.intensity) + ambient_light(self.ambient)


def light_of(gamma: Tensor) -> Light:
    """The distant and the ambient light that agree with the constant and linear bands of γ, (1, 27)."""
    bands = gamma.reshape(1, 3, 9)
    direction = dominant_direction(gamma)
    if not bool(direction.any()):
        direction = gamma.new_tensor([[0.0, 0.0, 1.0]])
    linear = torch.stack((bands[..., 3], bands[..., 1], bands[..., 2]), dim=-1)
    key = ((linear * direction.unsqueeze(1)).sum(-1) / (math.pi * _C1)).clamp_min(0.0)
    intensity = float(key.max())
    colour = key / intensity if intensity > 1e-6 else torch.ones_like(key)
    return Light(direction, intensity, colour, (_C0 * bands[..., 0] - key / 4.0).clamp_min(0.0))


def _relit(gamma: Tensor, controls: list[Control]) -> Tensor:
    """γ with the light's controls applied; what the description leaves out is kept unless the light moves."""
    before = light_of(gamma)
    light, moved, levels = before, False, False
    azimuth, elevation = before.azimuth, before.elevation
    for control in controls:
        value = control.value
        if isinstance(value, tuple):
            vector = gamma.new_tensor([value])
            if control.key == "direction":
                light, moved = (
                    dataclasses.replace(light, direction=torch.nn.functional.normalize(vector, dim=-1)),
                    True,
                )
                azimuth, elevation = light.azimuth, light.elevation
            else:
                light = dataclasses.replace(light, colour=vector / vector.max().clamp_min(1e-6))
        elif control.key == "intensity":
            light = dataclasses.replace(
                light, intensity=max(0.0, value + control.relative * before.intensity)
            )
            levels = True
        elif control.key == "ambient":
            level = max(0.0, value + control.relative * before.ambient_level)
            light = dataclasses.replace(light, ambient=torch.full_like(light.ambient, level))
            levels = True
        else:
            if control.key == "azimuth":
                azimuth = value + control.relative * before.azimuth
            else:
                elevation = value + control.relative * before.elevation
            light, moved = dataclasses.replace(light, direction=_towards(azimuth, elevation, gamma)), True
    if not moved:
        return gamma - before.gamma() + light.gamma()
    if not levels:
        total = light.intensity + light.ambient_level
        intensity = max(light.intensity, KEY_SHARE * total)
        scale = (total - intensity) / light.ambient_level if light.ambient_level > 1e-6 else 0.0
        light = dataclasses.replace(light, intensity=intensity, ambient=light.ambient * scale)
    return light.gamma()


def _towards(azimuth: float, elevation: float, like: Tensor) -> Tensor:
    a, e = math.radians(azimuth), math.radians(elevation)
    return like.new_tensor([[math.sin(a) * math.cos(e), math.sin(e), math.cos(a) * math.cos(e)]])


def _words(layout: Layout | Vocabulary) -> Vocabulary:
    return layout if isinstance(layout, Vocabulary) else Vocabulary(layout)


def apply_request(
    layout: Layout | Vocabulary, theta: Tensor, request: EditRequest, source: Tensor | None = None
) -> Tensor:
    """θ' = θ with the request's controls set.

    Args:
        layout: of θ, or the vocabulary that the request was parsed with.
        theta: (1, P), what the portrait shows.
        request: its controls are applied in order, those of the light together at the end.
        source: (1, P), coefficients of the portrait that `request.source` names.

    Returns:
        (1, P).

    Raises:
        ConfigError: when the request takes blocks from a source and none is given.
    """
    vocabulary = _words(layout)
    layout = vocabulary.layout
    asked = layout.check(theta).clone()
    if request.source_blocks:
        if source is None:
            raise ConfigError(f"the edit '{request.name}' needs the coefficients of its source portrait")
        asked = layout.replace(asked, source.to(asked), request.source_blocks).clone()
    lights = []
    for control in request.controls:
        columns = layout.slice(control.block)
        if isinstance(control.value, tuple) and control.key == "raw":
            asked[:, columns] = control.relative * asked[:, columns] + asked.new_tensor([control.value])
        elif control.block == "illumination":
            lights.append(control)
        elif not isinstance(control.value, tuple):
            value = math.radians(control.value) if _in_degrees(layout, control.block) else control.value
            combination = vocabulary.combination(control.block, control.key)
            shown = _along(asked[:, columns], combination)
            for index, amount in zip(combination.indices, combination.amounts, strict=True):
                column = columns.start + index
                if combination.along:
                    asked[:, column] += amount * (value - (0.0 if control.relative else shown))
                else:
                    asked[:, column] = amount * value + control.relative * asked[:, column]
    if lights:
        columns = layout.slice("illumination")
        asked[:, columns] = _relit(asked[:, columns], lights)
    return asked


def _along(values: Tensor, combination: Combination) -> Tensor:
    """(B,) how much of a combination a block (B, n) holds: 1 where it is just that."""
    amounts = values.new_tensor(combination.amounts, dtype=torch.float64)
    own = values[:, list(combination.indices)].double()
    return ((own * amounts).sum(1) / combination.length).to(values.dtype)


def _in_degrees(layout: Layout, block: str) -> bool:
    return layout.block(block).unit == "radians"


@dataclass(frozen=True)
class Reading:
    """One control of an edit: what the portrait showed, what was asked for, what the edited image shows.

    Attributes:
        control: its name.
        unit: of the values.
        before, asked, achieved: a number, or the numbers of a vector.
        error: distance of achieved from asked: the angle in degrees for directions, the root mean square
            difference for other vectors, the difference for numbers.
        error_unit: "degrees" for directions, else `unit`.
    """

    control: str
    unit: str
    before: Value
    asked: Value
    achieved: Value
    error: float
    error_unit: str = ""

    @property
    def fell_short(self) -> bool:
        """Whether less than half of the way from before to asked was covered, where there was a way to go."""
        if isinstance(self.asked, tuple) or isinstance(self.before, tuple):
            if not self.control.endswith(".direction"):
                return False
            way = angle_between(_as_tuple(self.before), _as_tuple(self.asked))
        else:
            way = abs(self.asked - self.before)
        return self.error > 0.5 * way and self.error > (3.0 if self.error_unit == "degrees" else 0.1)


def read_request(
    layout: Layout | Vocabulary, request: EditRequest, before: Tensor, asked: Tensor, achieved: Tensor
) -> tuple[Reading, ...]:
    """Read the request's controls back from three θ, each (1, P).

    A block that was set as a whole (raw, or from a source) is read by the coefficients that were to change
    most.
    """
    names = list(dict.fromkeys(c.name for c in request.controls if c.key != "raw"))
    whole = (*request.source_blocks, *(c.block for c in request.controls if c.key == "raw"))
    for block in dict.fromkeys(whole):
        told = _telling(_words(layout).layout, block, before, asked)
        names += [name for name in told if name not in names]
    return tuple(_reading(layout, name, before, asked, achieved) for name in names)


def _telling(layout: Layout, block: str, before: Tensor, asked: Tensor) -> list[str]:
    """The controls that tell most about a change of a whole block."""
    if block == "illumination":
        return ["illumination.direction", "illumination.intensity", "illumination.ambient"]
    change = (layout.get(asked, block) - layout.get(before, block))[0].abs()
    order = torch.argsort(change, descending=True, stable=True)[:READ_BACK].tolist()
    names = layout.names(block)
    return [f"{block}.{names[index]}" for index in sorted(order)]


def _reading(
    layout: Layout | Vocabulary, name: str, before: Tensor, asked: Tensor, achieved: Tensor
) -> Reading:
    shown, want, got = (read_control(layout, name, theta) for theta in (before, asked, achieved))
    unit = _words(layout).unit(name)
    if name.endswith(".direction"):
        angle = angle_between(_as_tuple(want), _as_tuple(got))
        return Reading(name, unit, shown, want, got, angle, "degrees")
    squares = [(a - b) ** 2 for a, b in zip(_as_tuple(want), _as_tuple(got), strict=True)]
    return Reading(name, unit, shown, want, got, math.sqrt(sum(squares) / len(squares)), unit)


def read_control(layout: Layout | Vocabulary, name: str, theta: Tensor) -> Value:
    """The value of a control in θ, (1, P), in its own unit.

    A control of several coefficients gives how much of its combination they hold: for both sides, their mean.
    """
    vocabulary = _words(layout)
    layout = vocabulary.layout
    block, _, key = name.partition(".")
    values = layout.get(theta, block).detach()
    if block == "illumination":
        light = light_of(values)
        scalars = {
            "intensity": light.intensity,
            "ambient": light.ambient_level,
            "azimuth": light.azimuth,
            "elevation": light.elevation,
        }
        if key in scalars:
            return scalars[key]
        return tuple(float(x) for x in (light.colour if key == "colour" else light.direction)[0])
    value = float(_along(values.double(), vocabulary.combination(block, key))[0])
    return math.degrees(value) if _in_degrees(layout, block) else value


def _as_tuple(value: Value) -> tuple[float, ...]:
    return value if isinstance(value, tuple) else (value,)


def angle_between(first: tuple[float, ...], second: tuple[float, ...]) -> float:
    """Angle between two directions in degrees; 180 when one of them is zero."""
    norms = math.hypot(*first) * math.hypot(*second)
    if norms < 1e-12:
        return 180.0
    cosine = sum(a * b for a, b in zip(first, second, strict=True)) / norms
    return math.degrees(math.acos(max(-1.0, min(1.0, cosine))))
