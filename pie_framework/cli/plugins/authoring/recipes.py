"""What `pie plugins new` can make: one recipe for each kind. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pie_framework.api import Kind
from pie_framework.cli.plugins.authoring.subjects import COMMAND, OBSERVER


@dataclass(frozen=True)
class Recipe:
    """How a distribution of one kind is written.

    Attributes:
        words: what it makes, in words.
        summary: the component's summary.
        kind: of the component; None for what is no component.
        module: in the package, what does the work.
        requires: of the declaration.
        groups: folders under conf/ that it has an option in, the one that is used first.
        use: the command that uses it; NAME stands for its name.
    """

    words: str
    summary: str
    kind: Kind | None
    module: str
    requires: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    use: str = ""

    @property
    def suite(self) -> str:
        """Name of its conformance suite."""
        return "" if self.kind is None else self.kind.suite


def _component(
    kind: Kind,
    words: str,
    summary: str,
    module: str = "",
    requires: tuple[str, ...] = (),
    groups: tuple[str, ...] = (),
) -> Recipe:
    """A recipe for a component; module and group are called as the kind unless they are given."""
    groups = groups or (kind.value,)
    return Recipe(words, summary, kind, module or kind.value, requires, groups, f"pie run {groups[0]}=NAME")


_COMPONENTS = (
    _component(
        Kind.ENERGY,
        "energy term",
        "The latent stays near the mean of the generator's prior.",
        module="term",
        groups=("energy", "method"),
    ),
    _component(
        Kind.GENERATOR,
        "generator",
        "Another generator whose samples are drawn nearer to the mean of its prior.",
    ),
    _component(
        Kind.ENCODER,
        "face encoder",
        "Another encoder, asked for a portrait and for slightly shifted copies of it.",
    ),
    _component(
        Kind.FACE_MODEL,
        "face model",
        "Another face model with stronger expressions: a caricature.",
    ),
    _component(
        Kind.RIG,
        "rig network",
        "A linear rig, fitted to samples of the run's generator when it is built.",
        requires=("encoder", "generator"),
    ),
    _component(
        Kind.FEATURES,
        "feature network",
        "Edges at several sizes: a perceptual distance without weights.",
        groups=("features/perceptual",),
    ),
    _component(
        Kind.LANDMARKS,
        "landmark detector",
        "Another detector, asked for a portrait and for slightly shifted copies of it.",
    ),
    _component(Kind.ALIGNER, "aligner", "The square in the middle of the photo, a little nearer."),
    _component(
        Kind.OPTIMIZER,
        "optimizer",
        "Gradient descent with momentum on gradients of length one.",
    ),
)

#: By what `--kind` takes.
RECIPES: Mapping[str, Recipe] = {
    **{str(recipe.kind): recipe for recipe in _COMPONENTS},
    OBSERVER: Recipe(
        "observer", "Writes a line per check into the run folder.", None, "plugin", use="pie run"
    ),
    COMMAND: Recipe("command", "Lists the runs in a folder.", None, "command", use="pie NAME"),
}
