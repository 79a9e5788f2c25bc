"""`pie train NAME key=value ...`: runs a plugin's training recipe."""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Sequence

from pie_framework.api import Component, Kind
from pie_framework.errors import ConfigError
from pie_framework.plugins import discover
from pie_framework.settings import described
from pie_training import backbone
from pie_training.running import COMPOSE, train

USAGE = """usage: pie train NAME [KEY=VALUE ...]
       pie train NAME --help

Trains a model from its recipe. A KEY that is no setting of the recipe is one of `pie run`: it says which components
the recipe uses, and where.
  pie train encoder generator=stylegan2 generator.weights=ffhq.pkl face_model=ict face_model.path=DIR steps=20000
  device=auto|cpu|cuda[:N] and dtype=float32|float64 say where.
  compose=[KEY=VALUE,...] chooses components too, where a key is also a setting of the recipe.
  torchrun --nproc-per-node=N -m pie_framework.cli.main train ... trains in several processes."""

#: Settings of the run that are shown with every recipe that has none of that name, with their defaults.
WHERE = {"device": "auto", "dtype": "float32"}


def main(arguments: Sequence[str]) -> int:
    """Returns the recipe's exit status, 0 when it gives none."""
    words = list(arguments)
    registry = discover()
    if not words or words[0] in ("-h", "--help"):
        print(USAGE + "\n\nrecipes:")
        for name, component in registry.named(Kind.TRAINER):
            print(f"  {name:<14}{component.summary}")
        print(f"  {backbone.NAME:<14}{backbone.SUMMARY}")
        return 0
    if words[0] == backbone.NAME:
        return backbone.main(words[1:], registry)
    known = [name for name, _ in registry.named(Kind.TRAINER)]
    if words[0] not in known and difflib.get_close_matches(words[0], [backbone.NAME], cutoff=0.7):
        raise ConfigError(f"there is no trainer named '{words[0]}'", f"Did you mean '{backbone.NAME}'?")
    trainer = registry.get(Kind.TRAINER, words[0])
    if any(word in ("-h", "--help") for word in words[1:]):
        print(_explain(trainer))
        return 0
    return train(trainer, words[1:], registry)


def _explain(trainer: Component) -> str:
    fields = described(trainer.config)
    lines = [f"usage: pie train {trainer.name} [KEY=VALUE ...]", "", trainer.summary, "", "settings:"]
    lines += [f"  {name}={default}  ({kind})" for name, kind, default in fields]
    own = {name for name, _, _ in fields}
    if COMPOSE not in own:
        lines.append(f"  {COMPOSE}=[]  (keys of `pie run` that choose the components it uses)")
    lines += [f"  {key}={value!r}  (where it runs)" for key, value in WHERE.items() if key not in own]
    for schema in trainer.config.__mro__:
        if dataclasses.is_dataclass(schema) and schema.__doc__:
            lines += ["", schema.__doc__.strip()]
    return "\n".join(lines)
