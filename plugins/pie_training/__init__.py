"""What training recipes share: settings, the engine, augmentation. It imports no torch."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pie_training.readers import PortraitReader
    from pie_training.settings import EngineSettings, Product, TrainerSettings

__all__ = ["EngineSettings", "PortraitReader", "Product", "TrainerSettings"]

#: Where each name is found; nothing is imported before it is asked for, so that declaring `pie train` costs nothing.
_HOMES = {
    "EngineSettings": "pie_training.settings",
    "PortraitReader": "pie_training.readers",
    "Product": "pie_training.settings",
    "TrainerSettings": "pie_training.settings",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'pie_training' has no attribute '{name}'")
    return getattr(importlib.import_module(_HOMES[name]), name)
