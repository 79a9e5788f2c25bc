"""The sub-commands of `pie` that are its own; all others come from plugins. Imports nothing."""

from __future__ import annotations

#: Sub-commands with their module and what they do.
COMMANDS = {
    "run": ("pie_framework.cli.run", "embed a portrait: pie run energy=full generator=stylegan2"),
    "edit": ("pie_framework.cli.edit", "edit an embedded portrait: pie edit outputs/RUN rotation.yaw=15"),
    "plugins": (
        "pie_framework.cli.plugins.listing",
        "list, show, write and check plugins: pie plugins list | new NAME | check NAME",
    ),
}
