"""Puts conf/ into the wheel as pie_framework/conf; an editable install reads it where it lies."""

from __future__ import annotations

from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class ConfigurationHook(BuildHookInterface):  # type: ignore[type-arg]
    """Told of every build of a wheel."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Add the folder, unless the version of the wheel is "editable"."""
        if version != "editable":
            build_data["force_include"]["conf"] = "pie_framework/conf"
