"""A recipe with words KEY=VALUE: its own settings, and those of the composition that it takes its components from."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from pie_framework import arguments
from pie_framework.api import Component, Kind
from pie_framework.errors import ConfigError, did_you_mean
from pie_framework.plugins import Registry, boundary
from pie_framework.settings import described

#: Overrides of the composition that a recipe takes its components from.
COMPOSE = "compose"


def train(trainer: Component, overrides: Sequence[str], registry: Registry) -> int:
    """Run a recipe with its settings overridden, on the components of the composition.

    Raises:
        ConfigError: a key that neither the recipe nor the composition has; it names the near ones of both.
        PluginError: the recipe cannot be loaded, or failed.
    """
    settings, composed = read(trainer, overrides, registry)
    recipe = boundary.load(registry, trainer)

    from pie_framework.composition.build import Builder
    from pie_framework.composition.compose import compose

    context = Builder(compose(composed, registry), registry)
    # of a file that is not there `pie` itself says whose fault it is
    result = boundary.call(registry, trainer, "failed", recipe, settings, context, through=(OSError,))
    return result if isinstance(result, int) else 0


def read(trainer: Component, overrides: Sequence[str], registry: Registry) -> tuple[Any, list[str]]:
    """A recipe's settings, and the overrides that are the composition's; ConfigError as for `train`."""
    own, composed = divide(trainer, overrides, registry)
    settings: Any = registry.settings(trainer, arguments.settings(own))
    if getattr(settings, "reader", None) == "":
        settings = dataclasses.replace(settings, reader=reader_of(registry))
    return settings, composed


def reader_of(registry: Registry) -> str:
    """What opens a folder of portraits where no reader is given: the `portrait_reader` that an installed recipe for
    portraits declares as a class attribute of its settings; empty where none or several do."""
    trainers = registry.components(Kind.TRAINER)
    declared = {getattr(trainer.config, "portrait_reader", "") for trainer in trainers} - {""}
    return declared.pop() if len(declared) == 1 else ""


def divide(trainer: Component, overrides: Sequence[str], registry: Registry) -> tuple[list[str], list[str]]:
    """Which of the words KEY=VALUE are the recipe's, and which the composition's, each in their order.

    A key is the recipe's when its first part is one of the recipe's settings (and, for `a.b`, that setting has
    parts); otherwise it must be a group or a key of the composition.
    """
    settings, groups = _own_names(trainer)
    own: list[str] = []
    composed: list[str] = []
    known: list[str] | None = None
    for word in overrides:
        key, equals, _ = word.partition("=")
        if not key or (not equals and not key.startswith("~")):
            raise ConfigError(f"'{word}' is not KEY=VALUE", "For example: seed=3.")
        first, dot, _ = key.lstrip("+~").partition(".")
        first = first.partition("@")[0].partition("/")[0]
        if key[0] not in "+~" and first in (groups if dot else settings):
            own.append(word)
        elif key == COMPOSE:
            composed += _composed(word)
        else:
            if known is None:
                from pie_framework.composition.compose import root_names

                known = root_names(registry)
            if first not in known and key[0] not in "+~":
                raise ConfigError(f"there is no setting '{key}'", did_you_mean(first, [*settings, *known]))
            composed.append(word)
    return own, composed


def _own_names(trainer: Component) -> tuple[set[str], set[str]]:
    """The recipe's settings, and those of them that have parts."""
    fields = described(trainer.config)
    names = {name.partition(".")[0] for name, _, _ in fields}
    parts = {name.partition(".")[0] for name, _, _ in fields if "." in name}
    return names, parts | {name for name, kind, _ in fields if kind.startswith("dict")}


def _composed(word: str) -> list[str]:
    given = arguments.settings([word])[COMPOSE]
    if not isinstance(given, list):
        raise ConfigError(f"{COMPOSE} is '{given}', not a list", "For example: compose=[inverter=embedded].")
    return [str(value) for value in given]
