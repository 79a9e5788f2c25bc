"""Declares `pie train`."""

from __future__ import annotations

from pie_framework.api import Command
from pie_framework.hookspecs import hookimpl

#: The version of the plugin contract that this plugin was written for.
API = (1, 1)


@hookimpl
def pie_commands() -> list[Command]:
    return [
        Command(
            "train",
            "pie_training.command_line:main",
            "train a model from its recipe: pie train NAME key=value ...",
            api_version=API,
        )
    ]
