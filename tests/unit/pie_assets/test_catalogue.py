"""The catalogue that ships: what it says holds together."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import urlsplit

import pytest

import pie_assets
from pie_assets.formats import BEGINNINGS
from pie_framework.assets.catalogue import FOLDER, FORMATS, SURE, Entry, read
from pie_framework.composition.compose import compose

ENTRIES = read(Path(pie_assets.__file__).with_name("catalogue.yaml"))


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
def test_what_is_said_of_an_asset_holds_together(entry: Entry) -> None:
    assert entry.format in FORMATS or entry.format == FOLDER
    assert set(entry.sure.values()) <= set(SURE)
    assert all(urlsplit(url).scheme == "https" for url in (*entry.urls, entry.source))
    assert not (entry.registration and entry.urls), "what needs registration is not fetched by a program"
    assert entry.checked and entry.summary.endswith(".")
    assert entry.non_commercial is None or entry.licence
    if entry.sha256 and entry.sha256_prefix:
        assert entry.sha256.startswith(entry.sha256_prefix)
    assert f"pie assets {'pull' if entry.urls else 'add'} {entry.name}" in entry.how_to_get


USES = {re.sub(r"asset://\S+", "asset://NAME", line) for entry in ENTRIES for line in entry.used_by}


@pytest.mark.parametrize("line", sorted(USES))
def test_the_uses_compose(line: str) -> None:
    """Every use is what `pie run` would take."""
    assert "asset://NAME" in str(compose(line.split()))


def test_the_uses_name_assets_of_the_catalogue() -> None:
    names = {entry.name for entry in ENTRIES}
    for entry in ENTRIES:
        for line in entry.used_by:
            assert set(re.findall(r"asset://(\S+)", line)) <= names


def test_every_format_of_the_catalogue_can_be_recognised() -> None:
    assert set(BEGINNINGS) == set(FORMATS)
