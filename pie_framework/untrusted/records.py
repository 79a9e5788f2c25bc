"""What the readers of foreign files share: the error, the limits, the budget and the inert objects.

Imports no torch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pie_framework.errors import AssetError

MIB = 1 << 20


class UntrustedFileError(AssetError):
    """A foreign file that asks for more than data, lies about its sizes, or is damaged. Nothing of it has run.

    Messages may quote the file: whatever is not printable is replaced, and what is too long is cut.
    """

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(printable(message), hint if hint is None else printable(hint))


def printable(text: str, limit: int = 600) -> str:
    """The text in one line without control characters, at most `limit` characters."""
    clean = "".join(
        letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text[:limit]
    )
    return clean if len(text) <= limit else clean + "..."


@dataclass(frozen=True)
class Limits:
    """How much a file may ask for. Sizes that are backed by bytes of the file need no limit of their own.

    Attributes:
        opcodes: instructions of its pickles, those nested in storages included.
        containers: lists, dictionaries, sets and records that they make.
        depth: nesting of containers in the result.
        expanded: entries of the result when everything that is shared is counted wherever it appears.
        text: characters of one string.
        number: bytes of one integer.
        header: bytes of the header of a safetensors file, and of the directory of a zip file.
        copies: bytes of all tensors and arrays together, as a multiple of the file's size (several may share a
            storage), plus `slack` bytes.
        slack: see above.
    """

    opcodes: int = 1_000_000
    containers: int = 200_000
    depth: int = 100
    expanded: int = 1_000_000
    text: int = 16 * MIB
    number: int = 16
    header: int = 8 * MIB
    copies: int = 4
    slack: int = 16 * MIB


@dataclass(eq=False)
class Record:
    """An object of a class that the caller knows by name, as inert data: no such class is imported or made.

    Attributes:
        name: "module.class" as the file has it.
        args: what the class was called with.
        state: what would have become its attributes, or None.
        entries: items set on it, as of a dictionary.
        elements: items appended to it, as of a list.
    """

    name: str
    args: tuple[Any, ...] = ()
    state: Any = None
    entries: dict[Any, Any] = field(default_factory=dict)
    elements: list[Any] = field(default_factory=list)


@dataclass(frozen=True)
class Name:
    """A "module.name" that a file mentions and a reader knows; it is never looked up."""

    text: str


class Part:
    """What a value is made from: in a finished result there is none left."""


#: Makes the value of a call from its arguments; None stands for an inert Record.
Handler = Callable[[tuple[Any, ...]], Any]
Allowed = Mapping[str, "Handler | None"]


class Budget:
    """What is left of the limits while one file is read, its nested parts included."""

    def __init__(self, limits: Limits, file_size: int) -> None:
        self.limits = limits
        self.opcodes = limits.opcodes
        self.containers = limits.containers
        self.bytes = limits.copies * file_size + limits.slack

    def container(self) -> None:
        """One more list, dictionary, set or record."""
        self.containers -= 1
        if self.containers < 0:
            raise UntrustedFileError(f"it makes more than {self.limits.containers} containers")

    def data(self, size: int, what: str) -> None:
        """`size` more bytes of tensors or arrays."""
        self.bytes -= size
        if self.bytes < 0:
            raise UntrustedFileError(
                f"{what} asks for more memory than the file can fill: its parts name the same data over and over"
            )


def check_tree(root: object, limits: Limits) -> None:
    """Refuse a result that is unfinished, nested too deep, contains itself, or is small only because it is shared.

    Every distinct container is visited once, without recursion.
    """
    done: dict[int, tuple[int, int]] = {}
    open_: set[int] = set()
    stack: list[tuple[object, bool]] = [(root, False)]
    while stack:
        node, leaving = stack.pop()
        key = id(node)
        if leaving:
            depth, size = 0, 1
            for child in _children(node):
                below = done.get(id(child), (0, 1)) if isinstance(child, _CONTAINERS) else (0, 1)
                depth, size = max(depth, below[0]), size + below[1]
            if size > limits.expanded:
                raise UntrustedFileError(
                    f"written out, its contents have more than {limits.expanded} entries (shared over and over)"
                )
            done[key] = (depth + 1, size)
            open_.discard(key)
            continue
        if isinstance(node, Part):
            raise UntrustedFileError(
                "its pickle is damaged: an array or a storage in it is never made use of"
            )
        if not isinstance(node, _CONTAINERS) or key in done:
            continue
        if key in open_:
            raise UntrustedFileError("a container in it contains itself")
        if len(open_) >= limits.depth:
            raise UntrustedFileError(f"its containers are nested more than {limits.depth} deep")
        open_.add(key)
        stack.append((node, True))
        stack.extend((child, False) for child in _children(node) if isinstance(child, (*_CONTAINERS, Part)))


_CONTAINERS = (list, tuple, dict, set, frozenset, Record)


def _children(node: object) -> list[object]:
    if isinstance(node, dict):
        return list(node.values())
    if isinstance(node, Record):
        return [*node.args, node.state, *node.entries.values(), *node.elements]
    if isinstance(node, list | tuple | set | frozenset):
        return list(node)
    return []
