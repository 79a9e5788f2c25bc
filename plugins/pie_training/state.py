"""A training state in a file: written all or nothing, read without running anything of it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import torch

from pie_framework.errors import RunError
from pie_framework.files.io import atomic_path

StrPath = str | os.PathLike[str]


def save_state(path: StrPath, state: Mapping[str, Any]) -> None:
    """Write a training state (tensors, numbers, text, and lists and dicts of them), all or nothing."""
    with atomic_path(path) as temporary:
        torch.save(dict(state), temporary)


def load_state(path: StrPath) -> dict[str, Any]:
    """Read what `save_state` wrote; RunError when it cannot be read. Runs no code from the file."""
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # damaged files raise anything
        reason = error.strerror if isinstance(error, OSError) else type(error).__name__
        raise RunError(
            f"{path} cannot be read as a training state ({reason})", "Delete it to start again."
        ) from error
    if not isinstance(state, dict):
        raise RunError(f"{path} is not a training state", "Delete it to start again.")
    return state
