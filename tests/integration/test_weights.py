"""The bundled weight files are the ones that their components declare."""

from __future__ import annotations

import pytest

from pie_framework.api import Asset
from pie_framework.assets import digest, resolve
from pie_framework.plugins import discover

ASSETS = {a.uri: a for c in discover().components() for a in c.assets if a.uri.startswith("pkg://")}


@pytest.mark.parametrize("asset", ASSETS.values(), ids=[uri.rpartition("/")[2] for uri in ASSETS])
def test_digest_and_licence_are_those_declared(asset: Asset) -> None:
    assert asset.sha256 == digest(resolve(asset.uri))
    assert asset.licence == "MIT"


def test_all_weights_together_stay_small() -> None:
    assert sum(resolve(uri).stat().st_size for uri in ASSETS) < 40e6
