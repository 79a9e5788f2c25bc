"""Help for the tests of plugin authors: toy components with exact answers, and conformance suites.

Importing it imports no torch; `toy_context` does when it is first asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pie_framework.testing._context import toy_context

__all__ = ["toy_context"]


def __getattr__(name: str) -> Any:
    if name == "toy_context":
        from pie_framework.testing._context import toy_context

        return toy_context
    raise AttributeError(f"module 'pie_framework.testing' has no attribute '{name}'")
