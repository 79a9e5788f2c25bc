"""Tab completion: `eval "$(pie -sc install=bash)"`; sub-commands here, the rest by Hydra."""

from __future__ import annotations

import os
from collections.abc import Sequence

from pie_framework.cli.main import COMMANDS


def complete(arguments: Sequence[str]) -> int:
    """Answer the shell: install or uninstall the rule, or list what can follow the line typed so far."""
    line = os.environ.get("COMP_LINE", "")
    words = line.split()
    asking = any(word.startswith("query=") for word in arguments)
    typed = len(words) + (1 if line.endswith(" ") or not words else 0)
    if asking and typed <= 2:
        from pie_framework.cli.commands import foreign

        print(" ".join([*COMMANDS, *foreign()]))
        return 0
    if asking and words[1] not in ("run", "doctor"):
        print(" ".join(_others(words[1])))
        return 0
    if asking:
        rest = line.split(None, 2)
        os.environ["COMP_LINE"] = f"{words[0]} {rest[2] if len(rest) > 2 else ''}"
        os.environ["COMP_POINT"] = str(len(os.environ["COMP_LINE"]))
    return _ask_hydra(arguments)


def _others(command: str) -> list[str]:
    """What can follow a sub-command that takes no configuration."""
    from pie_framework.api import Kind
    from pie_framework.plugins import discover

    if command == "plugins":
        from pie_framework.cli.plugins import SUBCOMMANDS

        return [*SUBCOMMANDS, *sorted({name for name, _ in discover().named()})]
    if command == "assets":
        from pie_framework.assets.catalogue import load
        from pie_framework.cli.assets import WORDS

        return [*WORDS, *load().entries]
    if command == "train":
        return [c.name for c in discover().components(Kind.TRAINER)]
    return []


def _ask_hydra(arguments: Sequence[str]) -> int:
    from omegaconf import DictConfig

    from pie_framework import compose
    from pie_framework.plugins import discover

    compose.prepare(discover())

    def nothing(config: DictConfig) -> None:
        """Only completes."""

    return compose.start(nothing, "pie", ["-sc", *arguments])
