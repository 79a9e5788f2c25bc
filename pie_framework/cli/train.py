"""`pie train NAME key=value ...`: runs a plugin's training recipe."""

from __future__ import annotations

from collections.abc import Sequence

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from pie_framework.api.component import Component, Kind
from pie_framework.cli.plugins import settings_of
from pie_framework.config import merge
from pie_framework.errors import ConfigError
from pie_framework.plugins import Registry, discover

USAGE = """usage: pie train NAME [KEY=VALUE ...]
       pie train NAME --help

Trains a model from its recipe.
  device=auto|cpu|cuda[:N] and dtype=float32|float64 say where, for recipes without such settings of their own.
  compose=[KEY=VALUE,...] chooses the components that a recipe uses, as `pie run` would."""

#: Settings of the run rather than of the recipe, with their defaults.
WHERE = {"device": "auto", "dtype": "float32"}
#: Overrides of the composition that a recipe takes its components from.
COMPOSE = "compose"


def main(arguments: Sequence[str]) -> int:
    """Returns the recipe's exit status, 0 when it gives none."""
    words = list(arguments)
    registry = discover()
    if not words or words[0] in ("-h", "--help"):
        print(USAGE + "\n\nrecipes:")
        for component in registry.components(Kind.TRAINER):
            print(f"  {component.name:<14}{component.summary}")
        return 0
    trainer = registry.get(Kind.TRAINER, words[0])
    if any(word in ("-h", "--help") for word in words[1:]):
        print(_explain(trainer))
        return 0
    return train(trainer, words[1:], registry)


def train(trainer: Component, overrides: Sequence[str], registry: Registry) -> int:
    """Run a recipe with its settings overridden; ConfigError names a setting it does not have."""
    own = {name for name, _, _ in settings_of(trainer)}
    values = _parse(overrides)
    where = {key: values.pop(key, default) for key, default in WHERE.items() if key not in own}
    composed = values.pop(COMPOSE, []) if COMPOSE not in own else []
    if not isinstance(composed, list):
        raise ConfigError(
            f"{COMPOSE} is '{composed}', not a list", "For example: compose=[inverter=embedded]."
        )
    settings: object = merge(trainer.config, values)
    recipe = trainer.load()

    from pie_framework.build import Builder
    from pie_framework.compose import compose

    given = [*(f"{key}={value}" for key, value in where.items()), *map(str, composed)]
    context = Builder(compose(given, registry), registry)
    result = recipe(settings, context)
    return result if isinstance(result, int) else 0


def _parse(overrides: Sequence[str]) -> dict[str, object]:
    for word in overrides:
        key, equals, _ = word.partition("=")
        if not equals or not key:
            raise ConfigError(f"'{word}' is not KEY=VALUE", "For example: seed=3.")
    try:
        values = OmegaConf.to_container(OmegaConf.from_dotlist(list(overrides)))
    except (OmegaConfBaseException, ValueError) as error:
        raise ConfigError(f"the settings cannot be read: {error}") from error
    assert isinstance(values, dict)
    return {str(key): value for key, value in values.items()}


def _explain(trainer: Component) -> str:
    fields = settings_of(trainer)
    lines = [f"usage: pie train {trainer.name} [KEY=VALUE ...]", "", trainer.summary, "", "settings:"]
    lines += [f"  {name}={default}  ({kind})" for name, kind, default in fields]
    own = {name for name, _, _ in fields}
    if COMPOSE not in own:
        lines.append(f"  {COMPOSE}=[]  (overrides that choose the components it uses)")
    lines += [f"  {key}={value!r}  (where it runs)" for key, value in WHERE.items() if key not in own]
    if trainer.config.__doc__:
        lines += ["", trainer.config.__doc__.strip()]
    return "\n".join(lines)
