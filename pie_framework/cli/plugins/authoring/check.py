"""Runs the conformance suite of a declared component: built by its factory, in every precision, on every device."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch

from pie_framework.api import BuildContext, Component, Kind
from pie_framework.cli.plugins.authoring import declaration
from pie_framework.cli.plugins.authoring.outcomes import Outcome, Status
from pie_framework.cli.plugins.authoring.running import explain, names, one, run
from pie_framework.cli.plugins.authoring.subjects import COMMAND, OBSERVER, Subject
from pie_framework.composition.build import Builder
from pie_framework.composition.compose import compose
from pie_framework.errors import AssetError, ConfigError, InputError, PieError
from pie_framework.plugins import Registry
from pie_framework.testing import conformance
from pie_framework.testing._context import DeclaredContext, UndeclaredError, toy_context
from pie_framework.testing.suites.base import Suite

#: Kinds that the toy world serves in any case.
TOY_ONLY = (Kind.ENERGY, Kind.OPTIMIZER, Kind.INIT)
TOY, DEFAULT = "the toy world", "the default run"
UNCHECKED = "nothing of the contract was checked"


@dataclass(frozen=True)
class Variant:
    """A precision and a device."""

    dtype: torch.dtype
    device: torch.device

    def __str__(self) -> str:
        place = "" if self.device.type == "cpu" else f" on {self.device.type}"
        return str(self.dtype).removeprefix("torch.") + place


def variants() -> list[Variant]:
    """What is tried here: float64 and float32, on the processor and on CUDA where that is."""
    devices = ["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"]
    return [
        Variant(dtype, torch.device(device)) for device in devices for dtype in (torch.float64, torch.float32)
    ]


def check(subject: Subject, registry: Registry, given: Mapping[str, Any] | None = None) -> Iterator[Outcome]:
    """The outcomes of all checks of one subject.

    Args:
        subject: what is checked.
        registry: the installed plugins.
        given: settings of the component other than its defaults.

    Raises:
        ConfigError: a setting that is given does not exist or has the wrong type, or no setting is used here.
    """
    tested = isinstance(subject.item, Component) and bool(subject.item.kind.suite)
    if given and not tested:
        raise ConfigError(
            f"settings are given, but the checks of the {subject.kind} '{subject.name}' use none",
            "Leave them out.",
        )
    yield from declaration.check(subject, registry)
    if subject.kind == OBSERVER:
        yield from run(_fixed(conformance.ObserverTests, subject.item))
    elif subject.kind == COMMAND:
        yield from run(_fixed(conformance.CommandTests, subject.item))
    elif tested:
        yield from _component(subject.item, registry, given or {})
    else:
        yield Outcome("conformance", Status.SKIP, f"there is no suite for {subject.item.kind.article}")


def _fixed(base: type[Suite], item: Any) -> type[Suite]:
    return type(base.__name__, (base,), {"build": lambda self: item})


def _component(component: Component, registry: Registry, given: Mapping[str, Any]) -> Iterator[Outcome]:
    left = [name for name in declaration.missing(component.config) if name not in given]
    if left:
        keys = " ".join(f"{name}=..." for name in left)
        yield Outcome("conformance", Status.WARN, f"{UNCHECKED}: give what has no default, {keys}")
        return
    try:
        settings = registry.settings(component, given)
    except Exception as error:
        if given and isinstance(error, PieError):
            raise
        yield Outcome("build", Status.FAIL, f"with its default settings: {explain(error)}", error)
        return
    worlds = Worlds(component, registry, settings)
    built = worlds.choose()
    yield built
    if built.status is not Status.PASS:
        return
    yield from _merged([(variant, list(_outcomes(worlds.suite(variant)))) for variant in variants()])
    if component.kind not in (Kind.ENERGY, Kind.INIT) and worlds.requires:
        unused = sorted(worlds.requires - worlds.used)
        yield Outcome(
            "uses what it requires",
            Status.WARN if unused else Status.PASS,
            f"it requires but does not use: {', '.join(unused)}" if unused else "",
        )


def _outcomes(suite: type[Suite]) -> Iterator[Outcome]:
    """The outcomes of a suite in one precision; what looks at both by itself is left to float64."""
    left = () if suite.dtype == torch.float64 else getattr(suite, "in_one_precision", ())
    for name in names(suite):
        if name not in left:
            yield one(suite, name)


def _merged(results: list[tuple[Variant, list[Outcome]]]) -> Iterator[Outcome]:
    """One outcome per check, the worst of all variants, which it names where that is bad and not all are alike."""
    merged: dict[str, list[tuple[Variant, Outcome]]] = {}
    for variant, outcomes in results:
        for outcome in outcomes:
            merged.setdefault(outcome.check, []).append((variant, outcome))
    for same in merged.values():
        variant, worst = max(same, key=lambda pair: pair[1].status.badness)
        alike = all(outcome.status is worst.status for _, outcome in same)
        if alike or worst.status is Status.PASS:
            yield worst
        else:
            yield dataclasses.replace(worst, reason=f"{variant}: {worst.reason}")


class Worlds:
    """Where a component is built: in the toy world, or, where it does not fit there, in the default run."""

    def __init__(self, component: Component, registry: Registry, settings: Any) -> None:
        self.component, self.registry, self.settings = component, registry, settings
        self.requires = frozenset(component.requires)
        self.place = TOY
        self.used: set[str] = set()

    def choose(self) -> Outcome:
        """Try to build it; the outcome says where that works, or why it does not."""
        places = (TOY,) if self.component.kind in TOY_ONLY else (TOY, DEFAULT)
        failures: list[tuple[str, BaseException]] = []
        try:
            self.component.load()
        except PieError as found:
            return Outcome("build", Status.FAIL, str(found), found)
        for self.place in places:
            try:
                self.built(self.context(Variant(torch.float32, torch.device("cpu"))))
            except UndeclaredError as found:
                return Outcome("declaration against use", Status.FAIL, str(found), found)
            except (Exception, SystemExit) as found:
                failures.append((self.place, found))
            else:
                return Outcome("declaration against use", Status.PASS, f"built in {self.place}")
        faults = [failure for failure in failures if not isinstance(failure[1], PieError)]
        place, failure = faults[0] if faults else failures[-1]
        if isinstance(failure, (AssetError, ConfigError)):  # it needs what only its user has
            return Outcome("conformance", Status.WARN, f"{UNCHECKED}: {failure}", failure)
        return Outcome("build", Status.FAIL, f"in {place}: {explain(failure)}", failure)

    def context(self, variant: Variant) -> DeclaredContext:
        """What its factory gets."""
        return DeclaredContext(self._world(variant), self.requires)

    def _world(self, variant: Variant) -> BuildContext:
        if self.place == TOY:
            return toy_context(variant.dtype, device=variant.device)
        return Builder(compose([], self.registry), self.registry, variant.device, variant.dtype)

    def built(self, context: DeclaredContext) -> Any:
        """The component, frozen as by a run; what it asked for counts as used."""
        try:
            made = self.component.load()(self.settings, context)
        finally:
            self.used |= context.used
        if isinstance(made, torch.nn.Module):
            made.eval().requires_grad_(False)
        return made

    def suite(self, variant: Variant) -> type[Suite]:
        """The suite of its kind for this component."""
        worlds = self
        base: type[Suite] = getattr(conformance, self.component.kind.suite)

        class Declared(base):  # type: ignore[valid-type,misc]
            dtype, device, requires = variant.dtype, variant.device, worlds.requires

            @property
            def context(self) -> Any:
                return self._once("context", lambda: worlds.context(Variant(self.dtype, self.device)))

            def build(self) -> Any:
                return worlds.built(self.context)

        for name, value in self._sizes(Declared).items():
            setattr(Declared, name, value)
        return Declared

    def _sizes(self, suite: type[Suite]) -> dict[str, Any]:
        """What the suite of a kind has to know of the component, or of the world that it is built in."""
        kind = self.component.kind
        try:
            if kind in (Kind.ENCODER, Kind.FEATURES, Kind.LANDMARKS):
                return {"sizes": (64, 96)}
            if kind is Kind.ALIGNER:
                return _photo(suite().component)
            if kind in (Kind.RIG, Kind.EDITOR, Kind.INVERTER):
                context: Any = suite().context
                return self._shapes(suite().component, context.inner)
        except (Exception, SystemExit):
            pass  # the suite's checks say why
        return {}

    def _shapes(self, made: Any, world: BuildContext) -> dict[str, Any]:
        """Of the latents, the images and θ: the component's own where it tells, those of its world elsewhere."""
        wanted = {"num_layers": Kind.GENERATOR, "latent_dim": Kind.GENERATOR}
        if self.component.kind is Kind.EDITOR:
            wanted["layout"] = Kind.FACE_MODEL
        shapes: dict[str, Any] = {}
        for name, kind in wanted.items():
            own = getattr(made, name, None)
            shapes[name] = getattr(world.get(kind), name) if own is None else own
        if self.component.kind is Kind.INVERTER:
            shapes["sizes"] = (world.get(Kind.GENERATOR).resolution,)
        return shapes


def _photo(aligner: Any) -> dict[str, Any]:
    """For an aligner that finds no face in smooth colours, a photo with a face."""
    from PIL import Image

    from pie_framework.assets import resolve

    try:
        aligner.align(conformance.AlignerTests().photo(), conformance.AlignerTests.size)
    except InputError:
        portrait = Image.open(resolve("pkg://pie_synthetic/examples/portrait_0.png")).convert("RGB")
        photo = Image.new("RGB", (400, 360), portrait.getpixel((0, 0)))
        photo.paste(portrait.resize((320, 320), Image.Resampling.LANCZOS), (40, 20))
        return {"photo": lambda self: photo.copy(), "needs_face": True}
    except Exception:
        return {}
    return {}
