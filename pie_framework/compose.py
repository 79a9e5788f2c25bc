"""Hydra: the search path with the plugins' folders, the components' own fields as configuration, errors in one line.

Only what composes a configuration imports this module; importing it imports Hydra.
"""

from __future__ import annotations

import logging
import os
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from hydra import compose as hydra_compose
from hydra import initialize_config_module
from hydra import main as hydra_main
from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.core.plugins import Plugins
from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from hydra.plugins.search_path_plugin import SearchPathPlugin
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from pie_framework import backbone
from pie_framework.api import Kind
from pie_framework.errors import ConfigError, did_you_mean
from pie_framework.plugins import Registry, discover

CONFIG_MODULE = "pie_framework.conf"
CONFIG_NAME = "config"
HYDRA_VERSION_BASE = "1.3"
#: Group under which every component's own fields with their defaults are found: settings/<kind>/<name>.
SETTINGS_GROUP = "settings"

_log = logging.getLogger(__name__)


class PluginFolders(SearchPathPlugin):
    """Adds the configuration folders of plugins after the core's own."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        for provenance, folder in discover().config_paths():
            search_path.append(provider=provenance.plugin, path=f"file://{folder}")


def prepare(registry: Registry) -> None:
    """Let Hydra know the plugins' folders and the components' fields; needed once before it composes."""
    known = Plugins.instance().discover(SearchPathPlugin)
    if PluginFolders not in known:
        Plugins.instance().register(PluginFolders)
    store = ConfigStore.instance()
    for component in registry.components():
        if component.kind in (Kind.TRAINER, Kind.CONVERTER):
            continue
        try:
            fields = OmegaConf.to_container(OmegaConf.structured(component.config))
        except OmegaConfBaseException as error:
            _log.warning(
                "the settings of the %s '%s' cannot be shown: %s", component.kind, component.name, error
            )
            continue
        store.store(
            name=component.name,
            group=f"{SETTINGS_GROUP}/{component.kind}",
            node=fields,
            provider=str(registry.provenance(component)),
        )


def compose(
    overrides: Sequence[str] = (), registry: Registry | None = None, name: str = CONFIG_NAME
) -> DictConfig:
    """The configuration that `pie run` would get from the same overrides.

    Args:
        overrides: `KEY=VALUE` and `GROUP=OPTION`, and `backbone=FOLDER`.
        registry: the installed plugins; discovered when None.
        name: of the root configuration; that of `pie run` by default.

    Raises:
        ConfigError: an override that names no group, option or key, with the near ones.
    """
    prepare(discover() if registry is None else registry)
    given = backbone.expand(overrides)
    with initialised():
        try:
            return hydra_compose(name, overrides=given)
        except (HydraException, OmegaConfBaseException) as error:
            raise explain(error, name) from error
        except TypeError as error:
            if index := _explain_index(error, given):
                raise index from error
            raise


def start(
    job: Callable[[DictConfig], None], program: str, arguments: Sequence[str], root: str = CONFIG_NAME
) -> int:
    """Run Hydra's own command line: sweeps, launchers, and flags such as --cfg.

    Args:
        job: called with every composed configuration; other processes need it at the top of a module.
        program: how messages call the command, such as "pie run".
        arguments: what stood behind it.
        root: name of the root configuration.

    Returns:
        The exit status that Hydra left with, 0 when it did not.

    Raises:
        ConfigError: an argument names no group, option or key. What the job raises comes through.
    """
    main = hydra_main(
        version_base=HYDRA_VERSION_BASE, config_path=f"pkg://{CONFIG_MODULE}", config_name=root
    )(job)
    before = sys.argv
    sys.argv = [program, *arguments]
    try:
        with raw_errors():
            main()
    except SystemExit as leaving:
        return leaving.code if isinstance(leaving.code, int) else int(leaving.code is not None)
    except (HydraException, OmegaConfBaseException) as error:
        raise explain(error, root) from error
    except TypeError as error:
        if index := _explain_index(error, arguments):
            raise index from error
        raise
    finally:
        sys.argv = before
    return 0


@contextmanager
def initialised() -> Iterator[None]:
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


def explain(error: Exception, root: str = CONFIG_NAME) -> ConfigError:
    """A Hydra or OmegaConf error as one line that names the near groups, options or keys of a root configuration."""
    chain = list(_chain(error))
    text = "\n".join(str(e) for e in chain)
    for cause in chain:
        if isinstance(cause, MissingConfigException) and cause.missing_cfg_file:
            group, _, option = str(cause.missing_cfg_file).rpartition("/")
            options = [o for o in cause.options or () if o]
            if group and options:
                return ConfigError(
                    f"the group '{group}' has no option '{option}'", did_you_mean(option, options)
                )
            return ConfigError(f"there is no configuration '{cause.missing_cfg_file}'")
        if isinstance(cause, OverrideParseException):
            return ConfigError(
                f"'{cause.override}' is not KEY=VALUE: {_first_line(cause)}",
                "Quote values with special characters: 'KEY=\"a, b\"'.",
            )
    no_match = re.search(r"Could not override '([^']+)'\.\s*\n?No match in the defaults list", text)
    if no_match:
        name = no_match[1].partition("@")[0]
        return ConfigError(f"there is no group '{name}'", did_you_mean(name, [*_groups(), *_keys("", root)]))
    no_key = re.search(r"Key '([^']+)' is not in struct\s*\n\s*full_key: (\S+)", text)
    if no_key:
        parent = no_key[2].rpartition(".")[0]
        where = re.search(r"Could not (?:override|append to|delete from config) '([^']+)'", text)
        full = where[1] if where else no_key[2]
        return ConfigError(
            f"there is no setting '{full}'",
            did_you_mean(no_key[1], [*_keys(parent, root), *([] if parent else _groups())]),
        )
    return ConfigError(_first_line(error) or type(error).__name__)


def _explain_index(error: TypeError, overrides: Sequence[str]) -> ConfigError | None:
    """OmegaConf's TypeError for a name where a list has numbers, in words; None for any other."""
    found = re.fullmatch(r"Index '(.*)' \(str\) is not an int", str(error))
    if not found:
        return None
    keys = (word.partition("=")[0] for word in overrides)
    key = next((key for key in keys if found[1] in key.split(".")), found[1])
    return ConfigError(
        f"there is no setting '{key}': '{found[1]}' stands where a list has numbers",
        "Parts of a list are counted from 0, as in schedule.stages.0.steps.",
    )


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _first_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0].rstrip(".") if lines else ""


def root_names(registry: Registry | None = None, name: str = CONFIG_NAME) -> list[str]:
    """What an override of a root configuration may begin with: its groups and its own keys."""
    prepare(discover() if registry is None else registry)
    return sorted({*_groups(), *_keys("", name)})


def _groups() -> list[str]:
    """Names of all configuration groups."""
    with initialised():
        hydra = GlobalHydra.instance().hydra
        assert hydra is not None
        found: list[str] = hydra.config_loader.list_groups("")
    return [name for name in found if name not in ("hydra", SETTINGS_GROUP)]


def _keys(parent: str, root: str) -> list[str]:
    """Keys of a node of the default configuration."""
    with initialised():
        config: Any = hydra_compose(root)
    node = OmegaConf.select(config, parent) if parent else config
    return [str(key) for key in node] if isinstance(node, DictConfig) else []
