"""Declares `pie doctor`."""

from __future__ import annotations

from pie_framework.api import Command
from pie_framework.hookspecs import hookimpl

#: The version of the plugin contract that this plugin was written for.
API = (1, 1)


@hookimpl
def pie_commands() -> list[Command]:
    return [
        Command(
            "doctor",
            "pie_doctor.command:main",
            "whether a run can go, with which files and licences: pie doctor ...",
            api_version=API,
        )
    ]
