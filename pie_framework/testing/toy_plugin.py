"""The toy world as a plugin: every kind of network as a component named `toy`. Imports no model code.

registry = discover(entry_points=[*entry_points(group="pie_framework"), TOYS])
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import EntryPoint

from pie_framework.api import Component, EmptyConfig, Kind
from pie_framework.hookspecs import hookimpl

#: What an installed distribution would declare.
TOYS = EntryPoint(name="toys", value="pie_framework.testing.toy_plugin", group="pie_framework")


@dataclass(frozen=True)
class ToyRigConfig:
    """Settings of the toy rig.

    Attributes:
        block: the block it edits.
        strength: how much of the way it goes; 1 does exactly what is asked.
    """

    block: str = "rotation"
    strength: float = 1.0


@dataclass(frozen=True)
class ToyFeaturesConfig:
    """Settings of the toy features.

    Attributes:
        seed: of the random projection.
    """

    seed: int = 2


_FACTORIES = "pie_framework.testing.toy_factories"


def _toy(kind: Kind, config: type = EmptyConfig, requires: frozenset[str] = frozenset()) -> Component:
    return Component(
        kind,
        "toy",
        f"{_FACTORIES}:{kind.value}",
        config=config,
        summary="Exact and linear; for tests.",
        requires=requires,
        api_version=(1, 1),
    )


@hookimpl
def pie_components() -> list[Component]:
    return [
        _toy(Kind.GENERATOR, requires=frozenset({"face_model"})),
        _toy(Kind.FACE_MODEL),
        _toy(Kind.ENCODER, requires=frozenset({"face_model"})),
        _toy(Kind.INVERTER, requires=frozenset({"generator"})),
        _toy(Kind.RIG, ToyRigConfig),
        _toy(Kind.EDITOR, requires=frozenset({"rig"})),
        _toy(Kind.FEATURES, ToyFeaturesConfig, frozenset({"face_model"})),
        _toy(Kind.LANDMARKS, requires=frozenset({"face_model"})),
        _toy(Kind.SCENES, requires=frozenset({"face_model"})),
    ]
