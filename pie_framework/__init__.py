"""PIE: portrait image embedding for semantic control."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pie_framework.version import __version__ as __version__

if TYPE_CHECKING:
    from pie_framework.editing.edit import EditResult
    from pie_framework.errors import PieError
    from pie_framework.pipeline import Embedding, Pipeline, Portrait

__all__ = ["EditResult", "Embedding", "PieError", "Pipeline", "Portrait"]

#: Where each public name is found; nothing is imported before it is asked for.
_HOMES = {
    "EditResult": "pie_framework.editing.edit",
    "Embedding": "pie_framework.pipeline",
    "PieError": "pie_framework.errors",
    "Pipeline": "pie_framework.pipeline",
    "Portrait": "pie_framework.pipeline",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'pie_framework' has no attribute '{name}'")
    import importlib

    return getattr(importlib.import_module(_HOMES[name]), name)
