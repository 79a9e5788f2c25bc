"""A training recipe as a plain command: one option per setting."""

from __future__ import annotations

import argparse
import dataclasses
import sys
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from pie_framework.errors import PieError
from pie_training.settings import TrainerSettings

S = TypeVar("S", bound=TrainerSettings)


def parse_settings(kind: type[S], arguments: Sequence[str] | None, description: str) -> S:
    """Settings from `--name value` options; yes/no settings are `--name` and `--no-name`."""
    parser = argparse.ArgumentParser(description=description)
    for field in dataclasses.fields(kind):
        option, default = f"--{field.name.replace('_', '-')}", field.default
        if isinstance(default, bool):
            parser.add_argument(option, action=argparse.BooleanOptionalAction, default=default)
        elif isinstance(default, tuple):
            parser.add_argument(option, nargs="*", type=type(default[0]) if default else str, default=default)
        else:
            parser.add_argument(option, type=type(default), default=default)
    given: dict[str, Any] = vars(parser.parse_args(arguments))
    values: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in given.items()}
    return kind(**values)


def command(
    kind: type[S], run: Callable[[S, Any], Any], description: str, arguments: Sequence[str] | None = None
) -> int:
    """Run a recipe from the command line; returns the exit status, 2 for an error of the input."""
    try:
        run(parse_settings(kind, arguments, description), None)
    except PieError as error:
        print(error, file=sys.stderr)
        return 2
    return 0
