"""Declares `pie bench` and the configuration that comes with it."""

from __future__ import annotations

from pie_framework.api import Command
from pie_framework.hookspecs import hookimpl

#: The version of the plugin contract that this plugin was written for.
API = (1, 1)


@hookimpl
def pie_commands() -> list[Command]:
    return [
        Command(
            "bench",
            "pie_bench.command:main",
            "measure methods against true edits: pie bench set=smoke | pie bench models",
            api_version=API,
        )
    ]


@hookimpl
def pie_config_paths() -> list[str]:
    return ["pie_bench.conf"]
