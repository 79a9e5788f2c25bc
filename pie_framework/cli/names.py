"""The sub-commands of `pie` that ship: their names are no plugin's. Imports nothing."""

from __future__ import annotations

#: Sub-commands with their module and what they do.
COMMANDS = {
    "run": ("pie_framework.cli.run", "embed a portrait: pie run energy=full generator=stylegan2"),
    "edit": ("pie_framework.cli.edit", "edit an embedded portrait: pie edit outputs/RUN rotation.yaw=15"),
    "bench": (
        "pie_framework.cli.bench",
        "measure methods against true edits: pie bench set=smoke | pie bench models",
    ),
    "assets": (
        "pie_framework.cli.assets",
        "get checkpoints of others: pie assets list | show | pull | add | verify",
    ),
    "convert": (
        "pie_framework.cli.convert",
        "turn a foreign checkpoint into safetensors: pie convert ffhq.pkl ffhq.safetensors",
    ),
    "doctor": (
        "pie_framework.cli.doctor",
        "whether a run can go, with which files and licences: pie doctor ...",
    ),
    "plugins": (
        "pie_framework.cli.plugins",
        "list, show, write and check plugins: pie plugins list | new NAME | check NAME",
    ),
    "train": ("pie_framework.cli.train", "train a model from its recipe: pie train NAME key=value ..."),
}
