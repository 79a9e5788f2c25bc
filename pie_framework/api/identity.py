"""Which generator a network was trained for, as its weight file tells it. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pie_framework.api.models import Generator

SHAPE = ("resolution", "num_layers", "latent_dim")
#: Weights that are looked at, and how far rounding may move what is noted of them.
LARGEST, TOLERANCE = 24, 2e-3


def generator_identity(generator: Generator) -> dict[str, Any]:
    """Shape and fingerprint of a generator, JSON values.

    The fingerprint holds the standard deviations of its largest weights: it is the same for the same weights in another
    file, in half precision or on another device, and differs between generators that were trained apart.
    """
    parameters = getattr(generator, "parameters", None)
    largest = sorted(
        (p for p in parameters() if p.numel() > 1) if callable(parameters) else [],
        key=lambda p: (-p.numel(), tuple(p.shape)),
    )[:LARGEST]
    fingerprint = sorted(float(p.detach().double().std()) for p in largest)
    return {**{name: getattr(generator, name) for name in SHAPE}, "fingerprint": fingerprint}


def difference(noted: Mapping[str, Any], generator: Generator) -> str:
    """In which shape a generator differs from the noted one, in words; empty if in none."""
    apart = [
        f"{name} {noted[name]}, not {getattr(generator, name)}"
        for name in SHAPE
        if name in noted and noted[name] != getattr(generator, name)
    ]
    return ", ".join(apart)


def same_weights(noted: Mapping[str, Any], generator: Generator) -> bool:
    """Whether the fingerprint fits; True where none was noted."""
    wanted = list(noted.get("fingerprint") or [])
    if not wanted:
        return True
    fingerprint = generator_identity(generator)["fingerprint"]
    return len(fingerprint) == len(wanted) and all(
        abs(a - b) <= TOLERANCE * max(abs(a), abs(b), 1e-6) for a, b in zip(fingerprint, wanted, strict=True)
    )
