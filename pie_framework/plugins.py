"""Discovery: which components, configuration folders and observers the installed plugins offer.

A plugin is an entry point in the group `pie_framework`. Each is loaded and asked on its own: one that fails is
reported by name in `Registry.problems` and the others go on. Nothing of a model is imported here.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import logging
import os
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pluggy

from pie_framework import hookspecs
from pie_framework.api import Component, Kind
from pie_framework.api.events import RunEnded, RunStarted, StepsDone
from pie_framework.errors import ComponentError, ConfigError, PieError, did_you_mean

ENTRY_POINT_GROUP = "pie_framework"
ENVIRONMENT_VARIABLE = "PIE_PLUGINS"

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Provenance:
    """Where a plugin comes from.

    Attributes:
        plugin: name of the entry point.
        distribution: name of the installed package that declares it.
        version: version of that package.
    """

    plugin: str
    distribution: str
    version: str

    def __str__(self) -> str:
        return f"{self.distribution} {self.version}"


@dataclass(frozen=True)
class Problem:
    """Something that a plugin got wrong.

    Attributes:
        provenance: the plugin.
        message: what is wrong, in one sentence.
        fatal: whether the plugins contradict one another (a name declared twice).
    """

    provenance: Provenance
    message: str
    fatal: bool = False

    def __str__(self) -> str:
        return f"plugin '{self.provenance.plugin}' of {self.provenance}: {self.message}"


@dataclass
class Registry:
    """What the plugins offer, and what is wrong with them."""

    problems: list[Problem] = field(default_factory=list)
    _components: dict[tuple[Kind, str], Component] = field(default_factory=dict)
    _provenance: dict[tuple[Kind, str], Provenance] = field(default_factory=dict)
    _contested: dict[tuple[Kind, str], str] = field(default_factory=dict)
    _config_paths: list[tuple[Provenance, Path]] = field(default_factory=list)
    _asset_catalogues: list[tuple[Provenance, Path]] = field(default_factory=list)
    _observers: list[tuple[Provenance, str, Callable[..., object]]] = field(default_factory=list)
    plugins: list[Provenance] = field(default_factory=list)

    def kinds(self) -> tuple[Kind, ...]:
        """The kinds of which there is at least one component, in the contract's order."""
        return tuple(kind for kind in Kind if self.components(kind))

    def components(self, kind: Kind | str | None = None) -> list[Component]:
        """The declared components, of one kind or of all, sorted by kind and name."""
        wanted = None if kind is None else parse_kind(kind)
        order = list(Kind)
        found = [c for c in self._components.values() if wanted is None or c.kind is wanted]
        return sorted(found, key=lambda c: (order.index(c.kind), c.name))

    def get(self, kind: Kind | str, name: str) -> Component:
        """The component of that kind and name; ComponentError names the near ones, or both who claim the name."""
        key = (parse_kind(kind), name)
        if key in self._contested:
            raise ComponentError(
                self._contested[key],
                f"Leave one of them out with {ENVIRONMENT_VARIABLE}=-NAME, or uninstall it.",
            )
        if key not in self._components:
            known = [c.name for c in self.components(key[0])]
            broken = sorted({f"'{problem.provenance.plugin}'" for problem in self.problems})
            hint = did_you_mean(name, known)
            if broken:
                hint += f" Plugins with problems: {', '.join(broken)}; 'pie plugins list' says which."
            raise ComponentError(f"there is no {key[0]} named '{name}'", hint)
        return self._components[key]

    def find(self, kind: Kind | str, name: str) -> Component | None:
        """The component of that kind and name; None where there is none that can be used."""
        try:
            return self.get(kind, name)
        except ComponentError:
            return None

    def provenance(self, component: Component) -> Provenance:
        """The plugin and the installed package that declare the component."""
        return self._provenance[component.kind, component.name]

    def config_paths(self) -> list[tuple[Provenance, Path]]:
        """The folders of Hydra configuration that plugins add, in the order of discovery."""
        return list(self._config_paths)

    def asset_catalogues(self) -> list[tuple[Provenance, Path]]:
        """The catalogues of assets that plugins add, in the order of discovery."""
        return list(self._asset_catalogues)

    def observers(self, *others: object) -> Observers:
        """Everyone to be told about a run: the plugins' hooks, then `others` (objects with methods of those names)."""
        listeners = [
            Listener(p, f"'{p.plugin}' of {p}", hook, function) for p, hook, function in self._observers
        ]
        for other in others:
            for hook in OBSERVER_HOOKS:
                function = getattr(other, hook, None)
                if callable(function):
                    listeners.append(Listener(id(other), type(other).__name__, hook, function))
        return Observers(listeners)


OBSERVER_HOOKS = ("pie_run_started", "pie_steps_done", "pie_result_saved", "pie_run_failed", "pie_run_ended")


@dataclass(frozen=True)
class Listener:
    """One function to be told of one kind of event; `owner` is the same for all functions of an observer."""

    owner: object
    label: str
    hook: str
    function: Callable[..., object]


class Observers:
    """Tells observers what happens; one that fails is reported once and left out."""

    def __init__(self, listeners: Iterable[Listener]) -> None:
        self._listeners = list(listeners)

    def run_started(self, event: RunStarted) -> None:
        self._tell("pie_run_started", event)

    def steps_done(self, event: StepsDone) -> None:
        self._tell("pie_steps_done", event)

    def run_ended(self, event: RunEnded) -> None:
        self._tell("pie_run_ended", event)

    def tell(self, event: object) -> None:
        from pie_framework.api.events import EVENT_HOOKS

        self._tell(EVENT_HOOKS[type(event)], event)  # type: ignore[arg-type]

    def _tell(self, hook: str, event: RunStarted | StepsDone | RunEnded) -> None:
        for listener in [entry for entry in self._listeners if entry.hook == hook]:
            try:
                listener.function(event=event)
            except Exception as error:
                _log.warning(
                    "the observer %s failed in %s and is left out: %s", listener.label, hook, _describe(error)
                )
                self._listeners = [entry for entry in self._listeners if entry.owner != listener.owner]


def parse_kind(kind: Kind | str) -> Kind:
    """The kind by its value; ComponentError names the near ones."""
    try:
        return Kind(kind)
    except ValueError:
        raise ComponentError(
            f"there is no kind of component named '{kind}'", did_you_mean(str(kind), [k.value for k in Kind])
        ) from None


def discover(
    environment: Mapping[str, str] | None = None,
    entry_points: Iterable[importlib.metadata.EntryPoint] | None = None,
) -> Registry:
    """Ask every installed plugin what it offers.

    Args:
        environment: where PIE_PLUGINS is read; `os.environ` by default. "all" and "" take every plugin, "none"
            takes none, "a,b" takes only those, "-a,-b" takes all but those. A name is that of a plugin (entry
            point) or of its distribution.
        entry_points: the plugins; those installed in the group `pie_framework` by default.

    Raises:
        ConfigError: PIE_PLUGINS names no installed plugin, or mixes both forms.
    """
    if entry_points is None:
        entry_points = importlib.metadata.entry_points(group=ENTRY_POINT_GROUP)
    found = [(point, _provenance(point)) for point in entry_points]
    selection = (os.environ if environment is None else environment).get(ENVIRONMENT_VARIABLE, "all")
    manager = pluggy.PluginManager(ENTRY_POINT_GROUP)
    manager.add_hookspecs(hookspecs)
    registry = Registry()
    for point, provenance in _select(found, selection):
        try:
            hooks = _load(manager, point, provenance)
        except Exception as error:
            registry.problems.append(Problem(provenance, f"cannot be loaded: {_describe(error)}"))
            continue
        registry.plugins.append(provenance)
        for name, function in hooks.items():
            _ask(registry, provenance, name, function)
    return registry


def _provenance(point: importlib.metadata.EntryPoint) -> Provenance:
    distribution = getattr(point, "dist", None)
    if distribution is None:
        return Provenance(point.name, "unknown distribution", "unknown version")
    return Provenance(point.name, distribution.name, distribution.version)


def _select(
    found: list[tuple[importlib.metadata.EntryPoint, Provenance]], selection: str
) -> list[tuple[importlib.metadata.EntryPoint, Provenance]]:
    """The plugins that PIE_PLUGINS leaves."""
    words = [word.strip() for word in selection.split(",") if word.strip()]
    if words in ([], ["all"]):
        return found
    if words == ["none"]:
        return []
    without = [word.startswith("-") for word in words]
    if any(without) and not all(without):
        raise ConfigError(
            f"{ENVIRONMENT_VARIABLE}={selection} mixes plugins to take with plugins to leave out",
            "Write either 'a,b' or '-a,-b'.",
        )
    names = {word.lstrip("-") for word in words}
    known = {name for _, p in found for name in (p.plugin, p.distribution)}
    for name in sorted(names - known):
        raise ConfigError(
            f"{ENVIRONMENT_VARIABLE} names the plugin '{name}', which is not installed",
            did_you_mean(name, known),
        )
    return [(e, p) for e, p in found if (p.plugin in names or p.distribution in names) != without[0]]


def _load(
    manager: pluggy.PluginManager, point: importlib.metadata.EntryPoint, provenance: Provenance
) -> dict[str, Callable[..., Any]]:
    """Import one plugin and let pluggy check it; its implementation of each hook."""
    try:
        plugin = point.load()
    except SystemExit as error:
        raise ComponentError(f"it exits when imported ({error.code})") from error
    manager.register(plugin, name=f"{provenance.distribution}:{provenance.plugin}")
    hooks: dict[str, Callable[..., Any]] = {}
    for caller in manager.get_hookcallers(plugin) or []:
        if not caller.has_spec():
            manager.unregister(plugin)
            known = [name for name in vars(hookspecs) if name.startswith("pie_")]
            raise ComponentError(
                f"it implements the hook '{caller.name}', which does not exist",
                did_you_mean(caller.name, known),
            )
        hooks[caller.name] = next(i.function for i in caller.get_hookimpls() if i.plugin is plugin)
    if not hooks:
        raise ComponentError(
            f"'{point.value}' implements no hook", "Mark functions with pie_framework.hookspecs.hookimpl."
        )
    return hooks


def _ask(registry: Registry, provenance: Provenance, hook: str, function: Callable[..., Any]) -> None:
    """Take in what one hook of one plugin offers."""
    if hook in OBSERVER_HOOKS:
        registry._observers.append((provenance, hook, function))
        return
    try:
        offered = list(function() or ())
    except Exception as error:
        registry.problems.append(Problem(provenance, f"its hook '{hook}' failed: {_describe(error)}"))
        return
    for item in offered:
        try:
            if hook == "pie_config_paths":
                registry._config_paths.append((provenance, _config_folder(item)))
            elif hook == "pie_asset_catalogues":
                registry._asset_catalogues.append((provenance, _asset_catalogue(item)))
            else:
                _add(registry, provenance, hook, item)
        except PieError as error:
            registry.problems.append(Problem(provenance, str(error)))


def _add(registry: Registry, provenance: Provenance, hook: str, item: object) -> None:
    """Take in one declaration, or say what is wrong with it."""
    if not isinstance(item, Component):
        raise ComponentError(f"its hook '{hook}' gave {item!r}, which is not a pie_framework.api.Component")
    if (wrong := item.problem()) is not None:
        raise wrong
    key = (item.kind, item.name)
    if key in registry._contested or key in registry._components:
        first = registry._provenance[key]
        message = (
            f"the {item.kind} '{item.name}' is declared twice: by plugin '{first.plugin}' of {first} "
            f"and by plugin '{provenance.plugin}' of {provenance}"
        )
        registry._components.pop(key, None)
        registry._contested[key] = message
        registry.problems.append(Problem(provenance, message, fatal=True))
        return
    registry._components[key] = item
    registry._provenance[key] = provenance


def _config_folder(name: object) -> Path:
    """The folder of an importable package of configuration, without importing more than its parents."""
    text = str(name).removeprefix("pkg://").replace("/", ".")
    if not isinstance(name, str) or not re.fullmatch(r"\w+(\.\w+)*", text):
        raise ComponentError(
            f"its hook 'pie_config_paths' gave {name!r}, which is not an import path such as 'my_plugin.conf'"
        )
    try:
        spec = importlib.util.find_spec(text)
    except ImportError as error:
        raise ComponentError(f"its configuration '{text}' cannot be found: {error}") from error
    folders = [] if spec is None else [Path(p) for p in spec.submodule_search_locations or ()]
    for folder in folders:
        if folder.is_dir():
            return folder
    raise ComponentError(f"its configuration '{text}' is not a folder in an installed package")


def _asset_catalogue(address: object) -> Path:
    """The file that a plugin gives as a catalogue of assets."""
    from pie_framework.assets.addresses import PACKAGE_SCHEME, resolve

    if not isinstance(address, str) or not address.startswith(PACKAGE_SCHEME):
        raise ComponentError(
            f"its hook 'pie_asset_catalogues' gave {address!r}, which is not an address such as "
            "'pkg://my_plugin/assets.yaml'"
        )
    return resolve(address)


def _describe(error: BaseException) -> str:
    """An exception in one line."""
    text = " ".join(str(error).split())
    return text if isinstance(error, ComponentError) else f"{type(error).__name__}: {text}".rstrip(": ")
