"""What was found: components and commands by name, configuration folders, catalogues, observers, problems."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pie_framework.api import Command, Component, Kind
from pie_framework.errors import ComponentError, PluginError, did_you_mean
from pie_framework.plugins.names import Names
from pie_framework.plugins.observers import Observers
from pie_framework.plugins.records import PluginProblem, Provenance

#: Group of the names of sub-commands, and those that are no plugin's.
COMMAND = "command"
OWN_COMMANDS = ("run", "edit", "plugins", "help")


class UnknownComponent(ComponentError):
    """No plugin offers a component of that kind and name."""

    def __init__(self, kind: Kind, name: str, hint: str) -> None:
        super().__init__(f"there is no {kind} named '{name}'", hint)
        self.kind, self.name = kind, name


@dataclass
class Registry:
    """What the plugins offer, and what is wrong with them.

    Attributes:
        problems: what is wrong, in the order it was found.
        plugins: the plugins that could be imported.
        modules: module of every entry point, whether it could be imported or not.
    """

    problems: list[PluginProblem] = field(default_factory=list)
    plugins: list[Provenance] = field(default_factory=list)
    modules: dict[str, Provenance] = field(default_factory=dict)
    _components: Names[Component] = field(default_factory=Names)
    _commands: Names[Command] = field(default_factory=Names)
    _config_paths: list[tuple[Provenance, Path]] = field(default_factory=list)
    _asset_catalogues: list[tuple[Provenance, Path]] = field(default_factory=list)
    _observers: list[tuple[Provenance, str, Callable[..., Any], dict[str, Any]]] = field(default_factory=list)

    def add_component(self, component: Component, origin: Provenance) -> None:
        """Take in a declaration that was checked; those that ship come first."""
        self._take(self._components.add(component.kind.value, component.name, component, origin))

    def add_command(self, command: Command, origin: Provenance) -> None:
        """Take in a sub-command that was checked."""
        self._take(self._commands.add(COMMAND, command.name, command, origin))

    def reserve_commands(self, names: Iterable[str]) -> None:
        """Names of sub-commands that no plugin's has."""
        self._commands.reserve(COMMAND, names)

    def add_config_path(self, folder: Path, origin: Provenance) -> None:
        """Take in a folder of Hydra configuration, to be searched after those before it."""
        self._config_paths.append((origin, folder))

    def add_asset_catalogue(self, file: Path, origin: Provenance) -> None:
        """Take in a catalogue of assets."""
        self._asset_catalogues.append((origin, file))

    def add_observer(
        self, hook: str, function: Callable[..., Any], options: dict[str, Any], origin: Provenance
    ) -> None:
        """Take in a hook that observes runs, to be called before those that are there."""
        self._observers.insert(0, (origin, hook, function, options))

    def _take(self, problem: PluginProblem | None) -> None:
        if problem is not None:
            self.problems.append(problem)

    def kinds(self) -> tuple[Kind, ...]:
        """The kinds of which there is at least one component, in the contract's order."""
        return tuple(kind for kind in Kind if self.named(kind))

    def components(self, kind: Kind | str | None = None) -> list[Component]:
        """The components that have their plain name, of one kind or of all, sorted by kind and name."""
        return [component for name, component in self.named(kind) if name == component.name]

    def named(self, kind: Kind | str | None = None) -> list[tuple[str, Component]]:
        """Every component under the name that means it: plain, or `distribution:name` where that is another's."""
        wanted = None if kind is None else parse_kind(kind)
        order = list(Kind)
        matching = [(n, c.item) for n, c in self._components if wanted is None or c.item.kind is wanted]
        return sorted(matching, key=lambda pair: (order.index(pair[1].kind), pair[1].name, pair[0]))

    def get(self, kind: Kind | str, name: str) -> Component:
        """The component of that kind and name, plain or `distribution:name`.

        Raises:
            ComponentError: there is none (names the near ones), or several claim the name (names them).
        """
        kind = parse_kind(kind)
        claim = self._components.find(kind.value, name)
        if claim is None:
            raise UnknownComponent(kind, name, self.near(name, [known for known, _ in self.named(kind)]))
        return claim.item

    def near(self, name: str, known: Iterable[str]) -> str:
        """A hint for a name that is not known: the near ones, and plugins with problems, which may offer it."""
        broken = sorted({f"'{problem.provenance.plugin}'" for problem in self.problems})
        hint = did_you_mean(name, known)
        if broken:
            hint += f" Plugins with problems: {', '.join(broken)}; 'pie plugins list' says which."
        return hint

    def find(self, kind: Kind | str, name: str) -> Component | None:
        """The component of that kind and name; None where there is none that can be used."""
        try:
            return self.get(kind, name)
        except ComponentError:
            return None

    def provenance(self, component: Component) -> Provenance:
        """The plugin and the installed package that declare the component."""
        claims = [claim for _, claim in self._components]
        same = [claim for claim in claims if claim.item is component]
        return (same or [claim for claim in claims if claim.item == component])[0].provenance

    def settings(self, component: Component, values: Mapping[str, Any], where: str = "") -> Any:
        """A component's settings, from its dataclass and what was given.

        Args:
            component: whose.
            values: what differs from the defaults.
            where: the key these values stand under, for messages.

        Raises:
            ConfigError: as `merge`.
            PluginError: the dataclass itself fails; names the component.
        """
        from pie_framework.settings import merge

        try:
            return merge(component.config, values, where)
        except PluginError as error:
            error.locate(self.described(component))
            raise

    def described(self, component: Component) -> str:
        """A component in words: what it is, its name, and the package it comes from."""
        return f"the {component.kind} '{component.name}' of {self.provenance(component)}"

    def commands(self) -> list[tuple[str, Command, Provenance]]:
        """The sub-commands of plugins under the name that means each, those that ship first."""
        commands = [(n, c.item, c.provenance) for n, c in self._commands]
        return sorted(commands, key=lambda entry: (not entry[2].shipped, entry[0]))

    def command(self, name: str) -> tuple[Command, Provenance] | None:
        """A plugin's sub-command of that name, plain or `distribution:name`.

        Raises:
            ComponentError: several claim the name.
        """
        claim = self._commands.find(COMMAND, name)
        return None if claim is None else (claim.item, claim.provenance)

    def config_paths(self) -> list[tuple[Provenance, Path]]:
        """The folders of Hydra configuration that plugins add, in the order in which they are searched."""
        return list(self._config_paths)

    def asset_catalogues(self) -> list[tuple[Provenance, Path]]:
        """The catalogues of assets that plugins add, those that ship first."""
        return list(self._asset_catalogues)

    def observing(self) -> list[Provenance]:
        """The plugins with a hook that is told about a run."""
        return [origin for origin in self.plugins if any(origin == known for known, *_ in self._observers)]

    def observers(self, *others: object) -> Observers:
        """Everyone to be told about a run: the plugins' hooks, then `others` (objects with methods of those names)."""
        return Observers(self._observers, others)


def parse_kind(kind: Kind | str) -> Kind:
    """The kind by its value; ComponentError names the near ones."""
    try:
        return Kind(kind)
    except ValueError:
        raise ComponentError(
            f"there is no kind of component named '{kind}'", did_you_mean(str(kind), [k.value for k in Kind])
        ) from None
