"""Hydra made ready: the search path with the plugins' folders, and its state kept apart from that of a caller.

Importing this module imports Hydra.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from hydra import initialize_config_module
from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.global_hydra import GlobalHydra
from hydra.core.plugins import Plugins
from hydra.plugins.search_path_plugin import SearchPathPlugin

from pie_framework.plugins import discover

CONFIG_MODULE = "pie_framework.conf"
CONFIG_NAME = "config"
HYDRA_VERSION_BASE = "1.3"


class PluginFolders(SearchPathPlugin):
    """Adds the configuration folders of plugins after the core's own."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        for provenance, folder in discover().config_paths():
            search_path.append(provider=provenance.plugin, path=f"file://{folder}")


def prepare() -> None:
    """Let Hydra know the plugins' folders; needed once before it composes."""
    if PluginFolders not in Plugins.instance().discover(SearchPathPlugin):
        Plugins.instance().register(PluginFolders)


@contextmanager
def initialised() -> Iterator[None]:
    """Hydra as `pie run` has it; that of a caller is put back afterwards."""
    previous = GlobalHydra.instance().hydra
    GlobalHydra.instance().clear()
    try:
        with initialize_config_module(config_module=CONFIG_MODULE, version_base=HYDRA_VERSION_BASE):
            yield
    finally:
        if previous is not None:
            GlobalHydra.instance().hydra = previous


@contextmanager
def raw_errors() -> Iterator[None]:
    """Let Hydra raise its errors as they are, instead of printing a traceback and leaving."""
    before = os.environ.get("HYDRA_FULL_ERROR")
    os.environ["HYDRA_FULL_ERROR"] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ["HYDRA_FULL_ERROR"]
        else:
            os.environ["HYDRA_FULL_ERROR"] = before


def groups() -> list[str]:
    """Names of all configuration groups but Hydra's own."""
    with initialised():
        hydra = GlobalHydra.instance().hydra
        assert hydra is not None
        found: list[str] = hydra.config_loader.list_groups("")
    return [name for name in found if name != "hydra"]
