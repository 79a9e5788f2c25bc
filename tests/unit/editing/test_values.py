"""How values are written: what is read, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from pie_framework.editing import values
from pie_framework.errors import ConfigError


def test_texts_are_split_at_the_first_sign() -> None:
    assert values.split_texts(["a=b=c", " d += 3"]) == {"a": "b=c", "d": "+=3"}


def test_nested_entries_become_names() -> None:
    entry = {"rotation": {"yaw": 1}, "expression": [1, 2], "light.ambient": 0.4, "x.raw": [3]}
    assert values.flatten(entry) == {
        "rotation.yaw": 1,
        "expression.raw": [1, 2],
        "light.ambient": 0.4,
        "x.raw": [3],
    }


def test_lists_colours_and_sweeps() -> None:
    assert values.entries("[a, b,]") == values.entries(("a", "b")) == ["a", "b"]
    assert values.colour("c", "#ff0080") == pytest.approx((1.0, 0.0, 128 / 255))
    assert values.sweep("x", "1:-1:3") == [1.0, 0.0, -1.0]
    assert values.sweep("x", 2) == [2.0]


@pytest.mark.parametrize(
    "read",
    [
        lambda: values.number("x", True),
        lambda: values.number("x", "1e999"),
        lambda: values.entries(3),
        lambda: values.vector("x", "[1]", 2),
        lambda: values.colour("x", [0, 0, 1.5]),
        lambda: values.colour("x", "#12345g"),
        lambda: values.sweep("x", f"0:1:{values.MAX_FRAMES + 1}"),
    ],
)
def test_refused(read: Callable[[], Any]) -> None:
    with pytest.raises(ConfigError):
        read()


@pytest.mark.parametrize("name", ["../../etc", "..", "a b/c:d", "x" * 300, "", "ä"])
def test_names_are_safe_in_every_file_system(name: str) -> None:
    safe = values.file_name(name)
    assert 1 <= len(safe) <= 80
    assert not safe.startswith(".")
    assert set(safe) <= set("abcdefghijklmnopqrstuvwxyz_0123456789x.-")
