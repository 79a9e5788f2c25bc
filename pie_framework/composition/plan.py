"""What a run needs, found once and before anything is loaded: its components with their settings, and what is wrong.

A `Plan` is what building, the record of a run, doctor, bench and training read. Imports no torch.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from omegaconf import DictConfig

from pie_framework.api import Component, Kind, Slot
from pie_framework.composition.schema import RunConfig, parse
from pie_framework.errors import ComponentError, ConfigError, PieError
from pie_framework.plugins import Registry, config_folders, discover

#: What drawing v and describing it takes: θ_v comes from the encoder, its landmarks from the detector.
PRIOR = "prior"
PRIOR_REQUIRES = ("encoder", "landmarks")
#: What making an edit and reading it back takes.
EDITS_REQUIRE = ("encoder", "editor")
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


@dataclass(frozen=True)
class Choice:
    """A component that a run uses.

    Attributes:
        role: the key it stands under: "generator", "rig.rotation", "features.perceptual", "terms.identity".
        kind: what it is.
        component: its declaration.
        given: its settings as they were composed.
        who: what needs it, in words; "" where nothing does.
        settings: its settings class, filled; None where that is not possible.
        fault: why it is not.
    """

    role: str
    kind: Kind
    component: Component
    given: Mapping[str, Any]
    who: str = ""
    settings: Any = None
    fault: PieError | None = None

    @property
    def values(self) -> Mapping[str, Any]:
        """Its settings by name, defaults included where they can be filled."""
        return self.given if self.settings is None else dataclasses.asdict(self.settings)


@dataclass(frozen=True)
class Plan:
    """A run before anything of it is built.

    Attributes:
        config: the parsed configuration.
        registry: the components there are.
        edits: whether edits are made.
        requirements: what the run needs and why, each once, the generator first.
        choices: the components it uses, by role: those required, the active terms, and the aligner.
        gaps: what is required and not chosen, or chosen and not registered.
        aligner_gap: why there is no aligner, which only reading a photo needs.
    """

    config: RunConfig
    registry: Registry
    edits: bool
    requirements: tuple[Requirement, ...] = ()
    choices: Mapping[str, Choice] = field(default_factory=dict)
    gaps: tuple[PieError, ...] = ()
    aligner_gap: PieError | None = None

    @property
    def problems(self) -> tuple[PieError, ...]:
        """All that is wrong, whether or not photos are read: the gaps, then the settings that cannot be filled."""
        faults = (c.fault for c in self.choices.values() if c.kind is not Kind.ALIGNER)
        return (*self.gaps, *(fault for fault in faults if fault is not None))

    def check(self, photos: bool = False) -> Plan:
        """The plan itself.

        Args:
            photos: whether photos are read, which takes an aligner.

        Raises:
            ComponentError: something required is not chosen (names who needs it and the group to choose), or what is
                chosen is not registered.
            ConfigError: a setting that must be given and is not, or one that the component refuses.
        """
        aligner = self.choices.get(Kind.ALIGNER.value)
        of_aligner = (self.aligner_gap, aligner and aligner.fault) if photos else ()
        for problem in (*self.problems, *of_aligner):
            if problem is not None:
                raise problem
        return self

    @property
    def draws_prior(self) -> bool:
        """Whether v are drawn from the generator's prior."""
        return any(requirement.what == PRIOR for requirement in self.requirements)

    def of_kind(self, kind: Kind) -> list[Choice]:
        """The components of a kind that the run uses."""
        return [choice for choice in self.choices.values() if choice.kind is kind]

    def choice(self, kind: Kind, part: str | None = None) -> Choice | None:
        """The component that is chosen, whether or not the run needs it; None where none is.

        Args:
            kind: of the component.
            part: the block of a rig or the role of a feature network.
        """
        role = kind.value if part is None else f"{kind}.{part}"
        if role in self.choices:
            return self.choices[role]
        node = selection(self.config, kind, part)
        return None if node is None else choose(self.registry, kind, name_of(node), settings_of(node), role)

    def with_edits(self, edits: bool | None) -> Plan:
        """The plan of the same run with or without edits; itself where nothing is asked for."""
        return self if edits in (None, self.edits) else make_plan(self.config, self.registry, edits)


def choose(
    registry: Registry,
    kind: Kind,
    name: str,
    given: Mapping[str, Any],
    role: str,
    who: str = "",
    where: str = "",
) -> Choice:
    """A registered component with its settings filled; ComponentError where there is none of that name."""
    component = registry.get(kind, name)
    try:
        settings = registry.settings(component, given, where or role)
    except PieError as error:
        return Choice(role, kind, component, given, who, None, error)
    return Choice(role, kind, component, given, who, settings)


def make_plan(
    config: RunConfig | DictConfig | Mapping[str, Any],
    registry: Registry | None = None,
    edits: bool | None = None,
) -> Plan:
    """What a run takes.

    Args:
        config: composed or already parsed.
        registry: the installed components; discovered when None.
        edits: whether edits are made; by default when the configuration asks for some.

    Raises:
        ConfigError: the configuration cannot be parsed. Whatever else is wrong is in `Plan.problems`.
    """
    run = config if isinstance(config, RunConfig) else parse(config)
    known = discover() if registry is None else registry
    making = bool(run.edit.requests) if edits is None else edits
    planning = _Planning(run, known)
    planning.require(making)
    planning.choose_all()
    required, aligner_gap = tuple(planning.requirements.values()), planning.choose_aligner()
    return Plan(run, known, making, required, planning.choices, tuple(planning.gaps), aligner_gap)


@dataclass
class _Planning:
    """A plan in the making."""

    run: RunConfig
    registry: Registry
    requirements: dict[str, Requirement] = field(default_factory=dict)
    choices: dict[str, Choice] = field(default_factory=dict)
    gaps: list[PieError] = field(default_factory=list)

    def require(self, edits: bool) -> None:
        """Everything the active terms, the edits and their components need, each once, the generator first."""
        self.requirements["generator"] = Requirement("generator", "every run")
        for component in self.chosen("generator"):
            self.need_all(component, f"the generator '{component.name}'")
        for name, term in self.run.terms.items():
            for component in self.registered(Kind.ENERGY, term.term) if term.active else ():
                self.need_all(component, f"the term '{name}'", f"terms.{name}.weight=0")
        for kind in ALWAYS:
            self.requirements[kind.value] = Requirement(kind.value, "every run")
            for component in self.chosen(kind.value):
                self.need_all(component, f"{kind}={component.name}", "init=mean" if kind is Kind.INIT else "")
        if edits:
            # A face model names ranges and further expressions; without one there are the coefficients' own names.
            models = () if selection(self.run, Kind.FACE_MODEL) is None else (Kind.FACE_MODEL.value,)
            for what in (*EDITS_REQUIRE, *models):
                self.need(Requirement(what, "making edits", "edit=none"))

    def need_all(self, component: Component, who: str, without: str = "") -> None:
        for what in sorted(component.requires):
            self.need(Requirement(what, who, without))

    def need(self, requirement: Requirement) -> None:
        if requirement.what in self.requirements:
            return
        self.requirements[requirement.what] = requirement
        who, without = requirement.who, requirement.without
        if requirement.what == PRIOR:
            for what in PRIOR_REQUIRES:
                self.need(Requirement(what, f"{who} (which draws latents from the prior)", without))
            return
        for component in self.chosen(requirement.what):
            self.need_all(component, f"{who} (by its {component.kind} '{component.name}')", without)

    def chosen(self, what: str) -> Iterator[Component]:
        """The registered components that stand for a requirement; those not chosen are left out."""
        try:
            nodes = [selection(self.run, kind, part) for kind, part in places(self.run, what)]
        except PieError as error:
            self.gap(error)
            return
        for node in nodes:
            if node is not None:
                yield from self.registered(places(self.run, what)[0][0], name_of(node))

    def registered(self, kind: Kind, name: str) -> Iterator[Component]:
        try:
            yield self.registry.get(kind, name)
        except ComponentError as error:
            self.gap(error)

    def gap(self, error: PieError) -> None:
        if str(error) not in map(str, self.gaps):
            self.gaps.append(error)

    def choose_all(self) -> None:
        """The components with their settings, and what is required and not chosen."""
        for requirement in self.requirements.values():
            if requirement.what != PRIOR:
                self.choose(requirement)
        for name, term in self.run.terms.items():
            for component in self.registered(Kind.ENERGY, term.term) if term.active else ():
                role = f"terms.{name}"
                options = (component.kind, term.term, term.options, role, f"the term '{name}'")
                self.choices[role] = choose(self.registry, *options, where=f"{role}.options")

    def choose_aligner(self) -> PieError | None:
        """The aligner, where one is chosen; what is wrong with the choice."""
        try:
            node = selection(self.run, Kind.ALIGNER)
            if node is not None:
                role, given = Kind.ALIGNER.value, settings_of(node)
                self.choices[role] = choose(
                    self.registry, Kind.ALIGNER, name_of(node), given, role, "the photo"
                )
        except PieError as error:
            return error
        return None

    def choose(self, requirement: Requirement) -> None:
        try:
            for kind, part in places(self.run, requirement.what):
                role = kind.value if part is None else f"{kind}.{part}"
                node = selection(self.run, kind, part)
                if node is not None:
                    named, given = name_of(node), settings_of(node)
                    self.choices[role] = choose(self.registry, kind, named, given, role, requirement.who)
                else:
                    self.gap(_not_chosen(requirement, kind, part, self.registry))
        except PieError as error:
            self.gap(error)


def places(run: RunConfig, what: str) -> list[tuple[Kind, str | None]]:
    """The kind that a requirement means, with the blocks or roles it stands for (None for a kind without).

    Raises:
        ComponentError: it is no kind.
    """
    value, _, part = what.partition(".")
    try:
        kind = Kind(value)
    except ValueError:
        raise ComponentError(
            f"'{what}' is required by a component, but is not a kind of component",
            "It is one of: " + ", ".join([PRIOR, "features.ROLE", *(k.value for k in Kind)]) + ".",
        ) from None
    if part:
        return [(kind, part)]
    if kind.slot is Slot.PER_BLOCK:
        return [(kind, block) for block in run.blocks]
    if kind.slot is Slot.PER_ROLE:
        return [(kind, role) for role in run.components.get(value) or {}]
    return [(kind, None)]


def selection(run: RunConfig, kind: Kind, part: str | None = None) -> Mapping[str, Any] | None:
    """The composed settings of a component, `{name: ..., ...}`; None where none is chosen.

    Args:
        run: the configuration.
        kind: of the component.
        part: the block of a rig or the role of a feature network.
    """
    node = run.components.get(kind.value)
    if part is not None and isinstance(node, Mapping):
        node = node.get(part)
    if not node:
        return None
    if isinstance(node, str):
        node = {"name": node}
    if not isinstance(node, Mapping) or not isinstance(node.get(naming(node)), str):
        key = kind.value if part is None else f"{kind.value}.{part}"
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


def _not_chosen(requirement: Requirement, kind: Kind, part: str | None, registry: Registry) -> ComponentError:
    what = {
        Kind.RIG: f"a rig network for the block '{part}'",
        Kind.FEATURES: f"a feature network in the role '{part}'",
    }.get(kind, f"a component of the kind '{kind}'")
    files = [file for _, folder in config_folders(registry) for file in (folder / kind.value).glob("*.yaml")]
    options = sorted({file.stem for file in files if file.stem != NONE})
    choices = " or ".join(f"{kind}={option}" for option in options) or f"{kind}=NAME"
    hint = f"Choose one, for example {choices}"
    hint += f", or do without: {requirement.without}." if requirement.without else "."
    return ComponentError(f"{requirement.who} needs {what}, and none is chosen", hint)
