"""Python's own unpickler, kept from code: what a file would call becomes an inert `Record`, which nothing calls.

Memory and time are bounded while it reads, on every platform and without a process of its own: a `Source` hands out no
more bytes than there are, before anything is allocated for them, and only so many parts; no instruction makes more than
a small object of a part, and sharing costs nothing before `values` counts it.

`Unpickler` derives from the unpickler in Python, not from the one in C, because instructions have to be replaced that
the latter keeps to itself: calls, attributes, and keys, for hashing tuples of tuples takes time 2**depth. Checkpoints
have some ten thousand instructions, which takes 0.1 s, and their long byte strings stay views of the file.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Container
from dataclasses import dataclass
from typing import Any, ClassVar

from .records import Name, Record, UntrustedFileError

#: INST, OBJ and NEWOBJ_EX make objects by themselves; the others reach outside the file.
REFUSED = pickle.INST + pickle.OBJ + pickle.NEWOBJ_EX + pickle.EXT1 + pickle.EXT2 + pickle.EXT4
REFUSED += pickle.NEXT_BUFFER + pickle.READONLY_BUFFER
#: Bytes of a number in digits at most, of a part that is not copied at least, and of a small object, about.
DIGITS, VIEW_FROM, OBJECT = 64, 4096, 200


@dataclass
class Budget:
    """What is left to one file, the files nested in its storages included.

    Attributes:
        bytes: of all tensors, arrays, records and sets together (several tensors may share a storage).
        parts: that its pickles are read in; an instruction has one to three.
    """

    bytes: int
    parts: int = 500_000

    def take(self, size: int) -> None:
        """Count `size` more bytes."""
        self.bytes -= size
        if self.bytes < 0:
            raise UntrustedFileError(
                "it asks for more memory than the file can fill: its parts name the same data over and over"
            )


class Source:
    """The bytes of a file from a position on."""

    def __init__(self, data: memoryview, budget: Budget, at: int = 0) -> None:
        self.data, self.budget, self.at = data, budget, at

    def view(self, size: int) -> memoryview:
        """The next bytes, where they are. Raises UntrustedFileError if they are not there."""
        left = len(self.data) - self.at
        self.budget.parts -= 1
        if self.budget.parts < 0:
            raise UntrustedFileError(f"it has more than {Budget.parts} instructions and values")
        if size > left:
            raise UntrustedFileError(
                f"it is cut off or lies: at byte {self.at} it announces {size} bytes and {left} are left"
            )
        self.at += size
        return self.data[self.at - size : self.at]

    def read(self, size: int) -> bytes | memoryview:
        part = self.view(size)
        return part if size >= VIEW_FROM else bytes(part)

    def readline(self) -> bytes:
        size = 64
        while not (end := bytes(self.data[self.at : self.at + size]).find(b"\n") + 1):
            if size > len(self.data) - self.at:
                raise UntrustedFileError(f"it is cut off or damaged: the line at byte {self.at} does not end")
            size *= 8
        return bytes(self.view(end))


def _digits(op: int) -> Callable[[Any], None]:
    """The instruction that reads a number in digits, kept from long ones: time grows with their square."""
    load = pickle._Unpickler.dispatch[op]

    def read(unpickler: Any) -> None:
        source = unpickler.source
        if b"\n" not in bytes(source.data[source.at : source.at + DIGITS]):
            raise UntrustedFileError(f"it has a number of more than {DIGITS} digits")
        load(unpickler)

    return read


class Unpickler(pickle._Unpickler):
    """Reads one pickle into plain values, `Name`s and `Record`s; imports and calls nothing.

    Args:
        source: the file, where the pickle starts; afterwards, where it ends.
        names: "module.name" of everything that it may mention.
        persistent: what a persistent id stands for, or None to refuse them.
    """

    stack: list[Any]
    append: Callable[[Any], None]
    pop_mark: Callable[[], list[Any]]

    def __init__(
        self, source: Source, names: Container[str], persistent: Callable[[Any], Any] | None = None
    ) -> None:
        super().__init__(source, encoding="latin1")  # type: ignore[arg-type]
        self.source, self.names, self.persistent = source, names, persistent

    def find_class(self, module: str, name: str) -> Any:
        full = f"{module}.{name}"
        if "." in name or full not in self.names:
            raise UntrustedFileError(
                f"it asks for '{full[:120]}', which is not data",
                "A checkpoint holds tensors, numbers, texts and containers. Nothing of the file was run; "
                "do not open it with other programs unless you trust where it came from.",
            )
        return Name(full)

    def persistent_load(self, pid: Any) -> Any:
        if self.persistent is None:
            raise UntrustedFileError("it refers to data outside itself (a persistent id)")
        return self.persistent(pid)

    def top(self, *kinds: type) -> Any:
        if not isinstance(self.stack[-1], kinds):
            raise UntrustedFileError(f"it changes {_kind(self.stack[-1])}, which cannot be changed that way")
        return self.stack[-1]

    def call(self) -> None:
        args, name = self.stack.pop(), self.stack.pop()
        if not isinstance(name, Name) or not isinstance(args, tuple):
            raise UntrustedFileError(f"it calls {_kind(name)}, which is not a function that is known here")
        self.source.budget.take(OBJECT)
        self.append(Record(name.text, args))

    def build(self) -> None:
        state = self.stack.pop()
        self.top(Record).state = state

    def set_items(self, items: list[Any]) -> None:
        target = self.top(dict, Record)
        entries = target.entries if isinstance(target, Record) else target
        entries.update(zip(map(check_key, items[::2]), items[1::2], strict=True))

    def set_item(self) -> None:
        value, key = self.stack.pop(), self.stack.pop()
        self.set_items([key, value])

    def make_set(self) -> None:
        self.source.budget.take(OBJECT)
        self.append(set())

    def make_dict(self) -> None:
        items = self.pop_mark()
        self.append({})
        self.set_items(items)

    def add_items(self) -> None:
        items = self.pop_mark()
        self.top(set).update(map(check_key, items))

    def make_frozenset(self) -> None:
        items = frozenset(map(check_key, self.pop_mark()))
        self.append(items)

    def extend(self, items: list[Any]) -> None:
        self.top(list).extend(items)

    def refuse(self) -> None:
        raise UntrustedFileError(
            "it uses an instruction that makes objects by itself or reaches outside the file, which no checkpoint needs"
        )

    def view(self, prefix: int, text: bool = False) -> None:
        part = self.source.read(int.from_bytes(self.source.read(prefix), "little"))
        self.append(part.decode("latin-1") if text and isinstance(part, bytes) else part)

    dispatch: ClassVar[dict[int, Callable[[Any], None]]] = {
        **pickle._Unpickler.dispatch,
        pickle.REDUCE[0]: call,
        pickle.NEWOBJ[0]: call,
        pickle.BUILD[0]: build,
        pickle.SETITEM[0]: set_item,
        pickle.SETITEMS[0]: lambda self: self.set_items(self.pop_mark()),
        pickle.DICT[0]: make_dict,
        pickle.ADDITEMS[0]: add_items,
        pickle.FROZENSET[0]: make_frozenset,
        pickle.APPEND[0]: lambda self: self.extend([self.stack.pop()]),
        pickle.APPENDS[0]: lambda self: self.extend(self.pop_mark()),
        **{op: _digits(op) for op in pickle.INT + pickle.LONG + pickle.FLOAT + pickle.PUT + pickle.GET},
        pickle.EMPTY_SET[0]: make_set,
        pickle.BINSTRING[0]: lambda self: self.view(4, text=True),
        pickle.BINBYTES[0]: lambda self: self.view(4),
        pickle.BINBYTES8[0]: lambda self: self.view(8),
        pickle.BYTEARRAY8[0]: lambda self: self.view(8),
        **dict.fromkeys(REFUSED, refuse),
        # Frames only group instructions; passing over their starts keeps long byte strings in them views.
        pickle.FRAME[0]: lambda self: self.source.read(8),
    }


def check_key(key: object) -> Any:
    """A key of a dictionary or element of a set: a text, bytes, None, or a number of at most 64 bits.

    Others could take time without end to hash, or all have the same hash.
    """
    if (
        key is None
        or isinstance(key, str | bytes | float)
        or (isinstance(key, int) and key.bit_length() <= 64)
    ):
        return key
    raise UntrustedFileError(f"it uses {_kind(key)} as a key")


def _kind(value: object) -> str:
    name = value.text if isinstance(value, Name) else value.name if isinstance(value, Record) else None
    return f"a value of type {type(value).__name__}" if name is None else f"'{name}'"
