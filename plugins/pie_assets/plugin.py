"""Declares `pie assets`, `pie convert` and the catalogue of public checkpoints."""

from __future__ import annotations

from pie_framework.api import Command
from pie_framework.hookspecs import hookimpl

#: The version of the plugin contract that this plugin was written for.
API = (1, 1)


@hookimpl
def pie_commands() -> list[Command]:
    return [
        Command(
            "assets",
            "pie_assets.command:main",
            "get checkpoints of others: pie assets list | show | pull | add | verify",
            api_version=API,
        ),
        Command(
            "convert",
            "pie_assets.convert:main",
            "turn a foreign checkpoint into safetensors: pie convert ffhq.pkl ffhq.safetensors",
            api_version=API,
        ),
    ]


@hookimpl
def pie_asset_catalogues() -> list[str]:
    return ["pkg://pie_assets/catalogue.yaml"]
