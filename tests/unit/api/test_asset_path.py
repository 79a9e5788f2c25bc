"""Settings that name files are known by their type."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Optional

import pytest

from pie_framework.api import MISSING, AssetPath, Kind, asset_settings
from pie_framework.errors import ConfigError
from pie_framework.plugins import discover
from pie_framework.settings import merge


@dataclass(frozen=True)
class Settings:
    size: int = 3
    network: AssetPath = MISSING
    heads: AssetPath | None = None
    old: Optional[AssetPath] = None  # noqa: UP045
    more: list[AssetPath] = field(default_factory=list)
    path: str = ""


def test_they_are_found_by_their_type_and_not_by_their_name() -> None:
    assert asset_settings(Settings) == ("network", "heads", "old", "more")


def test_to_everything_else_they_are_texts() -> None:
    made = merge(Settings, {"network": "asset://net", "heads": None, "more": ["a"]})
    assert (made.network, made.heads, made.more) == ("asset://net", None, ["a"])
    with pytest.raises(ConfigError, match=r"part.network must be given. It is a file that does not come"):
        merge(Settings, {}, "part")
    with pytest.raises(ConfigError, match=r"part.network: it may not be null"):
        merge(Settings, {"network": None}, "part")


def test_annotations_that_cannot_be_evaluated_have_none() -> None:
    broken = dataclass(type("Broken", (), {"__annotations__": {"weights": "NoSuchType"}, "weights": ""}))
    assert asset_settings(broken) == ()


#: Settings of the shipped components that name a file.
FILES = {"weights", "path", "landmarks", "heads", "model", "generator"}


@pytest.mark.parametrize("kind", [kind for kind in Kind if kind.network])
def test_shipped_components_name_their_files_by_the_type(kind: Kind) -> None:
    for name, component in discover().named(kind):
        fields = set(component.config.__dataclass_fields__)
        assert set(asset_settings(component.config)) == fields & FILES, name
        if any("://" in asset.uri for asset in component.assets):
            assert asset_settings(component.config), name
