"""The catalogue: what it says holds together, plugins extend it, and mistakes in it are told."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from pie_framework.assets import load_catalogue
from pie_framework.assets.catalogue import OWN, SURE, Entry, read
from pie_framework.assets.formats import FOLDER, FORMATS
from pie_framework.composition.compose import compose
from pie_framework.errors import AssetError
from pie_framework.plugins import discover

ENTRIES = read(OWN)


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


BASE = {
    "summary": "A net.",
    "file": "net.pkl",
    "format": "pickle",
    "source": "https://example.org",
    "sure": {"file": "once"},
}


def write(tmp_path: Path, **changes: object) -> Path:
    import yaml

    facts = {key: value for key, value in {**BASE, **changes}.items() if value != "absent"}
    path = tmp_path / "assets.yaml"
    path.write_text(yaml.safe_dump({"checked": "today", "assets": {"net": facts}}))
    return path


def test_an_entry_with_everything_unknown(tmp_path: Path) -> None:
    (entry,) = read(write(tmp_path, size="unknown", sha256="unknown", urls="unknown", registration="unknown"))
    assert (entry.size, entry.sha256, entry.urls, entry.registration) == (None, None, (), None)
    assert entry.licence == "unknown" and entry.non_commercial is None and entry.checked == "today"
    assert entry.expects("0" * 64) is None


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"summary": "absent"}, "summary is None"),
        ({"format": "picle"}, "no format 'picle'.*Did you mean 'pickle'"),
        ({"file": "../net.pkl"}, "not a plain file name"),
        ({"file": "record/x"}, "not a plain file name"),
        ({"file": ".hidden"}, "not a plain file name"),
        ({"size": -1}, "size is -1"),
        ({"size": True}, "size is True"),
        ({"sha256": "abc"}, "not hexadecimal"),
        ({"sha256": 12345678}, "not hexadecimal"),
        ({"sha256": "0" * 64}, "how sure 'sha256' is"),
        ({"size": 5}, "how sure 'size' is"),
        ({"size": 5, "sure": {"size": "certain"}}, "sure.size is 'certain'"),
        ({"sure": {"colour": "once"}}, "sure.colour"),
        ({"sure": "once"}, "sure is not"),
        ({"urls": ["file:///etc/passwd"]}, "not an http or https address"),
        ({"urls": "https://example.org/net"}, "not a list"),
        ({"urls": [3]}, "not text"),
        ({"non_commercial": "maybe"}, "not yes, no or unknown"),
        ({"unpack": "zip"}, "unpack"),
        ({"unpack": "tar"}, "unpack"),
        ({"mirror": "x"}, "has a fact 'mirror'"),
        ({"name": "x"}, "has a fact 'name'"),
    ],
)
def test_mistakes_are_told(tmp_path: Path, changes: dict[str, object], said: str) -> None:
    with pytest.raises(AssetError, match=said):
        read(write(tmp_path, **{"sure": {"file": "once", "urls": "once"}, **changes}))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("assets: [", "cannot be read"),
        ("assets: !!python/object/apply:os.system ['exit']", "cannot be read"),
        ("nothing: 1", "has no 'assets'"),
        ("[]", "has no 'assets'"),
        ("assets: {net: 3}", "not a group"),
        ("assets: {../net: {}}", "not a name"),
        ("assets: {Net: {}}", "not a name"),
        ("assets: {a..b: {}}", "not a name"),
        ("checked: [1]\nassets: {}", "checked is"),
    ],
)
def test_catalogues_that_are_none(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "assets.yaml"
    path.write_text(text)
    with pytest.raises(AssetError, match=said):
        read(path)
    with pytest.raises(AssetError, match="cannot be read"):
        read(tmp_path / "gone.yaml")


PLUGIN = """
from pie_framework.hookspecs import hookimpl

@hookimpl
def pie_asset_catalogues():
    return {addresses}
"""


def plugin(install, addresses: list[object], catalogue: str = "") -> None:
    install(
        "with-assets",
        {"with_assets": "with_assets.plugin"},
        {
            "with_assets/__init__.py": "",
            "with_assets/plugin.py": PLUGIN.format(addresses=addresses),
            "with_assets/assets.yaml": catalogue,
        },
    )


MINE = """
assets:
  mine: {summary: Mine., file: mine.pt, format: torch, source: https://example.org, sure: {file: official}}
"""


def test_plugins_extend_the_catalogue(install) -> None:
    plugin(install, ["pkg://with_assets/assets.yaml"], MINE)
    catalogue = load_catalogue(discover())
    assert catalogue.problems == []
    assert "plugin 'with_assets'" in catalogue.get("mine").origin
    assert "stylegan2-ffhq-1024" in catalogue.entries


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("assets: [", "cannot be read"),
        (
            MINE.replace("mine:", "ict-facekit:", 1),
            "two catalogues: that of pie-framework and that of plugin",
        ),
    ],
)
def test_a_broken_catalogue_of_a_plugin_is_left_out(install, text: str, said: str) -> None:
    plugin(install, ["pkg://with_assets/assets.yaml"], text)
    catalogue = load_catalogue(discover())
    assert said in catalogue.problems[0] and "with_assets" in catalogue.problems[0]
    assert len(catalogue.entries) == len(ENTRIES)


@pytest.mark.parametrize("address", [3, "assets.yaml", "/etc/passwd", "pkg://with_assets/gone.yaml"])
def test_a_catalogue_that_is_not_there_is_a_problem_of_its_plugin(install, address: object) -> None:
    plugin(install, [address])
    registry = discover()
    assert [p.provenance.plugin for p in registry.problems] == ["with_assets"]
    assert registry.asset_catalogues() == []
