"""Tab completion: `eval "$(pie -sc install=bash)"`; sub-commands here, the rest by Hydra."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Sequence
from typing import Any

from pie_framework.cli.names import COMMANDS


def complete(arguments: Sequence[str]) -> int:
    """Answer the shell: install or uninstall the rule, or list what can follow the line typed so far."""
    line = os.environ.get("COMP_LINE", "")
    words = line.split()
    asking = any(word.startswith("query=") for word in arguments)
    typed = len(words) + (1 if line.endswith(" ") or not words else 0)
    if asking and typed <= 2:
        from pie_framework.cli.commands import foreign, shipped
        from pie_framework.plugins import installed_plugins

        points = installed_plugins()
        print(" ".join([*COMMANDS, *shipped(points), *foreign(points)]))
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
        from pie_framework.cli.plugins.listing import SUBCOMMANDS

        return [*SUBCOMMANDS, *sorted({name for name, _ in discover().named()})]
    if command == "assets":
        from pie_framework.assets.catalogue import load

        return ["list", "show", "pull", "add", "verify", "path", *load().entries]
    if command == "train":
        return [name for name, _ in discover().named(Kind.TRAINER)]
    return []


def _ask_hydra(arguments: Sequence[str]) -> int:
    """Hydra answers; what is typed after it may be half a word or wrong, and the shell shows no errors."""
    from hydra.core.global_hydra import GlobalHydra

    from pie_framework.composition import compose

    compose.prepare()
    before = sys.argv
    sys.argv = ["pie", *arguments]  # what is installed calls the program by its name
    try:
        with contextlib.suppress(Exception), compose.initialised():
            hydra = GlobalHydra.instance().hydra
            assert hydra is not None
            hydra.config_loader = _Completed(hydra.config_loader)  # type: ignore[assignment]
            hydra.shell_completion(compose.CONFIG_NAME, list(arguments))
    finally:
        sys.argv = before
    return 0


class _Completed:
    """Hydra's loader of configurations, but with all settings of the components in what it composes."""

    def __init__(self, loader: Any) -> None:
        self._loader = loader

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)

    def load_configuration(self, config_name: str, overrides: list[str], run_mode: Any) -> Any:
        from pie_framework.composition import backbone
        from pie_framework.composition import components as component_settings
        from pie_framework.errors import PieError
        from pie_framework.plugins import discover

        def composed(words: Sequence[str]) -> Any:
            return self._loader.load_configuration(config_name, component_settings.opened(words), run_mode)

        words = backbone.expand(overrides)
        config = composed(words)
        with contextlib.suppress(PieError):
            component_settings.complete(config, discover(), words, composed)
        return config
