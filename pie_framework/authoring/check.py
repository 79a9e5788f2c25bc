"""Runs the conformance suite of a declared component: built by its factory, in every precision, on every device."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch

from pie_framework.api import BuildContext, Component, Kind
from pie_framework.authoring import declaration
from pie_framework.authoring.outcomes import Outcome, Status
from pie_framework.authoring.running import explain, run
from pie_framework.authoring.subjects import COMMAND, OBSERVER, Subject
from pie_framework.build import Builder
from pie_framework.compose import compose
from pie_framework.errors import InputError, PieError
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


def variants(kind: Kind) -> list[Variant]:
    """What is tried here: float64 and float32, on the processor and on what else there is."""
    both = (torch.float64, torch.float32)
    # The suite of energy terms looks at float32 by itself.
    precisions = (torch.float64,) if kind is Kind.ENERGY else both
    found = [Variant(dtype, torch.device("cpu")) for dtype in precisions]
    if torch.cuda.is_available():
        found += [Variant(dtype, torch.device("cuda")) for dtype in precisions]
    if torch.backends.mps.is_available() and kind is not Kind.ENERGY:
        found.append(Variant(torch.float32, torch.device("mps")))
    return found


def check(subject: Subject, registry: Registry, given: Mapping[str, Any] | None = None) -> Iterator[Outcome]:
    """The outcomes of all checks of one subject.

    Args:
        subject: what is checked.
        registry: the installed plugins.
        given: settings of the component other than its defaults.

    Raises:
        ConfigError: a setting that is given does not exist or has the wrong type.
    """
    yield from declaration.check(subject)
    if subject.kind == OBSERVER:
        yield from run(_fixed(conformance.ObserverTests, subject.item))
    elif subject.kind == COMMAND:
        yield from run(_fixed(conformance.CommandTests, subject.item))
    else:
        yield from _component(subject.item, registry, given or {})


def _fixed(base: type[Suite], item: Any) -> type[Suite]:
    return type(base.__name__, (base,), {"build": lambda self: item})


def _component(component: Component, registry: Registry, given: Mapping[str, Any]) -> Iterator[Outcome]:
    if not component.kind.suite:
        yield Outcome("conformance", Status.SKIP, f"there is no suite for {component.kind.article}")
        return
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
    yield from _merged([(v, list(run(worlds.suite(v)))) for v in variants(component.kind)])
    if component.kind not in (Kind.ENERGY, Kind.INIT) and component.requires:
        unused = sorted(component.requires - worlds.used)
        yield Outcome(
            "uses what it requires",
            Status.WARN if unused else Status.PASS,
            f"it requires but does not use: {', '.join(unused)}" if unused else "",
        )


def _merged(results: list[tuple[Variant, list[Outcome]]]) -> Iterator[Outcome]:
    """One outcome per check, the worst of all variants, which it names where not all are alike."""
    for position, first in enumerate(results[0][1]):
        same = [(variant, outcomes[position]) for variant, outcomes in results]
        variant, worst = max(same, key=lambda pair: pair[1].status.badness)
        if worst.status is first.status and all(o.status is worst.status for _, o in same):
            yield first
        else:
            yield Outcome(worst.check, worst.status, f"{variant}: {worst.reason}", worst.error)


class Worlds:
    """Where a component is built: in the toy world, or, where it does not fit there, in the default run."""

    def __init__(self, component: Component, registry: Registry, settings: Any) -> None:
        self.component, self.registry, self.settings = component, registry, settings
        self.place = TOY
        self.used: set[str] = set()

    def choose(self) -> Outcome:
        """Try to build it; the outcome says where that works, or why it does not."""
        places = (TOY,) if self.component.kind in TOY_ONLY else (TOY, DEFAULT)
        failure: BaseException | None = None
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
                failure = found
            else:
                return Outcome("declaration against use", Status.PASS, f"built in {self.place}")
        assert failure is not None
        if isinstance(failure, PieError):  # it needs what only its user has
            return Outcome("conformance", Status.WARN, f"{UNCHECKED}: {failure}", failure)
        return Outcome("build", Status.FAIL, f"in {self.place}: {explain(failure)}", failure)

    def context(self, variant: Variant) -> DeclaredContext:
        """What its factory gets."""
        inner: BuildContext
        if self.place == TOY:
            inner = toy_context(variant.dtype, device=variant.device)
        else:
            inner = Builder(compose([], self.registry), self.registry, variant.device, variant.dtype)
        return DeclaredContext(inner, self.component.requires)

    def built(self, context: DeclaredContext) -> Any:
        made = self.component.load()(self.settings, context)
        self.used |= context.used
        if isinstance(made, torch.nn.Module):  # as a run does
            made.eval().requires_grad_(False)
        return made

    def suite(self, variant: Variant) -> type[Suite]:
        """The suite of its kind for this component."""
        worlds = self
        base: type[Suite] = getattr(conformance, self.component.kind.suite)

        class Declared(base):  # type: ignore[valid-type,misc]
            dtype, device, requires = variant.dtype, variant.device, worlds.component.requires

            @property
            def context(self) -> Any:
                return self._once("context", lambda: worlds.context(Variant(self.dtype, self.device)))

            def build(self) -> Any:
                try:
                    return worlds.built(self.context)
                finally:
                    worlds.used |= self.context.used

        for name, value in self._sizes(Declared).items():
            setattr(Declared, name, value)
        return Declared

    def _sizes(self, suite: type[Suite]) -> dict[str, Any]:
        """What the suite of a kind has to know of the component."""
        kind = self.component.kind
        try:
            made = suite().component
        except (Exception, SystemExit):
            return {}  # the suite's checks say why
        shape = {
            n: v for n in ("num_layers", "latent_dim", "layout") if (v := getattr(made, n, None)) is not None
        }
        if kind in (Kind.RIG, Kind.EDITOR):
            return {name: value for name, value in shape.items() if kind is Kind.EDITOR or name != "layout"}
        if kind is Kind.INVERTER:
            generator = suite().context.inner.get(Kind.GENERATOR)  # type: ignore[attr-defined]
            return {
                "num_layers": generator.num_layers,
                "latent_dim": generator.latent_dim,
                "sizes": (generator.resolution,),
            }
        if kind in (Kind.FEATURES, Kind.LANDMARKS):
            return {"sizes": (64, 96)}
        if kind is Kind.ALIGNER:
            return _photo(made)
        return {}


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
