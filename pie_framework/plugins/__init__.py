"""What the installed plugins offer, what is wrong with them, and whose fault an error is. Imports no torch."""

from __future__ import annotations

from pie_framework.plugins.blame import blame, culprit, message_of, missing_package, naming_missing_packages
from pie_framework.plugins.discovery import (
    COMMANDS_GROUP,
    ENTRY_POINT_GROUP,
    ENVIRONMENT_VARIABLE,
    config_folders,
    core_config,
    discover,
    installed_plugins,
)
from pie_framework.plugins.observers import Observers
from pie_framework.plugins.records import PluginProblem, Provenance
from pie_framework.plugins.registry import Registry, parse_kind

__all__ = [
    "COMMANDS_GROUP",
    "ENTRY_POINT_GROUP",
    "ENVIRONMENT_VARIABLE",
    "Observers",
    "PluginProblem",
    "Provenance",
    "Registry",
    "blame",
    "config_folders",
    "core_config",
    "culprit",
    "discover",
    "installed_plugins",
    "message_of",
    "missing_package",
    "naming_missing_packages",
    "parse_kind",
]
