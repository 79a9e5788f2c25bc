"""Hydra made ready: the search path with the plugins' folders, and its state kept apart from that of a caller.

Importing this module imports Hydra.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar

import hydra
from hydra import initialize_config_dir
from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.global_hydra import GlobalHydra
from hydra.core.object_type import ObjectType
from hydra.core.plugins import Plugins
from hydra.plugins.search_path_plugin import SearchPathPlugin

from pie_framework.plugins import Registry, core_config, discover

CONFIG_NAME = "config"
#: Hydra 1.3 warns without it, 1.4 with it.
VERSION_BASE = {"version_base": "1.3"} if hydra.__version__.startswith("1.3.") else {}

#: The plugins of `searching`; Hydra makes its own instances of `PluginFolders` and hands nothing to them.
_plugins: ContextVar[Registry | None] = ContextVar("plugins", default=None)


class PluginFolders(SearchPathPlugin):
    """Adds the configuration folders of plugins after the core's own."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        for provenance, folder in installed().config_paths():
            search_path.append(provider=provenance.plugin, path=f"file://{folder}")


def prepare() -> None:
    """Let Hydra know the plugins' folders; needed once before it composes."""
    if PluginFolders not in Plugins.instance().discover(SearchPathPlugin):
        Plugins.instance().register(PluginFolders)


def installed() -> Registry:
    """The plugins of the `searching` around it; those that are installed where there is none."""
    registry = _plugins.get()
    return discover() if registry is None else registry


@contextmanager
def searching(registry: Registry | None = None) -> Iterator[Registry]:
    """Within it Hydra searches the folders of these plugins, which are discovered once where None are given."""
    token = _plugins.set(installed() if registry is None else registry)
    try:
        yield installed()
    finally:
        _plugins.reset(token)


@contextmanager
def initialised(job_name: str = "app") -> Iterator[None]:
    """Hydra as `pie run` has it; that of a caller is put back afterwards."""
    previous = GlobalHydra.instance().hydra
    GlobalHydra.instance().clear()
    try:
        with initialize_config_dir(str(core_config()), job_name, **VERSION_BASE):
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


def options(
    group: str, what: ObjectType = ObjectType.CONFIG, root: str = CONFIG_NAME, overrides: Sequence[str] = ()
) -> list[str]:
    """The options of a configuration group, or the groups in it, with those of a search path that is overridden."""
    folders = [word for word in overrides if word.startswith("hydra.searchpath=")]
    with initialised():
        running = GlobalHydra.instance().hydra
        assert running is not None
        names: list[str] = running.config_loader.get_group_options(group, what, root, folders)
    return names


def groups(root: str = CONFIG_NAME, overrides: Sequence[str] = ()) -> list[str]:
    """Names of all configuration groups but Hydra's own."""
    return [name for name in options("", ObjectType.GROUP, root, overrides) if name != "hydra"]
