"""What a run needs: which components its terms and edits require, found before anything is loaded. Imports no torch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from pie_framework.api import Component, Kind, Slot
from pie_framework.composition.schema import RunConfig
from pie_framework.errors import ComponentError, ConfigError
from pie_framework.plugins import Registry, config_folders

#: What drawing v and describing it takes: θ_v comes from the encoder, its landmarks from the detector.
PRIOR_REQUIRES = ("encoder", "landmarks")
#: What making an edit and reading it back takes.
EDITS_REQUIRE = ("encoder", "editor")
#: The kinds of network that a configuration chooses.
NETWORKS = tuple(kind for kind in Kind if kind.network)
#: The kinds without which there is no run.
ALWAYS = (Kind.OPTIMIZER, Kind.INIT)
NONE = "none"


@dataclass(frozen=True)
class Requirement:
    """One thing that a run needs.

    Attributes:
        what: a kind, "prior", or "features.ROLE".
        who: what needs it, in words, such as "the term 'identity'".
        without: what to change so that it is not needed.
    """

    what: str
    who: str
    without: str = ""


def selection(run: RunConfig, kind: Kind, role: str | None = None) -> Mapping[str, Any] | None:
    """The composed settings of a component, `{name: ..., ...}`; None where none is chosen.

    Args:
        run: the configuration.
        kind: of the component.
        role: the block of a rig or the role of a feature network.
    """
    node = run.components.get(kind.value)
    if role is not None and isinstance(node, Mapping):
        node = node.get(role)
    if not node:
        return None
    if isinstance(node, str):
        node = {"name": node}
    if not isinstance(node, Mapping) or not isinstance(node.get(naming(node)), str):
        key = kind.value if role is None else f"{kind.value}.{role}"
        raise ConfigError(f"{key} does not say which component it is", f"Give {key}.name=NAME.")
    return None if name_of(node) == NONE and kind is not Kind.ALIGNER else node


def naming(node: Mapping[str, Any]) -> str:
    """The key of a node that names the component: `component` where it is there, as `name` then is a setting."""
    return "component" if "component" in node else "name"


def name_of(node: Mapping[str, Any]) -> str:
    """The registered name of the component that a node of settings chooses."""
    return str(node[naming(node)])


def settings_of(node: Mapping[str, Any]) -> dict[str, Any]:
    """The component's own settings in a node of settings."""
    own = naming(node)
    return {str(key): value for key, value in node.items() if key != own}


def required(run: RunConfig, registry: Registry, edits: bool | None = None) -> list[Requirement]:
    """Everything the active terms, the edits and their components need, each once, the generator first.

    Args:
        run: the configuration.
        registry: the installed components.
        edits: whether edits are made; by default when the configuration asks for some.
    """
    found: dict[str, Requirement] = {"generator": Requirement("generator", "every run")}

    def need(requirement: Requirement) -> None:
        if requirement.what in found:
            return
        found[requirement.what] = requirement
        if requirement.what == "prior":
            for what in PRIOR_REQUIRES:
                need(
                    Requirement(
                        what, f"{requirement.who} (which draws latents from the prior)", requirement.without
                    )
                )
            return
        for component in _chosen(run, registry, requirement.what):
            for what in sorted(component.requires):
                need(
                    Requirement(
                        what,
                        f"{requirement.who} (by its {component.kind} '{component.name}')",
                        requirement.without,
                    )
                )

    for component in _chosen(run, registry, "generator"):
        for what in sorted(component.requires):
            need(Requirement(what, f"the generator '{component.name}'"))
    for name, term in run.terms.items():
        if term.active:
            component = registry.get(Kind.ENERGY, term.term)
            for what in sorted(component.requires):
                need(Requirement(what, f"the term '{name}'", f"terms.{name}.weight=0"))
    for kind in ALWAYS:
        found[kind.value] = Requirement(kind.value, "every run")
        for component in _chosen(run, registry, kind.value):
            for what in sorted(component.requires):
                need(Requirement(what, f"{kind}={component.name}", "init=mean" if kind is Kind.INIT else ""))
    if bool(run.edit.requests) if edits is None else edits:
        for what in EDITS_REQUIRE:
            need(Requirement(what, "making edits", "edit=none"))
        if selection(run, Kind.FACE_MODEL) is not None:
            # It names ranges and further expressions; without one there are the coefficients' own names.
            need(Requirement(Kind.FACE_MODEL.value, "making edits", "edit=none"))
    return list(found.values())


def check(run: RunConfig, registry: Registry, edits: bool | None = None) -> list[Requirement]:
    """`required`, with every one of them found to be chosen and registered.

    Raises:
        ComponentError: something required is not chosen (names who needs it and the group to choose), or what is
            chosen is not registered.
    """
    requirements = required(run, registry, edits)
    for requirement in requirements:
        if requirement.what != "prior":
            for role in _roles(run, requirement.what):
                _check_one(run, registry, requirement, role)
    return requirements


def check_settings(run: RunConfig, registry: Registry, edits: bool | None = None) -> None:
    """Make the settings of everything that `check` has found a run to need, and of its aligner, so that nothing is
    loaded before all of them are known to be right.

    Raises:
        ConfigError: a setting that must be given and is not, or one that the component refuses.
    """
    for what in [*(r.what for r in required(run, registry, edits)), Kind.ALIGNER.value]:
        if what == "prior":
            continue
        kind = _kind(what)
        for role in _roles(run, what):
            node = selection(run, kind, role)
            if node is not None:
                where = kind.value if role is None else f"{kind}.{role}"
                registry.settings(registry.get(kind, name_of(node)), settings_of(node), where)
    for name, term in run.terms.items():
        if term.active:
            component = registry.get(Kind.ENERGY, term.term)
            registry.settings(component, term.options, f"terms.{name}.options")


def kind_and_roles(run: RunConfig, what: str) -> tuple[Kind, list[str | None]]:
    """The kind that a requirement means, and the blocks or roles it stands for (None for a kind without)."""
    return _kind(what), _roles(run, what)


def _kind(what: str) -> Kind:
    try:
        return Kind(what.partition(".")[0])
    except ValueError:
        raise ComponentError(
            f"'{what}' is required by a component, but is not a kind of component",
            "It is one of: " + ", ".join(["prior", "features.ROLE", *(k.value for k in Kind)]) + ".",
        ) from None


def _roles(run: RunConfig, what: str) -> list[str | None]:
    kind, _, role = what.partition(".")
    if role:
        return [role]
    slot = _kind(kind).slot
    if slot is Slot.PER_BLOCK:
        return list(run.blocks)
    if slot is Slot.PER_ROLE:
        return list(run.components.get(kind) or {})
    return [None]


def _chosen(run: RunConfig, registry: Registry, what: str) -> Iterable[Component]:
    """The registered components that stand for a requirement; those not chosen are left out."""
    if what == "prior":
        return
    kind = _kind(what)
    for role in _roles(run, what):
        node = selection(run, kind, role)
        if node is not None:
            yield registry.get(kind, name_of(node))


def _check_one(run: RunConfig, registry: Registry, requirement: Requirement, role: str | None) -> None:
    kind = _kind(requirement.what)
    node = selection(run, kind, role)
    if node is not None:
        registry.get(kind, name_of(node))
        return
    what = {
        Kind.RIG: f"a rig network for the block '{role}'",
        Kind.FEATURES: f"a feature network in the role '{role}'",
    }.get(kind, f"a component of the kind '{kind}'")
    choices = " or ".join(f"{kind}={option}" for option in _options(kind, registry)) or f"{kind}=NAME"
    hint = f"Choose one, for example {choices}"
    hint += f", or do without: {requirement.without}." if requirement.without else "."
    raise ComponentError(f"{requirement.who} needs {what}, and none is chosen", hint)


def _options(kind: Kind, registry: Registry) -> list[str]:
    """Options of a kind's configuration group, the core's own and those of plugins, except none."""
    files = [file for _, folder in config_folders(registry) for file in (folder / kind.value).glob("*.yaml")]
    return sorted({file.stem for file in files if file.stem != NONE})
