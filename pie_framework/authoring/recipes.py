"""What `pie plugins new` can make: one recipe for each kind. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pie_framework.api import Kind


@dataclass(frozen=True)
class Recipe:
    """How a distribution of one kind is written.

    Attributes:
        words: what it makes, in words.
        summary: the component's summary.
        use: the command that uses it; NAME stands for its name.
        kind: of the component; None for what is no component.
        module: of the component, in the package.
        requires: of the declaration.
        group: the folder under conf/ that its configuration is an option of; empty where it has none.
    """

    words: str
    summary: str
    use: str
    kind: Kind | None = None
    module: str = ""
    requires: tuple[str, ...] = ()
    group: str = ""

    @property
    def suite(self) -> str:
        """Name of its conformance suite."""
        return "" if self.kind is None else self.kind.suite


RECIPES: Mapping[str, Recipe] = {
    "energy": Recipe(
        "energy term",
        "The latent stays near the mean of the generator's prior.",
        "pie run energy=NAME",
        Kind.ENERGY,
        "term",
        group="energy",
    ),
    "generator": Recipe(
        "generator",
        "Another generator whose samples are drawn nearer to the mean of its prior.",
        "pie run generator=NAME",
        Kind.GENERATOR,
        "generator",
        group="generator",
    ),
    "encoder": Recipe(
        "face encoder",
        "Another encoder, asked for a portrait and for slightly shifted copies of it.",
        "pie run encoder=NAME",
        Kind.ENCODER,
        "encoder",
        group="encoder",
    ),
    "face_model": Recipe(
        "face model",
        "Another face model with stronger expressions: a caricature.",
        "pie run face_model=NAME",
        Kind.FACE_MODEL,
        "face_model",
        group="face_model",
    ),
    "rig": Recipe(
        "rig network",
        "A linear rig, fitted to samples of the run's generator when it is built.",
        "pie run rig=NAME",
        Kind.RIG,
        "rig",
        ("encoder", "generator"),
        "rig",
    ),
    "features": Recipe(
        "feature network",
        "Edges at several sizes: a perceptual distance without weights.",
        "pie run features/perceptual=NAME",
        Kind.FEATURES,
        "features",
        group="features/perceptual",
    ),
    "landmarks": Recipe(
        "landmark detector",
        "Another detector, asked for a portrait and for slightly shifted copies of it.",
        "pie run landmarks=NAME",
        Kind.LANDMARKS,
        "landmarks",
        group="landmarks",
    ),
    "aligner": Recipe(
        "aligner",
        "The square in the middle of the photo, a little nearer.",
        "pie run aligner=NAME",
        Kind.ALIGNER,
        "aligner",
        group="aligner",
    ),
    "optimizer": Recipe(
        "optimizer",
        "Gradient descent with momentum on gradients of length one.",
        "pie run optimizer=NAME",
        Kind.OPTIMIZER,
        "optimizer",
        group="optimizer",
    ),
    "observer": Recipe("observer", "Writes a line per check into the run folder.", "pie run"),
    "command": Recipe("command", "Lists the runs in a folder.", "pie NAME"),
}
