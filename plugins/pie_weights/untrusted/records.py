"""What the readers of foreign files share: the error and the inert objects."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pie_framework.errors import AssetError


class UntrustedFileError(AssetError):
    """A foreign file that asks for more than data, lies about its sizes, or is damaged. Nothing of it has run.

    Messages may quote the file: whatever is not printable is replaced, and what is too long is cut.
    """

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(_printable(message), hint if hint is None else _printable(hint))


def _printable(text: str, limit: int = 600) -> str:
    clean = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text[:limit])
    return clean if len(text) <= limit else clean + "..."


@dataclass(eq=False, slots=True)
class Record:
    """A call that a file asks for, or an object of a class it names, as inert data: nothing is imported or called.

    Attributes:
        name: "module.class" as the file has it.
        args: what the class was called with.
        state: what would have become its attributes, or None.
        entries: items set on it, as of a dictionary.
    """

    name: str
    args: tuple[Any, ...] = ()
    state: Any = None
    entries: dict[Any, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Name:
    """A "module.name" that a file mentions and a reader knows; it is never looked up."""

    text: str


#: Names that a reader knows beside those of tensors and arrays: a function of the arguments, or None for a `Record`.
Allowed = Mapping[str, Callable[[tuple[Any, ...]], Any] | None]
