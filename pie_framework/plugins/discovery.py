"""Discovery: which components, commands, configuration folders and observers the installed plugins offer.

A plugin is an entry point in the group `pie_framework`. pluggy calls their hooks, each behind a guard: one that fails
is reported by name in `Registry.problems` and the others go on. Nothing of a model is imported here.
"""

from __future__ import annotations

import copy
import dataclasses
import importlib.metadata
import importlib.util
import os
import re
import sys
import time
import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pluggy

from pie_framework.api import Command, Component, Kind
from pie_framework.api.events import EVENT_HOOKS
from pie_framework.errors import ComponentError, ConfigError, did_you_mean, in_one_line
from pie_framework.hookspecs import PROJECT
from pie_framework.plugins.guards import Guard, implementations, new_manager
from pie_framework.plugins.records import PluginProblem, Provenance, canonical
from pie_framework.plugins.registry import OWN_COMMANDS, Registry

ENTRY_POINT_GROUP = PROJECT
#: Group of plugins that only bring commands, which `pie --help` can list without importing the others.
COMMANDS_GROUP = f"{PROJECT}.commands"
ENVIRONMENT_VARIABLE = "PIE_PLUGINS"
#: Seconds after which an import is called slow, and the package that makes it so.
SLOW_IMPORT = 1.0
HEAVY = "torch"
#: What a component from a hook of the contract's version 1.0 counts as when it does not say more.
OLD_VERSION = (1, 0)
OLD_HOOKS = tuple(kind.old_hook for kind in Kind if kind.old_hook)

EntryPoint = importlib.metadata.EntryPoint


def discover(
    environment: Mapping[str, str] | None = None,
    entry_points: Iterable[EntryPoint] | None = None,
    shipped: bool = True,
) -> Registry:
    """Ask every installed plugin what it offers.

    Args:
        environment: where PIE_PLUGINS is read; `os.environ` by default. "all" and "" take every plugin, "none"
            takes none, "a,b" takes only those, "-a,-b" takes all but those. A name is that of a plugin (entry
            point) or of its distribution.
        entry_points: the plugins; by default those installed in the groups `pie_framework` and
            `pie_framework.commands`.
        shipped: whether to ask pie-framework's own plugins too.

    Raises:
        ConfigError: PIE_PLUGINS names no installed plugin, or mixes both forms.
    """
    installed = _with_provenance(installed_plugins() if entry_points is None else entry_points)
    selection = (os.environ if environment is None else environment).get(ENVIRONMENT_VARIABLE, "all")
    chosen = [pair for pair in _select(installed, selection) if shipped or not pair[1].shipped]
    registry = Registry()
    loaded = []
    for point, provenance in sorted(chosen, key=lambda pair: not pair[1].shipped):
        registry.modules.setdefault(point.value.partition(":")[0], provenance)
        plugin = _import(registry, point, provenance)
        if plugin is not None:
            registry.plugins.append(provenance)
            loaded.append((point, provenance, plugin))
    manager = new_manager()
    origins: dict[int, Provenance] = {}
    for point, provenance, plugin in reversed(loaded):  # pluggy calls the last one first
        _register(registry, manager, _Offers(registry, provenance, origins), point, plugin)
    _collect(registry, manager, origins)
    return registry


def installed_plugins() -> list[EntryPoint]:
    """The entry points of all plugins, imported or not."""
    points = importlib.metadata.entry_points()  # reads the metadata of every distribution: once
    return [point for group in (ENTRY_POINT_GROUP, COMMANDS_GROUP) for point in points.select(group=group)]


def _with_provenance(points: Iterable[EntryPoint]) -> list[tuple[EntryPoint, Provenance]]:
    known: dict[int, tuple[str, str]] = {}
    pairs = []
    for point in points:
        distribution = getattr(point, "dist", None)
        if id(distribution) not in known:
            known[id(distribution)] = _name_and_version(distribution)  # reads its metadata
        pairs.append((point, Provenance(point.name, *known[id(distribution)])))
    return pairs


def _name_and_version(distribution: importlib.metadata.Distribution | None) -> tuple[str, str]:
    """Of an installed package, in words where they are not known: its metadata may be damaged."""
    try:
        assert distribution is not None
        name, version = str(distribution.metadata["Name"] or ""), str(distribution.metadata["Version"] or "")
    except Exception:
        name = version = ""
    return name or "unknown distribution", version or "unknown version"


def _select(
    installed: list[tuple[EntryPoint, Provenance]], selection: str
) -> list[tuple[EntryPoint, Provenance]]:
    """The plugins that PIE_PLUGINS leaves."""
    words = [word.strip() for word in selection.split(",") if word.strip()]
    if words in ([], ["all"]):
        return installed
    if words == ["none"]:
        return []
    without = [word.startswith("-") for word in words]
    if any(without) and not all(without):
        raise ConfigError(
            f"{ENVIRONMENT_VARIABLE}={selection} mixes plugins to take with plugins to leave out",
            "Write either 'a,b' or '-a,-b'.",
        )
    names = {word.removeprefix("-") for word in words}
    for name in sorted(names):
        if not any(_means(name, provenance) for _, provenance in installed):
            raise ConfigError(
                f"{ENVIRONMENT_VARIABLE} names the plugin '{name}', which is not installed",
                did_you_mean(name, {known for _, p in installed for known in (p.plugin, p.distribution)}),
            )
    return [(e, p) for e, p in installed if any(_means(name, p) for name in names) != without[0]]


def _means(name: str, provenance: Provenance) -> bool:
    """Whether a name is that of a plugin or of its distribution."""
    return name == provenance.plugin or canonical(name) == canonical(provenance.distribution)


def left_out(distribution: str) -> bool:
    """Whether a distribution is installed with plugins, and PIE_PLUGINS leaves all of them out."""
    installed = _with_provenance(installed_plugins())
    chosen = [provenance for _, provenance in _select(installed, os.environ.get(ENVIRONMENT_VARIABLE, "all"))]
    mine = [p for _, p in installed if canonical(p.distribution) == canonical(distribution)]
    return bool(mine) and not any(p in chosen for p in mine)


def _import(registry: Registry, point: EntryPoint, provenance: Provenance) -> object | None:
    """The plugin, or None when it cannot be imported; says so too when that takes long."""
    light, started = HEAVY not in sys.modules, time.perf_counter()
    try:
        plugin: object = point.load()
    except (Exception, SystemExit) as error:
        registry.problems.append(PluginProblem(provenance, f"cannot be loaded: {in_one_line(error)}"))
        return None
    seconds, heavy = time.perf_counter() - started, light and HEAVY in sys.modules
    if (heavy or seconds > SLOW_IMPORT) and not provenance.shipped:
        what = f"loads {HEAVY}" if heavy else "is slow"
        registry.problems.append(
            PluginProblem(
                provenance,
                f"importing it {what} ({seconds:.1f} s), and every command waits for it. Import models in the "
                f"module that a component's target names, not in '{point.value}'",
                mild=True,
            )
        )
    return plugin


def _register(
    registry: Registry, manager: pluggy.PluginManager, guard: _Offers, point: EntryPoint, plugin: object
) -> None:
    """Give pluggy the hooks of one plugin; those that do not fit are reported, the others go on."""
    try:
        hooks = list(implementations(manager, plugin))
    except (Exception, SystemExit) as error:
        return guard.problem(f"its hooks cannot be read: {in_one_line(error)}")
    if not hooks:
        guard.problem(
            f"'{point.value}' implements no hook. Mark functions with pie_framework.hookspecs.hookimpl"
        )
    for hook, function, options in hooks:
        try:
            with warnings.catch_warnings(record=True) as told:
                warnings.simplefilter("always")
                guard.register(manager, hook, function, options)
        except ComponentError as error:
            guard.problem(str(error))
            continue
        for warning in told:
            guard.problem(str(warning.message), mild=True)
        if hook in EVENT_HOOKS.values():
            registry.add_observer(hook, function, options, guard.provenance)


class _Offers(Guard):
    """What one plugin offers, item by item: those that are wrong are reported, the others kept."""

    def __init__(self, registry: Registry, provenance: Provenance, origins: dict[int, Provenance]) -> None:
        self.provenance = provenance
        self._problems, self._origins = registry.problems, origins

    def problem(self, message: str, mild: bool = False) -> None:
        self._problems.append(PluginProblem(self.provenance, message, mild=mild))

    def failed(self, hook: str, error: BaseException) -> None:
        self.problem(f"its hook '{hook}' failed: {in_one_line(error)}")

    def returned(self, hook: str, value: Any) -> list[object]:
        """The items of a result, also of a generator that fails on the way."""
        if isinstance(value, (str, Component, Command)):
            raise ComponentError(f"it gave {value!r}, not a list")
        kept: list[object] = []
        try:
            for item in value if value is not None else ():
                kept += self._taken(hook, item)
        except (Exception, SystemExit) as error:
            self.failed(hook, error)
        return kept

    def replaced(self, hook: str, before: list[Any], after: Any) -> list[Any]:
        """What a wrapper made of the items of all plugins; what is new among them is its own."""
        if not isinstance(after, list) or not all(isinstance(part, (list, tuple)) for part in after):
            raise ComponentError(f"it is a wrapper and gave {after!r}, not a list of lists as it was given")
        known = {id(item) for part in before for item in part}
        return [
            [kept for item in part for kept in ([item] if id(item) in known else self._taken(hook, item))]
            for part in after
        ]

    def _taken(self, hook: str, item: object) -> list[object]:
        try:
            checked = _checked(hook, item)
        except (Exception, SystemExit) as error:
            self.problem(in_one_line(error))
            return []
        self._origins[id(checked)] = self.provenance
        return [checked]


class _Text(str):
    """A text of its own: the same words from two plugins are two objects."""


def _checked(hook: str, item: object) -> object:
    """A copy of one item of a hook's result; ComponentError when it is not what the hook asks for."""
    if hook in ("pie_config_paths", "pie_asset_catalogues"):
        if not isinstance(item, str):
            raise ComponentError(f"its hook '{hook}' gave {item!r}, which is not {_EXAMPLES[hook]}")
        return _Text(item)
    wanted = Command if hook == "pie_commands" else Component
    if not isinstance(item, wanted):
        raise ComponentError(
            f"its hook '{hook}' gave {item!r}, which is not a pie_framework.api.{wanted.__name__}"
        )
    item = copy.copy(item)
    if isinstance(item, Component) and hook in OLD_HOOKS:
        stated: object = item.api_version
        if stated is None or (isinstance(stated, int) and not isinstance(stated, bool)):
            item = dataclasses.replace(
                item, api_version=OLD_VERSION if stated is None else (stated, OLD_VERSION[1])
            )
    if isinstance(item, (Command, Component)) and (wrong := item.problem()) is not None:
        raise wrong
    return item


_EXAMPLES = {
    "pie_config_paths": "an import path such as 'my_plugin.conf'",
    "pie_asset_catalogues": "an address such as 'pkg://my_plugin/assets.yaml'",
}


def _collect(registry: Registry, manager: pluggy.PluginManager, origins: Mapping[int, Provenance]) -> None:
    """Ask all plugins for everything they offer, those that ship first."""

    def ask(*hooks: str) -> list[tuple[Any, Provenance]]:
        items = [item for hook in hooks for part in getattr(manager.hook, hook)() for item in part]
        return sorted(((item, origins[id(item)]) for item in items), key=lambda pair: not pair[1].shipped)

    for item, origin in ask("pie_components", *OLD_HOOKS):
        registry.add_component(item, origin)
    registry.reserve_commands(OWN_COMMANDS)
    for item, origin in ask("pie_commands"):
        registry.add_command(item, origin)
    for add, hook, locate in (
        (registry.add_config_path, "pie_config_paths", _config_folder),
        (registry.add_asset_catalogue, "pie_asset_catalogues", _asset_catalogue),
    ):
        for item, origin in ask(hook):
            try:
                add(locate(item), origin)
            except (Exception, SystemExit) as error:
                registry.problems.append(PluginProblem(origin, in_one_line(error)))
    registry.problems += _hidden_files(registry)


def _config_folder(name: str) -> Path:
    """The folder of an importable package of configuration, without importing more than its parents."""
    text = name.removeprefix("pkg://").replace("/", ".")
    if not re.fullmatch(r"\w+(\.\w+)*", text):
        raise ComponentError(
            f"its hook 'pie_config_paths' gave {str(name)!r}, which is not {_EXAMPLES['pie_config_paths']}"
        )
    try:
        folder = next((folder for folder in _folders(text) if folder.is_dir()), None)
    except (Exception, SystemExit) as error:
        raise ComponentError(f"its configuration '{text}' cannot be found: {in_one_line(error)}") from error
    if folder is not None:
        return folder
    raise ComponentError(f"its configuration '{text}' is not a folder in an installed package")


def _folders(package: str) -> list[Path]:
    spec = importlib.util.find_spec(package)
    return [] if spec is None else [Path(p) for p in spec.submodule_search_locations or ()]


def _asset_catalogue(address: str) -> Path:
    """The file that a plugin gives as a catalogue of assets."""
    from pie_framework.files.addresses import PACKAGE_SCHEME, resolve

    if not address.startswith(PACKAGE_SCHEME):
        raise ComponentError(
            f"its hook 'pie_asset_catalogues' gave {str(address)!r}, "
            f"which is not {_EXAMPLES['pie_asset_catalogues']}"
        )
    return resolve(str(address))


def config_folders(registry: Registry) -> list[tuple[Provenance | None, Path]]:
    """The folders of Hydra configuration in the order in which they are searched, the core's own first (None)."""
    return [(None, core_config()), *registry.config_paths()]


def core_config() -> Path:
    """The folder of the core's own configuration: in the installed package, or at the top of a source checkout."""
    package = Path(__file__).parents[1]
    return next(f for f in (package / "conf", package.parent / "conf") if f.is_dir())


def _hidden_files(registry: Registry) -> list[PluginProblem]:
    """Files of configuration that are never read, because another of the same group and name is found before."""
    first_files: dict[str, Path] = {}
    problems = []
    for origin, folder in config_folders(registry) if registry.config_paths() else ():
        try:
            files = sorted(folder.rglob("*.yaml"))
        except OSError as error:
            if origin is not None:
                told = f"its configuration '{folder}' cannot be read: {in_one_line(error)}"
                problems.append(PluginProblem(origin, told))
            continue
        for file in files:
            first = first_files.setdefault(file.relative_to(folder).as_posix(), file)
            if first != file and origin is not None and not origin.shipped:
                problems.append(
                    PluginProblem(
                        origin, f"its '{file}' is never read: '{first}' comes first. Give it another name"
                    )
                )
    return problems
