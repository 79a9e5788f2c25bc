"""A pickle interpreter that only builds data.

It knows the instructions of pickle protocols 0 to 5 and no others. A name that the file mentions is compared with a
table; it is never imported, and what "calling" it means is decided by a function of ours. There is no other way from
the file to code: instructions that make instances by themselves (INST, OBJ), the extension registry (EXT1, 2, 4),
buffers from outside and persistent ids (unless the reader of torch files takes them) are refused.

The memo is a dictionary, and every size that the file states is compared with the bytes that are left before anything
is allocated. Byte strings above 4 KiB are views of the file, not copies.
"""

from __future__ import annotations

import codecs
import struct
from collections.abc import Callable, Mapping
from typing import Any

from .records import Allowed, Budget, Handler, Name, Part, Record, UntrustedFileError

VIEW_FROM = 4096
LINE = 1024
_MARK = object()


class Stub(Part):
    """A value that a later BUILD completes; `finish(state)` gives the real one, which takes its place in the memo."""

    def __init__(self) -> None:
        self.memo_keys: list[int] = []

    def finish(self, state: Any) -> Any:
        """The real value."""
        raise UntrustedFileError("an object in it has no state that could be set")


class Machine:
    """Runs one pickle.

    Args:
        data: the bytes; the pickle starts at `position`.
        table: handlers of the calls that every file may make, by "module.name".
        plain: names that may appear as values.
        allow: names that the caller knows; None makes a Record.
        persistent: what a persistent id stands for, or None to refuse them.
    """

    def __init__(
        self,
        data: memoryview,
        budget: Budget,
        table: Mapping[str, Handler],
        plain: frozenset[str],
        allow: Allowed,
        persistent: Callable[[Any], Any] | None = None,
        position: int = 0,
    ) -> None:
        self.data = data
        self.end = len(data)
        self.at = position
        self.budget = budget
        self.table = table
        self.plain = plain
        self.allow = allow
        self.persistent = persistent
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}
        self.steps = 0

    def run(self) -> Any:
        """The object; `at` is then the position behind the pickle."""
        start = self.at
        try:
            return self._run()
        except UntrustedFileError:
            raise
        except (
            IndexError,
            KeyError,
            ValueError,
            TypeError,
            struct.error,
            OverflowError,
            AttributeError,
        ) as error:
            raise UntrustedFileError(
                f"its pickle is damaged at byte {self.at} (of the one that starts at {start}): {error}"
            ) from error

    def _run(self) -> Any:
        opcodes = _OPCODES
        while True:
            self.budget.opcodes -= 1
            self.steps += 1
            if self.budget.opcodes < 0:
                raise UntrustedFileError(f"it has more than {self.budget.limits.opcodes} instructions")
            code = self.byte()
            if code == 0x2E:  # STOP
                if len(self.stack) != 1 or self.stack[0] is _MARK:
                    raise UntrustedFileError("its pickle is damaged: it ends in the middle of an object")
                return self.stack.pop()
            handler = opcodes.get(code)
            if handler is None:
                raise UntrustedFileError(
                    f"its pickle is damaged: byte {self.at - 1} is {code}, which is no instruction"
                )
            handler(self)

    # ---- reading -----------------------------------------------------------------------------------------------

    def byte(self) -> int:
        if self.at >= self.end:
            raise UntrustedFileError("it is cut off: the end of the pickle is missing")
        self.at += 1
        return self.data[self.at - 1]

    def take(self, size: int, what: str = "value") -> memoryview:
        if size < 0 or size > self.end - self.at:
            raise UntrustedFileError(
                f"it is cut off or lies: at byte {self.at} it announces a {what} of {size} bytes "
                f"and {self.end - self.at} are left"
            )
        self.at += size
        return self.data[self.at - size : self.at]

    def number(self, size: int) -> int:
        return int.from_bytes(self.take(size, "number"), "little")

    def line(self, limit: int = LINE) -> bytes:
        size = min(limit, LINE)
        while True:
            found = bytes(self.data[self.at : self.at + size])
            length = found.find(b"\n")
            if length >= 0:
                self.at += length + 1
                return found[:length]
            if size >= limit or len(found) < size:
                raise UntrustedFileError(f"it is cut off or damaged: the line at byte {self.at} does not end")
            size *= 2

    def text(self, size: int) -> str:
        limit = self.budget.limits.text
        view = self.take(size, "text")
        if size > limit:
            raise UntrustedFileError(f"it has a text of {size} characters; at most {limit} are read")
        return str(view, "utf-8", "surrogatepass")

    def blob(self, size: int) -> bytes | memoryview:
        view = self.take(size, "byte string")
        return bytes(view) if size < VIEW_FROM else view

    # ---- the stack ---------------------------------------------------------------------------------------------

    def push(self, value: Any) -> None:
        self.stack.append(value)

    def pop(self) -> Any:
        if not self.stack or self.stack[-1] is _MARK:
            raise UntrustedFileError(f"its pickle is damaged at byte {self.at}: a value is missing")
        return self.stack.pop()

    def top(self) -> Any:
        if not self.stack or self.stack[-1] is _MARK:
            raise UntrustedFileError(f"its pickle is damaged at byte {self.at}: a value is missing")
        return self.stack[-1]

    def to_mark(self) -> list[Any]:
        at = len(self.stack) - 1
        while at >= 0 and self.stack[at] is not _MARK:
            at -= 1
        if at < 0:
            raise UntrustedFileError(f"its pickle is damaged at byte {self.at}: a mark is missing")
        values = self.stack[at + 1 :]
        del self.stack[at:]
        return values

    def remember(self, key: int) -> None:
        if key > self.steps:
            raise UntrustedFileError(
                f"it numbers a value {key} though only {self.steps} instructions came before"
            )
        value = self.top()
        if isinstance(value, Stub):
            value.memo_keys.append(key)
        self.memo[key] = value

    def recall(self, key: int) -> None:
        if key not in self.memo:
            raise UntrustedFileError(
                f"its pickle is damaged at byte {self.at}: there is no value number {key}"
            )
        self.push(self.memo[key])

    # ---- names and calls ---------------------------------------------------------------------------------------

    def name(self, module: object, name: object) -> Name:
        if not isinstance(module, str) or not isinstance(name, str):
            raise UntrustedFileError("it asks for a name that is not a text")
        full = f"{module}.{name}"
        if "." in name or not (full in self.plain or full in self.table or full in self.allow):
            raise UntrustedFileError(
                f"it asks for '{full[:120]}', which is not data",
                "A checkpoint holds tensors, numbers, texts and containers. Nothing of the file was run; "
                "do not open it with other programs unless you trust where it came from.",
            )
        return Name(full)

    def call(self, name: object, args: object) -> Any:
        if not isinstance(name, Name) or not isinstance(args, tuple):
            raise UntrustedFileError(f"it calls {_kind(name)}, which is not a function that is known here")
        if name.text in self.allow:
            handler = self.allow[name.text]
            if handler is not None:
                return handler(args)
            self.budget.container()
            return Record(name.text, args)
        if name.text in ("copyreg._reconstructor", "copy_reg._reconstructor"):
            if len(args) == 3 and isinstance(args[0], Name) and args[0].text in self.allow:
                return self.call(args[0], () if args[2] is None else (args[2],))
            raise UntrustedFileError(f"it rebuilds {_kind(args[0] if args else None)}, which is not data")
        if name.text not in self.table:
            raise UntrustedFileError(f"it calls '{name.text}', which is not a function that is known here")
        return self.table[name.text](args)

    def build(self) -> None:
        state = self.pop()
        target = self.top()
        if isinstance(target, Stub):
            value = target.finish(state)
            self.stack[-1] = value
            for key in target.memo_keys:
                self.memo[key] = value
        elif isinstance(target, Record):
            if target.state is not None:
                raise UntrustedFileError(f"it sets the state of '{target.name}' twice")
            target.state = state
        elif not (isinstance(target, dict) and (state is None or isinstance(state, dict | tuple))):
            raise UntrustedFileError(f"it sets attributes of {_kind(target)}, which is plain data")

    # ---- containers --------------------------------------------------------------------------------------------

    def set_items(self, values: list[Any]) -> None:
        target = self.top()
        entries = target.entries if isinstance(target, Record) else target
        if not isinstance(entries, dict) or len(values) % 2:
            raise UntrustedFileError(f"it sets items of {_kind(target)}, which has none")
        for key, value in zip(values[::2], values[1::2], strict=True):
            entries[check_key(key)] = value

    def extend(self, values: list[Any]) -> None:
        target = self.top()
        elements = target.elements if isinstance(target, Record) else target
        if not isinstance(elements, list):
            raise UntrustedFileError(f"it appends to {_kind(target)}, which is no list")
        elements.extend(values)

    def container(self, value: Any) -> None:
        self.budget.container()
        self.push(value)


def check_key(key: object) -> Any:
    """A key of a dictionary or element of a set: a text, bytes, None, or a number of at most 64 bits."""
    if key is None or isinstance(key, str | bytes | bool | float):
        return key
    if isinstance(key, int) and -(1 << 63) <= key < 1 << 64:
        return key
    raise UntrustedFileError(f"it uses {_kind(key)} as a key")


def _kind(value: object) -> str:
    if isinstance(value, Name):
        return f"'{value.text}'"
    if isinstance(value, Record):
        return f"an object of '{value.name}'"
    return f"a value of type {type(value).__name__}"


# ---- instructions --------------------------------------------------------------------------------------------------


def _refuse(what: str) -> Callable[[Machine], None]:
    def refused(machine: Machine) -> None:
        raise UntrustedFileError(
            f"it uses {what}, which no checkpoint needs", "Nothing of the file was run; do not trust it."
        )

    return refused


def _text_int(m: Machine) -> None:
    word = m.line(64)
    m.push(word == b"01" if word in (b"00", b"01") else int(word))


def _text_long(m: Machine) -> None:
    m.push(int(m.line(64).rstrip(b"L") or b"0"))


def _long(size: int) -> Callable[[Machine], None]:
    def read(m: Machine) -> None:
        length = m.number(size)
        if length > m.budget.limits.number:
            raise UntrustedFileError(f"it has an integer of {length} bytes")
        m.push(int.from_bytes(m.take(length, "number"), "little", signed=True))

    return read


def _text_string(m: Machine) -> None:
    line = m.line(m.budget.limits.text)
    if len(line) < 2 or line[:1] != line[-1:] or line[:1] not in (b"'", b'"'):
        raise UntrustedFileError(f"its pickle is damaged at byte {m.at}: a text lacks its quotes")
    m.push(codecs.escape_decode(line[1:-1])[0].decode("latin-1"))


def _string(size: int) -> Callable[[Machine], None]:
    def read(m: Machine) -> None:
        found = m.blob(m.number(size))
        m.push(found if isinstance(found, memoryview) else found.decode("latin-1"))

    return read


def _stack_global(m: Machine) -> None:
    name, module = m.pop(), m.pop()
    m.push(m.name(module, name))


def _global(m: Machine) -> None:
    module = m.line().decode("utf-8")
    m.push(m.name(module, m.line().decode("utf-8")))


def _reduce(m: Machine) -> None:
    args, name = m.pop(), m.pop()
    m.push(m.call(name, args))


def _newobj(m: Machine) -> None:
    args, name = m.pop(), m.pop()
    m.push(m.call(name, args))


def _newobj_ex(m: Machine) -> None:
    kwargs, args, name = m.pop(), m.pop(), m.pop()
    if kwargs:
        raise UntrustedFileError(f"it makes {_kind(name)} with keyword arguments, which no checkpoint needs")
    m.push(m.call(name, args))


def _persistent(m: Machine, key: object) -> None:
    if m.persistent is None:
        raise UntrustedFileError(
            "it refers to data outside itself (a persistent id)", "Is it a part of another file?"
        )
    m.push(m.persistent(key))


def _setitem(m: Machine) -> None:
    value, key = m.pop(), m.pop()
    m.set_items([key, value])


def _append(m: Machine) -> None:
    value = m.pop()
    m.extend([value])


def _additems(m: Machine) -> None:
    values = m.to_mark()
    target = m.top()
    if not isinstance(target, set):
        raise UntrustedFileError(f"it adds to {_kind(target)}, which is no set")
    target.update(check_key(value) for value in values)


def _dict(m: Machine) -> None:
    values = m.to_mark()
    m.container({})
    m.set_items(values)


def _tuple(size: int) -> Callable[[Machine], None]:
    def make(m: Machine) -> None:
        values = [m.pop() for _ in range(size)]
        m.container(tuple(reversed(values)))

    return make


def _pop(m: Machine) -> None:
    if not m.stack:
        raise UntrustedFileError(f"its pickle is damaged at byte {m.at}: a value is missing")
    m.stack.pop()


def _frozenset(m: Machine) -> None:
    m.container(frozenset(check_key(value) for value in m.to_mark()))


def _proto(m: Machine) -> None:
    version = m.byte()
    if version > 5:
        raise UntrustedFileError(f"its pickle has protocol {version}; 0 to 5 are known")


def _frame(m: Machine) -> None:
    size = m.number(8)
    if size > m.end - m.at:
        raise UntrustedFileError(
            f"it is cut off: a part of {size} bytes was announced, {m.end - m.at} are left"
        )


_Step = Callable[[Machine], Any]
_OPCODES: dict[int, _Step] = {
    ord("("): lambda m: m.push(_MARK),
    ord("0"): _pop,
    ord("1"): lambda m: m.to_mark(),
    ord("2"): lambda m: m.push(m.top()),
    ord("F"): lambda m: m.push(float(m.line(64))),
    ord("I"): _text_int,
    ord("J"): lambda m: m.push(int.from_bytes(m.take(4), "little", signed=True)),
    ord("K"): lambda m: m.push(m.byte()),
    ord("L"): _text_long,
    ord("M"): lambda m: m.push(m.number(2)),
    ord("N"): lambda m: m.push(None),
    ord("P"): lambda m: _persistent(m, m.line().decode("ascii")),
    ord("Q"): lambda m: _persistent(m, m.pop()),
    ord("R"): _reduce,
    ord("S"): _text_string,
    ord("T"): _string(4),
    ord("U"): _string(1),
    ord("V"): lambda m: m.push(str(m.line(m.budget.limits.text), "raw-unicode-escape")),
    ord("X"): lambda m: m.push(m.text(m.number(4))),
    ord("a"): _append,
    ord("b"): lambda m: m.build(),
    ord("c"): _global,
    ord("d"): _dict,
    ord("e"): lambda m: m.extend(m.to_mark()),
    ord("g"): lambda m: m.recall(int(m.line(64))),
    ord("h"): lambda m: m.recall(m.byte()),
    ord("i"): _refuse("the instruction INST (makes an object of a class it names)"),
    ord("j"): lambda m: m.recall(m.number(4)),
    ord("l"): lambda m: m.container(m.to_mark()),
    ord("o"): _refuse("the instruction OBJ (makes an object of a class it names)"),
    ord("p"): lambda m: m.remember(int(m.line(64))),
    ord("q"): lambda m: m.remember(m.byte()),
    ord("r"): lambda m: m.remember(m.number(4)),
    ord("s"): _setitem,
    ord("t"): lambda m: m.container(tuple(m.to_mark())),
    ord("u"): lambda m: m.set_items(m.to_mark()),
    ord("}"): lambda m: m.container({}),
    ord("]"): lambda m: m.container([]),
    ord(")"): lambda m: m.push(()),
    ord("G"): lambda m: m.push(struct.unpack(">d", m.take(8))[0]),
    ord("B"): lambda m: m.push(m.blob(m.number(4))),
    ord("C"): lambda m: m.push(m.blob(m.byte())),
    0x80: _proto,
    0x81: _newobj,
    0x82: _refuse("the extension registry (EXT1)"),
    0x83: _refuse("the extension registry (EXT2)"),
    0x84: _refuse("the extension registry (EXT4)"),
    0x85: _tuple(1),
    0x86: _tuple(2),
    0x87: _tuple(3),
    0x88: lambda m: m.push(True),
    0x89: lambda m: m.push(False),
    0x8A: _long(1),
    0x8B: _long(4),
    0x8C: lambda m: m.push(m.text(m.byte())),
    0x8D: lambda m: m.push(m.text(m.number(8))),
    0x8E: lambda m: m.push(m.blob(m.number(8))),
    0x8F: lambda m: m.container(set()),
    0x90: _additems,
    0x91: _frozenset,
    0x92: _newobj_ex,
    0x93: _stack_global,
    0x94: lambda m: m.remember(len(m.memo)),
    0x95: _frame,
    0x96: lambda m: m.push(m.blob(m.number(8))),
    0x97: _refuse("a buffer from outside the file"),
    0x98: _refuse("a buffer from outside the file"),
}
