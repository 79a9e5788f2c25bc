"""Controls as coefficients and back: the light, angles, combined expressions."""

from __future__ import annotations

import math
from types import SimpleNamespace

import pytest
import torch

from pie_framework.api import Block, Layout
from pie_framework.editing.controls import Vocabulary
from pie_framework.editing.edit import combinations_of
from pie_framework.editing.parameters import (
    angle_between,
    apply_request,
    light_of,
    read_control,
    read_request,
)
from pie_framework.rendering import ambient_light, directional_light


@pytest.mark.parametrize("azimuth", [-80.0, 0.0, 35.0])
def test_light_description_is_exact(azimuth: float) -> None:
    a, e = math.radians(azimuth), math.radians(20.0)
    direction = torch.tensor([[math.sin(a) * math.cos(e), math.sin(e), math.cos(a) * math.cos(e)]]).double()
    colour = torch.tensor([[1.0, 0.8, 0.5]]).double()
    gamma = directional_light(direction, colour, 0.7) + ambient_light(
        torch.tensor([[0.3, 0.4, 0.5]]).double()
    )
    light = light_of(gamma)
    assert light.numbers["azimuth"] == pytest.approx(azimuth, abs=1e-4)
    assert light.numbers["elevation"] == pytest.approx(20.0, abs=1e-4)
    assert light.intensity == pytest.approx(0.7)
    torch.testing.assert_close(light.colour, colour)
    assert light.numbers["ambient"] == pytest.approx(0.4)
    torch.testing.assert_close(light.gamma(), gamma)


def test_angle() -> None:
    assert angle_between((1.0, 0.0, 0.0), (0.0, 2.0, 0.0)) == pytest.approx(90.0)
    assert angle_between((0.0, 0.0, 0.0), (0.0, 2.0, 0.0)) == 180.0


def test_combined_expressions_are_set_and_read() -> None:
    """An alias sets its coefficients; of a direction only the share along it is set."""
    layout = Layout(
        (Block("rotation", 3, "radians"), Block("expression", 4, "activation", ("a", "b", "c", "d")))
    )
    face_model = SimpleNamespace(
        expression_aliases={"grin": {"b": 1.0, "d": -0.5}, "odd": {"unknown": 1.0}},
        expression_directions={"smile": (2.0, 0.0, 0.0, 1.0), "short": (1.0,)},
    )
    words = Vocabulary(layout, combinations=combinations_of(layout, face_model))
    assert set(words.combinations) == {"expression.grin", "expression.smile"}
    theta = torch.tensor([[0.0, 0.0, 0.0, 0.3, 0.2, 0.1, 0.4]])

    def asked(text: str) -> torch.Tensor:
        (request,) = words.parse([text])
        return apply_request(words, theta, request)[:, 3:]

    torch.testing.assert_close(asked("expression.grin=0.8"), torch.tensor([[0.3, 0.8, 0.1, -0.4]]))
    torch.testing.assert_close(asked("expression.grin+=0.2"), torch.tensor([[0.3, 0.4, 0.1, 0.3]]))
    shown = (2 * 0.3 + 0.4) / 5
    assert read_control(words, "expression.smile", theta) == pytest.approx(shown)
    more = 0.5 - shown
    torch.testing.assert_close(
        asked("expression.smile=0.5"), torch.tensor([[0.3 + 2 * more, 0.2, 0.1, 0.4 + more]])
    )
    torch.testing.assert_close(asked("expression.smile+=0.1"), torch.tensor([[0.5, 0.2, 0.1, 0.5]]))
    (request,) = words.parse(["expression.smile=0.5"])
    moved = apply_request(words, theta, request)
    (reading,) = read_request(words, request, theta, moved, moved)
    assert reading.asked == pytest.approx(0.5) and reading.error == pytest.approx(0.0)
