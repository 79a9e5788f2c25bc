"""From the controls of an edit to the coefficients θ, and back from coefficients to readings.

θ here is that of one portrait, (1, P). The light of θ is described as one distant light plus an ambient one;
for illumination made of those two the description is exact (see `pie_framework.rendering.illumination`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

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
    def numbers(self) -> dict[str, float]:
        """Its controls that are numbers.

        "intensity"; "ambient", the mean of the channels; in degrees "azimuth" (0 in front, positive towards the image's
        right) and "elevation" (above the horizon).
        """
        x, y, z = self.direction[0].tolist()
        return {
            "intensity": self.intensity,
            "ambient": float(self.ambient.mean()),
            "azimuth": math.degrees(math.atan2(x, z)),
            "elevation": math.degrees(math.asin(max(-1.0, min(1.0, y)))),
        }

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
    before = light = light_of(gamma)
    numbers = before.numbers
    for control in controls:
        if isinstance(control.value, tuple):
            vector = gamma.new_tensor([control.value])
            if control.key == "direction":
                light = replace(light, direction=torch.nn.functional.normalize(vector, dim=-1))
                numbers |= {key: light.numbers[key] for key in ("azimuth", "elevation")}
            else:
                light = replace(light, colour=vector / vector.max().clamp_min(1e-6))
            continue
        amount = control.value + control.relative * before.numbers[control.key]
        if control.key == "intensity":
            light = replace(light, intensity=max(0.0, amount))
        elif control.key == "ambient":
            light = replace(light, ambient=torch.full_like(light.ambient, max(0.0, amount)))
        else:
            numbers[control.key] = amount
            light = replace(light, direction=_towards(numbers["azimuth"], numbers["elevation"], gamma))
    given = {control.key for control in controls}
    if not given & {"direction", "azimuth", "elevation"}:
        return gamma - before.gamma() + light.gamma()
    if not given & {"intensity", "ambient"}:
        ambient = light.numbers["ambient"]
        total = light.intensity + ambient
        intensity = max(light.intensity, KEY_SHARE * total)
        scale = (total - intensity) / ambient if ambient > 1e-6 else 0.0
        light = replace(light, intensity=intensity, ambient=light.ambient * scale)
    return light.gamma()


def _towards(azimuth: float, elevation: float, like: Tensor) -> Tensor:
    """The unit vector of two angles in degrees, (1, 3)."""
    a, e = math.radians(azimuth), math.radians(elevation)
    return like.new_tensor([[math.sin(a) * math.cos(e), math.sin(e), math.cos(a) * math.cos(e)]])


def apply_request(
    vocabulary: Vocabulary, theta: Tensor, request: EditRequest, source: Tensor | None = None
) -> Tensor:
    """θ' = θ with the request's controls set.

    Args:
        vocabulary: that the request was parsed with.
        theta: (1, P), what the portrait shows.
        request: its controls are applied in order, those of the light together at the end.
        source: (1, P), coefficients of the portrait that `request.source` names.

    Returns:
        (1, P).

    Raises:
        ConfigError: when the request takes blocks from a source and none is given.
    """
    layout = vocabulary.layout
    asked = layout.check(theta).clone()
    if request.source_blocks:
        if source is None:
            raise ConfigError(f"the edit '{request.name}' needs the coefficients of its source portrait")
        asked = layout.replace(asked, source.to(asked), request.source_blocks).clone()
    lights = []
    for control in request.controls:
        values = layout.get(asked, control.block)
        if isinstance(control.value, tuple) and control.key == "raw":
            values.copy_(control.relative * values + values.new_tensor([control.value]))
        elif control.block == "illumination":
            lights.append(control)
        elif not isinstance(control.value, tuple):
            is_angle = layout.block(control.block).unit == "radians"
            value = math.radians(control.value) if is_angle else control.value
            combination = vocabulary.coefficients[control.name]
            shown = _along(values, combination)
            for column, amount in zip(combination.indices, combination.amounts, strict=True):
                if combination.along:
                    values[:, column] += amount * (value - (0.0 if control.relative else shown))
                else:
                    values[:, column] = amount * value + control.relative * values[:, column]
    if lights:
        light = layout.get(asked, "illumination")
        light.copy_(_relit(light, lights))
    return asked


def _along(values: Tensor, combination: Combination) -> Tensor:
    """(B,) how much of a combination a block (B, n) holds: 1 where it is just that."""
    amounts = values.new_tensor(combination.amounts, dtype=torch.float64)
    own = values[:, list(combination.indices)].double()
    return ((own * amounts).sum(1) / combination.length).to(values.dtype)


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
    vocabulary: Vocabulary, request: EditRequest, before: Tensor, asked: Tensor, achieved: Tensor
) -> tuple[Reading, ...]:
    """Read the request's controls back from three θ, each (1, P).

    A block that was set as a whole (raw, or from a source) is read by the coefficients that were to change
    most.
    """
    names = [control.name for control in request.controls if control.key != "raw"]
    for block in (*request.source_blocks, *(c.block for c in request.controls if c.key == "raw")):
        names += _telling(vocabulary.layout, block, before, asked)
    return tuple(_reading(vocabulary, name, before, asked, achieved) for name in dict.fromkeys(names))


def _telling(layout: Layout, block: str, before: Tensor, asked: Tensor) -> list[str]:
    """The controls that tell most about a change of a whole block."""
    if block == "illumination":
        return ["illumination.direction", "illumination.intensity", "illumination.ambient"]
    change = (layout.get(asked, block) - layout.get(before, block))[0].abs()
    order = torch.argsort(change, descending=True, stable=True)[:READ_BACK].tolist()
    names = layout.names(block)
    return [f"{block}.{names[index]}" for index in sorted(order)]


def _reading(vocabulary: Vocabulary, name: str, before: Tensor, asked: Tensor, achieved: Tensor) -> Reading:
    shown, wanted, got = (read_control(vocabulary, name, theta) for theta in (before, asked, achieved))
    unit = vocabulary.unit(name)
    if name.endswith(".direction"):
        angle = angle_between(_as_tuple(wanted), _as_tuple(got))
        return Reading(name, unit, shown, wanted, got, angle, "degrees")
    squares = [(a - b) ** 2 for a, b in zip(_as_tuple(wanted), _as_tuple(got), strict=True)]
    return Reading(name, unit, shown, wanted, got, math.sqrt(sum(squares) / len(squares)), unit)


def read_control(vocabulary: Vocabulary, name: str, theta: Tensor) -> Value:
    """The value of a control in θ, (1, P), in its own unit.

    A control of several coefficients gives how much of its combination they hold: for both sides, their mean.
    """
    block, _, key = name.partition(".")
    values = vocabulary.layout.get(theta, block).detach()
    if block == "illumination":
        light = light_of(values)
        if key in ("direction", "colour"):
            return tuple((light.direction if key == "direction" else light.colour)[0].tolist())
        return light.numbers[key]
    value = float(_along(values.double(), vocabulary.coefficients[name])[0])
    return math.degrees(value) if vocabulary.layout.block(block).unit == "radians" else value


def _as_tuple(value: Value) -> tuple[float, ...]:
    return value if isinstance(value, tuple) else (value,)


def angle_between(first: tuple[float, ...], second: tuple[float, ...]) -> float:
    """Angle between two directions in degrees; 180 when one of them is zero."""
    norms = math.hypot(*first) * math.hypot(*second)
    if norms < 1e-12:
        return 180.0
    cosine = sum(a * b for a, b in zip(first, second, strict=True)) / norms
    return math.degrees(math.acos(max(-1.0, min(1.0, cosine))))
