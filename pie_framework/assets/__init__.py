"""Weight files and other assets: where they lie, what they are, how to get them. Imports no torch."""

from pie_framework.assets.catalogue import Catalogue, Entry
from pie_framework.assets.catalogue import load as load_catalogue
from pie_framework.assets.store import resolve
from pie_framework.files.addresses import ASSET_SCHEME, PACKAGE_SCHEME, digest

__all__ = ["ASSET_SCHEME", "PACKAGE_SCHEME", "Catalogue", "Entry", "digest", "load_catalogue", "resolve"]
