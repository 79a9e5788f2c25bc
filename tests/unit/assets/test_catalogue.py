"""Catalogues: plugins bring them, and mistakes in them are told."""

from __future__ import annotations

from pathlib import Path

import pytest

from pie_framework.assets import load_catalogue
from pie_framework.assets.catalogue import read
from pie_framework.errors import AssetError
from pie_framework.plugins import discover

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
        ({"summary": "absent"}, "summary is not given"),
        ({"format": "picle"}, "no format 'picle'.*Did you mean 'pickle'"),
        ({"file": "../net.pkl"}, "not a plain file name"),
        ({"file": "record/x"}, "not a plain file name"),
        ({"file": ".hidden"}, "not a plain file name"),
        ({"size": -1}, "size is -1"),
        ({"size": True}, "size is True"),
        ({"sha256": "abc"}, "not 64 hexadecimal digits"),
        ({"sha256": 12345678}, "sha256 is 12345678.*string"),
        ({"sha256_prefix": "xyz"}, "not 6 or more hexadecimal"),
        ({"sha256": "0" * 64}, "how sure 'sha256' is"),
        ({"size": 5}, "how sure 'size' is"),
        ({"size": 5, "sure": {"size": "certain"}}, "sure.size is 'certain'"),
        ({"sure": {"colour": "once"}}, "sure.colour"),
        ({"sure": "once"}, "sure is 'once'"),
        ({"urls": ["file:///etc/passwd"]}, "not an http or https address"),
        ({"urls": "https://example.org/net"}, "urls is .*array"),
        ({"urls": [3]}, "urls.0 is 3.*string"),
        ({"non_commercial": "maybe"}, "non_commercial is 'maybe'.*boolean"),
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
        ("checked: [1]\nassets: {net: {summary: A., file: a, format: zip, source: b}}", "checked is"),
        ("assets: {net: &n {summary: A., file: a, format: zip, source: b, note: [*n]}}", "cannot be read"),
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
            "two catalogues: that of plugin 'assets' of pie-framework",
        ),
    ],
)
def test_a_broken_catalogue_of_a_plugin_is_left_out(install, text: str, said: str) -> None:
    before = load_catalogue(discover()).entries
    plugin(install, ["pkg://with_assets/assets.yaml"], text)
    catalogue = load_catalogue(discover())
    assert said in catalogue.problems[0] and "with_assets" in catalogue.problems[0]
    assert catalogue.entries == before


@pytest.mark.parametrize("address", [3, "assets.yaml", "/etc/passwd", "pkg://with_assets/gone.yaml"])
def test_a_catalogue_that_is_not_there_is_a_problem_of_its_plugin(install, address: object) -> None:
    shipped = discover().asset_catalogues()
    plugin(install, [address])
    registry = discover()
    assert [p.provenance.plugin for p in registry.problems] == ["with_assets"]
    assert registry.asset_catalogues() == shipped
