"""The language of edits: names, units, sweeps, files, and what is refused."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from pie_framework.api import Block, Layout
from pie_framework.editing.controls import (
    LIGHT_DIRECTIONS,
    Combination,
    Control,
    UnknownControlError,
    Vocabulary,
)
from pie_framework.errors import ConfigError
from pie_framework.testing.toys import TOY_LAYOUT

WORDS = Vocabulary(TOY_LAYOUT, {"rotation.yaw": (-30.0, 30.0)})


def only(*texts: str) -> tuple[Control, ...]:
    (request,) = WORDS.parse(texts)
    return request.controls


def test_absolute_and_relative() -> None:
    assert only("rotation.yaw=15") == (Control("rotation.yaw", 15.0),)
    assert only("rotation.yaw=+15") == (Control("rotation.yaw", 15.0),)
    assert only("rotation.yaw+=-5") == (Control("rotation.yaw", -5.0, relative=True),)
    assert only("rotation.yaw=+=10") == (Control("rotation.yaw", 10.0, relative=True),)


def test_names_come_from_the_layout_and_sides_combine() -> None:
    assert {"rotation.pitch", "expression.smile", "expression.blink", "illumination.from"} <= set(
        WORDS.names()
    )
    assert WORDS.coefficients["expression.blink"].indices == (2, 3)
    assert WORDS.coefficients["expression.smile"].indices == (0,)
    assert WORDS.unit("rotation.yaw") == "degrees"
    assert WORDS.unit("expression.smile") == "activation"


def test_light() -> None:
    assert only("illumination.from=left") == (Control("illumination.direction", LIGHT_DIRECTIONS["left"]),)
    assert only("illumination.colour=#ff8000")[0].value == pytest.approx((1.0, 128 / 255, 0.0))
    assert only("illumination.color=[1,0.5,0]")[0].name == "illumination.colour"
    assert only("illumination.sh=[" + ",".join(["0.1"] * 27) + "]")[0].name == "illumination.raw"
    assert LIGHT_DIRECTIONS["left"][0] < 0 < LIGHT_DIRECTIONS["right"][0]
    assert LIGHT_DIRECTIONS["below"][1] < 0 < LIGHT_DIRECTIONS["above"][1]


def test_sweeps_go_hand_in_hand() -> None:
    requests = WORDS.parse(
        ["rotation.yaw=-20:20:9", "expression.smile=0:1:9", "rotation.roll=2"], name="turn"
    )
    assert len(requests) == 9
    assert [request.controls[0].value for request in requests] == pytest.approx(
        [-20 + 5 * i for i in range(9)]
    )
    assert requests[4].controls[1:] == (Control("expression.smile", 0.5), Control("rotation.roll", 2.0))
    assert [request.name for request in requests] == [f"turn_{i}" for i in range(9)]
    assert requests[0].blocks == ("rotation", "expression")


def test_mapping_as_read_from_yaml() -> None:
    (request,) = WORDS.parse({"rotation.yaw": -15, "illumination.direction": [1, 0, 1]}, name="yaw left")
    assert request.name == "yaw_left"
    assert request.controls[1].value == (1.0, 0.0, 1.0)


def test_names_are_safe_for_files() -> None:
    (request,) = WORDS.parse(["source=../../etc/a b.jpg", "source_blocks=expression"])
    assert "/" not in request.name
    assert not request.name.startswith(".")
    assert WORDS.parse(["rotation.yaw=1"], name="../x")[0].name == "x"


def test_source() -> None:
    (request,) = WORDS.parse(["source=other.jpg", "source_blocks=[expression, rotation]"])
    assert (request.source, request.source_blocks) == ("other.jpg", ("expression", "rotation"))
    assert WORDS.parse(["source=other.jpg"])[0].source_blocks == TOY_LAYOUT.editable


def test_parameter_file(tmp_path: Path) -> None:
    file = tmp_path / "params.json"
    file.write_text(
        json.dumps({"rotation": {"yaw": 3}, "expression": [0.0] * 5, "illumination.ambient": 0.4})
    )
    (request,) = WORDS.parse([f"params={file}", "rotation.yaw=4"])
    names = ["rotation.yaw", "expression.raw", "illumination.ambient", "rotation.yaw"]
    assert [control.name for control in request.controls] == names
    file.write_text(json.dumps([{"rotation.yaw": yaw} for yaw in (1, 2, 3)]))
    assert [r.controls[0].value for r in WORDS.parse([f"params={file}"])] == [1.0, 2.0, 3.0]


def test_ranges() -> None:
    sides = Vocabulary(TOY_LAYOUT, {"expression.blink_left": (0, 1), "expression.blink_right": (-0.2, 0.9)})
    assert sides.range_of("expression.blink") == (0.0, 0.9)
    assert sides.range_of("illumination.ambient") is None
    assert WORDS.outside("rotation.yaw", 40) == (-30.0, 30.0)
    assert WORDS.outside("rotation.yaw", 30) is None
    assert WORDS.outside("rotation.pitch", math.inf) is None


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        ([], "no edit"),
        (["rotation.yaw"], "not a control and a value"),
        (["rotation.yav=3"], "rotation.yaw"),
        (["expresion.smile=1"], "expression.smile"),
        (["translation.x=1"], "unknown control"),
        (["rotation.yaw=left"], "not a number"),
        (["rotation.yaw=nan"], "not a number"),
        (["rotation.yaw=inf"], "not a number"),
        (["rotation.yaw=[1,2]"], "not a number"),
        (["rotation.yaw=1", "rotation.yaw=2"], "twice"),
        (["rotation.yaw=0:1"], "not a sweep"),
        (["rotation.yaw=0:1:1"], "frames"),
        (["rotation.yaw=0:1:1e9"], "frames"),
        (["rotation.yaw=0:1:2.5"], "frames"),
        (["rotation.yaw=0:1:3", "rotation.roll=0:1:4"], "different numbers"),
        (["rotation.raw=[1,2]"], "needs 3 numbers"),
        (["illumination.sh=[1,2]"], "needs 27 numbers"),
        (["illumination.direction=[0,0,0]"], "zero"),
        (["illumination.from=lefft"], "'left'"),
        (["illumination.colour=#12345"], "not a colour"),
        (["illumination.colour=[2,0,0]"], "0..1"),
        (["illumination.ambient=-1"], "negative"),
        (["illumination.direction+=[0,0,1]"], "relative"),
        (["source_blocks=[expression]"], "without source"),
        (["source=a.jpg", "source_blocks=[hair]"], "hair"),
        (["params=/nowhere.json"], "no file"),
    ],
)
def test_refused_with_a_reason(texts: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message.replace(".", r"\.")):
        WORDS.parse(texts)


@pytest.mark.parametrize(
    "content", ["[]", "3", "{}", '{"rotation.yaw": "0:1:3"}', "{", '{"rotation": {"yo": 1}}']
)
def test_bad_parameter_files(tmp_path: Path, content: str) -> None:
    file = tmp_path / "params.json"
    file.write_text(content)
    with pytest.raises(ConfigError):
        WORDS.parse([f"params={file}"])


def test_a_block_without_a_rig_says_so() -> None:
    words = Vocabulary(TOY_LAYOUT, blocks=("rotation",))
    with pytest.raises(ConfigError, match="no rig network"):
        words.parse(["expression.smile=1"])
    assert not [name for name in words.names() if name.startswith("expression")]


def test_combinations_are_controls_too() -> None:
    """Further expressions that a face model names; a coefficient's own name comes first, near names are told."""
    own = TOY_LAYOUT.names("expression")
    words = Vocabulary(
        TOY_LAYOUT,
        combinations={
            "expression.laugh": Combination((0, 1), (1.0, 0.5)),
            f"expression.{own[0]}": Combination((1,), (1.0,)),
        },
    )
    assert "expression.laugh" in words.names()
    assert words.names().count(f"expression.{own[0]}") == 1
    assert words.coefficients[f"expression.{own[0]}"].indices == (0,)
    (request,) = words.parse(["expression.laugh=0.8"])
    assert request.controls == (Control("expression.laugh", 0.8),)
    with pytest.raises(UnknownControlError, match="laugh"):
        words.parse(["expression.laughs=1"])


def test_sides_by_their_suffix() -> None:
    layout = Layout((Block("expression", 3, "activation", ("eyeBlink_L", "eyeBlink_R", "mouthLeft")),))
    assert Vocabulary(layout).coefficients["expression.eyeBlink"].indices == (0, 1)
