"""From a plan to components: each built by its registered name, once."""

from __future__ import annotations

import dataclasses
import logging
import os
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, TypeVar

import torch
from omegaconf import DictConfig

from pie_framework import assets
from pie_framework.api import (
    BuildContext,
    Component,
    HasLatentShape,
    Kind,
    Layout,
    MadeForGenerator,
    Networks,
    Slot,
    identity,
)
from pie_framework.composition.plan import PRIOR, Choice, Plan, choose, make_plan, places
from pie_framework.composition.schema import RunConfig
from pie_framework.errors import AssetError, ComponentError, ConfigError
from pie_framework.optimisation.objective import Objective, WeightedTerm
from pie_framework.plugins import Registry, boundary, parse_kind

_log = logging.getLogger(__name__)
T = TypeVar("T")


def choose_device(name: str) -> torch.device:
    """The device that `auto`, `cpu`, `cuda` or `cuda:N` means here; ConfigError when there is no such one.

    Of several processes on one machine, each takes the GPU of its LOCAL_RANK.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cuda" and int(os.environ.get("WORLD_SIZE", "1")) > 1:
        name = f"cuda:{os.environ.get('LOCAL_RANK', '0')}"
    device = torch.device(name)
    if device.type == "cuda":
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if (device.index or 0) >= count:
            raise ConfigError(
                f"device: '{name}' is not there ({count} CUDA devices found)", "Try device=auto."
            )
    return device


class Builder(BuildContext):
    """The components of one run.

    Every component is built at most once, on its device and in its dtype, also when two roles ask for the same one
    with the same settings.

    Args:
        plan: of the run, or a configuration to make it of.
        registry: the installed components, where a configuration is given; discovered by default.
        device: overrides the configuration's.
        dtype: overrides the configuration's.
    """

    def __init__(
        self,
        plan: Plan | RunConfig | DictConfig | Mapping[str, Any],
        registry: Registry | None = None,
        device: torch.device | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        self.plan = plan if isinstance(plan, Plan) else make_plan(plan, registry)
        self.run, self.registry = self.plan.config, self.plan.registry
        self.device = choose_device(self.run.device) if device is None else device
        self.dtype = getattr(torch, self.run.dtype) if dtype is None else dtype
        self.blocks = tuple(self.run.blocks)
        self.used: dict[str, Component] = {}
        self._built: dict[tuple[int, str], Any] = {}  # two packages may use the same name
        self._building: list[Component] = []

    def get(self, kind: Kind | str, name: str | None = None) -> Any:
        """A component of the run, built on first use; see `BuildContext.get`.

        Raises:
            ComponentError: none is chosen, or it cannot be built.
        """
        kind = parse_kind(kind)
        by_role = kind.slot in (Slot.PER_BLOCK, Slot.PER_ROLE)
        if by_role and name is None:
            raise ComponentError(f"{kind.article} was asked for without saying which block or role")
        choice = self.plan.choice(kind, name if by_role else None)
        if not by_role and name is not None and (choice is None or choice.component.name != name):
            choice = choose(self.registry, kind, name, {}, name)
        if choice is None:
            which = {Slot.PER_BLOCK: f" for the block '{name}'", Slot.PER_ROLE: f" in the role '{name}'"}
            role = f"{kind}/{name}" if kind.slot is Slot.PER_ROLE else kind.value
            raise ComponentError(
                f"there is no {kind}{which.get(kind.slot, '')} in this run", f"Choose one with {role}=NAME."
            )
        return self._build(choice)

    def chosen(self, kind: Kind | str, name: str | None = None) -> str | None:
        choice = self.plan.choice(parse_kind(kind), name)
        return None if choice is None else choice.component.name

    def asset(self, uri: str, folder: bool = False) -> str:
        """The path of an asset; its digest is checked where a component declares one, first the one being built."""
        others = [component for _, component in self.registry.named()]
        declared = (a for c in (*reversed(self._building), *others) for a in c.assets if a.uri == uri)
        return str(assets.resolve(uri, next((a.sha256 for a in declared if a.sha256), None), folder))

    def networks(self, edits: bool | None = None) -> Networks:
        """What the active terms and the edits require, and nothing else.

        Args:
            edits: whether edits are made; by default as planned.

        Raises:
            PieError: as `Plan.check`; two of them do not fit together.
        """
        plan = self.plan.with_edits(edits).check()
        wanted = [r.what for r in plan.requirements if r.what != PRIOR]
        needed = [place for what in wanted for place in places(self.run, what) if place[0].network]
        parts: dict[str, Any] = {
            (kind.value if part is None else f"{kind}.{part}"): self.get(kind, part) for kind, part in needed
        }
        rigs, features = _in_slots(parts, Kind.RIG), _in_slots(parts, Kind.FEATURES)
        self._check_layouts(parts)
        self._check_landmarks(parts)
        self._check_generator(parts["generator"], rigs)
        own = {name: parts.pop(name, None) for name in _FIELDS}
        others = {role: part for role, part in parts.items() if "." not in role}
        return Networks(**own, rigs=rigs, features=features, others=others, origins=self._origins())

    def _origins(self) -> dict[str, str]:
        """The components of the run in words, by role; those that are built later than the networks too."""
        later = {c.role: c.component for c in self.plan.choices.values() if c.kind.slot is Slot.ONE}
        return {
            role: self.registry.described(component) for role, component in {**later, **self.used}.items()
        }

    def _check_layouts(self, parts: Mapping[str, Any]) -> None:
        """Whatever handles θ must mean the same coefficients; ComponentError names the two that do not."""
        read = {
            role: self._read(role, partial(getattr, part, "layout", None)) for role, part in parts.items()
        }
        layouts = {role: layout for role, layout in read.items() if isinstance(layout, Layout)}
        first = next((role for role in ("face_model", "encoder", *layouts) if role in layouts), "")
        for role, layout in layouts.items():
            difference = layouts[first].difference(layout)
            if difference is not None:
                raise ComponentError(
                    f"{self._chosen_as(role)} was made for another face model than {self._chosen_as(first)}: "
                    f"{difference}",
                    "Choose weights that were trained for this face model; 'pie train backbone' makes them.",
                )

    def _check_landmarks(self, parts: Mapping[str, Any]) -> None:
        """Detected and rendered landmarks are compared point by point; ComponentError when they are not as many."""
        model, detector = parts.get("face_model"), parts.get("landmarks")
        if model is None or detector is None:
            return
        modelled = self._read("face_model", lambda: model.num_landmarks)
        detected = self._read("landmarks", lambda: detector.num_landmarks)
        if modelled != detected:
            raise ComponentError(
                f"{self._chosen_as('landmarks')} finds {detected} landmarks, "
                f"{self._chosen_as('face_model')} has {modelled}",
                "Choose a detector and a face model of one convention, such as its 66 points.",
            )

    def _check_generator(self, generator: Any, rigs: Mapping[str, Any]) -> None:
        """Rigs move the latents of one generator; ComponentError when its latents are of another shape."""
        for block, rig in rigs.items():
            shape, made_for = self._read(f"rig.{block}", partial(_trained_for, rig))
            apart = self._read("generator", partial(identity.difference, {**made_for, **shape}, generator))
            if apart:
                raise ComponentError(
                    f"the {block} rig was trained for another generator than the composed one: {apart}",
                    "Choose rigs that were trained for this generator; 'pie train rig' makes them.",
                )
            if not self._read("generator", partial(identity.same_weights, made_for, generator)):
                _log.warning(
                    "the %s rig was trained for a generator of the same shape but with other weights; "
                    "its edits may do something else than they are asked to",
                    block,
                )

    def _chosen_as(self, role: str) -> str:
        """How a component was chosen, `role=name`."""
        return f"{role}={self.used[role].name}" if role in self.used else role

    def origin(self, kind: Kind) -> str:
        """The chosen component of a kind, in words: what it is, its name, and where it comes from."""
        return self.registry.described(self.used[kind.value])

    def objective(self) -> Objective:
        """E(w): the active terms with their weights."""
        terms: dict[str, WeightedTerm] = {}
        for choice in self.plan.of_kind(Kind.ENERGY):
            name = choice.role.partition(".")[2]
            term = self.run.terms[name]
            origin = str(self.registry.provenance(choice.component))
            terms[name] = WeightedTerm(self._build(choice), term.weight, term.parts, origin)
        return Objective(terms)

    def _build(self, choice: Choice) -> Any:
        if choice.fault is not None:
            raise choice.fault
        component = choice.component
        key = (id(component), repr(sorted(dataclasses.asdict(choice.settings).items())))
        if key not in self._built:
            if any(component is other for other in self._building):
                circle = [f"{c.kind} '{c.name}'" for c in (*self._building, component)]
                raise ComponentError(f"components need one another: {' -> '.join(circle)}")
            self._building.append(component)
            try:
                made = boundary.make(self.registry, component, choice.settings, self)
                self._built[key] = boundary.call(self.registry, component, "cannot be built", _frozen, made)
            except AssetError as error:
                error.locate(f"{choice.role}={component.name}")
                raise
            finally:
                self._building.pop()
        self.used[choice.role] = component
        return self._built[key]

    def _read(self, role: str, read: Callable[[], T]) -> T:
        """What is read of a component's attributes, which may be properties; PluginError names it when one fails."""
        component = self.used.get(role)
        return read() if component is None else boundary.call(self.registry, component, "failed", read)


#: The kinds that are fields of `Networks`.
_FIELDS = ("generator", "encoder", "face_model", "landmarks", "editor", "inverter")


def _in_slots(parts: Mapping[str, Any], kind: Kind) -> dict[str, Any]:
    """The components of a kind of which there are several, by block or role."""
    return {role.partition(".")[2]: part for role, part in parts.items() if role.startswith(f"{kind}.")}


def _trained_for(rig: object) -> tuple[dict[str, Any], dict[str, Any]]:
    """The shape of the latents that a rig moves, and the generator it was made for, as far as it says them."""
    shape = {}
    if isinstance(rig, HasLatentShape):
        shape = {"num_layers": rig.num_layers, "latent_dim": rig.latent_dim}
    return shape, dict(rig.made_for) if isinstance(rig, MadeForGenerator) else {}


def _frozen(built: Any) -> Any:
    """Networks never learn in a run: no gradient for their weights, evaluation mode."""
    if isinstance(built, torch.nn.Module):
        built.eval().requires_grad_(False)
    return built
