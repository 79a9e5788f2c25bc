"""What the records of a pickle become: tensors over the file's own bytes, arrays, and plain containers.

Layouts are those that `torch.save` writes (PyTorch's serialization notes) and that NumPy's `__reduce__` gives.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .records import Allowed, Name, Record, UntrustedFileError
from .unpickling import Budget, check_key

#: Nesting of a result, its entries, dimensions of a tensor, numbers along one, and bytes of an entry, about.
DEPTH, ENTRIES, DIMENSIONS, MOST, ENTRY = 100, 1_000_000, 16, 1 << 48, 100
_KINDS = {"Float": "float32", "Double": "float64", "Half": "float16", "BFloat16": "bfloat16", "Long": "int64"}
_KINDS |= {"Int": "int32", "Short": "int16", "Char": "int8", "Byte": "uint8", "Bool": "bool"}
STORAGES: dict[str, torch.dtype] = {f"torch.{k}Storage": getattr(torch, name) for k, name in _KINDS.items()}
#: The name of records that stand for a storage outside the pickle.
STORAGE = "persistent storage"
#: Kind of numbers and how many of each such storage, by its key.
Declared = dict[str, tuple[torch.dtype, int]]


def declare(declared: Declared, pid: Any) -> Record:
    """Note a storage outside the pickle that a persistent id names."""
    kind = pid[1].text if isinstance(pid, tuple) and len(pid) >= 5 and isinstance(pid[1], Name) else None
    if kind not in STORAGES or pid[0] != "storage" or any(part is not None for part in pid[5:]):
        raise UntrustedFileError("it refers to something that is not a storage of a known kind")
    key, count = pid[2], pid[4]
    if not isinstance(key, str) or type(count) is not int or not 0 <= count < MOST:
        raise UntrustedFileError("it has a storage of an impossible length")
    described = STORAGES[kind], count
    if declared.setdefault(key, described) != described:
        raise UntrustedFileError("it describes one storage in two ways")
    return Record(STORAGE, (key,))


def tensors(declared: Declared, parts: Mapping[str, memoryview], budget: Budget) -> dict[str, Tensor]:
    """The declared storages as 1-d tensors, shared with the file where the address of the bytes allows it."""
    found = {}
    for key, (dtype, count) in declared.items():
        part = parts.get(key, memoryview(b""))[: count * dtype.itemsize]
        if len(part) < count * dtype.itemsize:
            raise UntrustedFileError(f"the storage '{key[:40]}' of {count} numbers is missing or cut off")
        budget.take(len(part))
        raw = torch.frombuffer(part, dtype=torch.uint8) if count else torch.empty(0, dtype=torch.uint8)
        if dtype is torch.bool:
            found[key] = raw != 0
        else:
            found[key] = (raw.clone() if raw.data_ptr() % dtype.itemsize else raw).view(dtype)
    return found


def _entries(value: Any) -> int:
    """How much a value that holds no others counts: long texts count as several. Refuses integers of any length."""
    if isinstance(value, int) and value.bit_length() > 128:
        raise UntrustedFileError(f"it has an integer of {value.bit_length()} bits")
    return 1 + (len(value) >> 8 if isinstance(value, str | bytes | set | frozenset) else 0)


class Values:
    """Makes the values of one pickle.

    Args:
        budget: what is left to the file.
        allow: names that the caller knows.
        storages: those outside the pickle, by their keys.
        nested: the storage in bytes that hold a whole torch file, or None to refuse those.
    """

    def __init__(
        self,
        budget: Budget,
        allow: Allowed,
        storages: Mapping[str, Tensor],
        nested: Callable[[memoryview], Any] | None = None,
    ) -> None:
        self.budget, self.allow, self.storages, self.nested = budget, allow, storages, nested
        self.made: dict[int, tuple[Any, int] | None] = {}

    def make(self, raw: Any, depth: int = 0) -> tuple[Any, int]:
        """The value of what the unpickler gave, and how many entries it has with all that is shared written out.

        What was shared stays shared.

        Raises:
            UntrustedFileError: it does not fit its bytes, is nested too deep, contains itself, or is small only
                because it is shared.
        """
        if not isinstance(raw, list | tuple | dict | set | frozenset | Record):
            return raw, _entries(raw)
        if id(raw) in self.made:
            known = self.made[id(raw)]
            if known is None:
                raise UntrustedFileError("a container in it contains itself")
            return known
        if depth >= DEPTH:
            raise UntrustedFileError(f"its containers are nested more than {DEPTH} deep")
        self.made[id(raw)] = None
        size = 1

        def inner(part: Any) -> Any:
            nonlocal size
            value, entries = self.make(part, depth + 1)
            size += entries
            return value

        value: Any
        if isinstance(raw, Record):
            entries = {inner(key): inner(part) for key, part in raw.entries.items()}
            value = self.call(Record(raw.name, tuple(map(inner, raw.args)), inner(raw.state), entries))
            size = size if isinstance(value, Record | dict | list | tuple) else _entries(value)
        elif isinstance(raw, dict):
            value = {inner(key): inner(part) for key, part in raw.items()}
        else:
            value = type(raw)(map(inner, raw))
        if size > ENTRIES:
            raise UntrustedFileError(
                f"written out, its contents have more than {ENTRIES} entries (shared over and over)"
            )
        self.made[id(raw)] = value, size
        return value, size

    def call(self, record: Record) -> Any:
        """What a record of finished parts stands for."""
        if record.name in (
            "copyreg._reconstructor",
            "copy_reg._reconstructor",
        ):  # class, its base, the base's state
            name, _, state = record.args
            text = (
                name.text
                if isinstance(name, Name) and name.text in self.allow
                else "a class that is not data"
            )
            record = Record(text, () if state is None else (state,), record.state, record.entries)
        if record.name in self.allow:
            call = self.allow[record.name]
            value: Any = record if call is None else call(record.args)
        elif record.name in CALLS:
            value = CALLS[record.name](self, record)
        else:
            raise UntrustedFileError(f"it calls '{record.name}', which is not a function that is known here")
        return value if value is record or not record.entries else value | record.entries

    def pairs(self, record: Record) -> dict[Any, Any]:
        (pairs,) = record.args or ((),)
        self.budget.take(ENTRY * len(pairs))
        return {check_key(key): value for key, value in pairs}

    def elements(self, record: Record) -> set[Any]:
        (elements,) = record.args or ((),)
        self.budget.take(ENTRY * len(elements))
        return set(map(check_key, elements))

    def size(self, record: Record) -> tuple[Any, ...]:
        (sizes,) = record.args
        self.budget.take(ENTRY * len(sizes))
        return tuple(sizes)

    def encode(self, record: Record) -> bytes:
        """A byte string, as protocols 0 to 2 write it."""
        text, *encoding = record.args or ("",)
        if not isinstance(text, str) or encoding not in ([], ["latin1"], ["latin-1"]):
            raise UntrustedFileError("a byte string of it is damaged")
        self.budget.take(len(text))
        return text.encode("latin-1")

    def outer_storage(self, record: Record) -> Tensor:
        return self.storages[record.args[0]]

    def inner_storage(self, record: Record) -> Any:
        (data,) = record.args
        if self.nested is None or not isinstance(data, bytes | memoryview):
            raise UntrustedFileError("it carries a file within a file where none belongs")
        return self.nested(memoryview(bytearray(data)) if isinstance(data, bytes) else data)

    def tensor(self, record: Record) -> Tensor:
        """A strided view of a storage that lies within it and has no more numbers than it."""
        storage, offset, size, stride = record.args[:4]
        if not isinstance(storage, Tensor) or storage.dim() != 1:
            raise UntrustedFileError("it rebuilds a tensor from something that is not a storage")
        if len(size) != len(stride) or len(size) > DIMENSIONS:
            raise UntrustedFileError("the shape of a tensor is damaged")
        if any(type(n) is not int or not 0 <= n < MOST for n in (offset, *size, *stride)):
            raise UntrustedFileError("it has a tensor of a negative or impossible shape, stride or offset")
        count = math.prod(size)
        last = offset + sum((n - 1) * s for n, s in zip(size, stride, strict=True))
        if count and (count > len(storage) or last >= len(storage)):
            raise UntrustedFileError(
                f"it has a tensor of shape {size} over a storage of {len(storage)} numbers, which is too small"
            )
        self.budget.take(count * storage.dtype.itemsize)
        return storage.as_strided(size, stride, offset) if count else storage.new_empty(size)

    def parameter(self, record: Record) -> Any:
        return record.args[0]

    def dtype(self, record: Record) -> np.dtype[Any]:
        """Plain numbers, booleans and texts of fixed length; never objects."""
        order, *structure = (record.state or (0, "=", None, None, None))[1:5]
        if not isinstance(order, str) or not isinstance(record.args[0], str):
            raise UntrustedFileError("the description of an array's numbers is damaged")
        code = order + record.args[0].lstrip("<>=|")
        if code[1:].startswith("O"):
            raise UntrustedFileError("it has an array of Python objects, which could be anything")
        if not re.fullmatch(r"[<>=|]([biufcSU]\d{1,4}|\?)", code) or any(p is not None for p in structure):
            raise UntrustedFileError(f"it has an array of the unknown kind {code[:40]!r}")
        return np.dtype(code)

    def array(self, record: Record) -> np.ndarray[Any, Any]:
        if record.args[0] != Name("numpy.ndarray") or record.state is None:
            raise UntrustedFileError("it has an array that never gets its numbers")
        _, shape, dtype, fortran, data = record.state
        return self.numbers(shape, dtype, data, "F" if fortran else "C")

    def frombuffer(self, record: Record) -> np.ndarray[Any, Any]:
        data, dtype, shape, order = record.args
        return self.numbers(shape, dtype, data, order)

    def scalar(self, record: Record) -> Any:
        dtype, data = record.args
        return self.numbers((), dtype, data, "C").item()

    def numbers(self, shape: Any, dtype: Any, data: Any, order: Any) -> np.ndarray[Any, Any]:
        """A copy of the numbers in data; the shape must need exactly as many as there are."""
        data = data.encode("latin-1") if isinstance(data, str) else data
        if not isinstance(dtype, np.dtype) or not isinstance(data, bytes | memoryview):
            raise UntrustedFileError("the state of an array is damaged")
        if len(shape) > DIMENSIONS or not all(type(n) is int and 0 <= n < MOST for n in shape):
            raise UntrustedFileError("it has an array of an impossible shape")
        needed = math.prod(shape) * dtype.itemsize
        if needed != len(data) or not dtype.itemsize:
            raise UntrustedFileError(
                f"it has an array that announces {needed} bytes and carries {len(data)} (shape {shape})"
            )
        self.budget.take(needed)
        array: np.ndarray[Any, Any] = np.frombuffer(data, dtype=dtype).copy().reshape(shape, order=order)
        return array


#: What every file may call.
CALLS: dict[str, Callable[[Values, Record], Any]] = {
    STORAGE: Values.outer_storage,
    "collections.OrderedDict": Values.pairs,
    "_codecs.encode": Values.encode,
    "torch._utils._rebuild_tensor": Values.tensor,
    "torch._utils._rebuild_tensor_v2": Values.tensor,
    "torch._utils._rebuild_parameter": Values.parameter,
    "torch._utils._rebuild_parameter_with_state": Values.parameter,
    "torch.storage._load_from_bytes": Values.inner_storage,
    "torch.Size": Values.size,
    "torch.device": lambda values, record: record,
    "numpy.dtype": Values.dtype,
}
for _module in ("builtins", "__builtin__"):
    CALLS |= {f"{_module}.set": Values.elements, f"{_module}.frozenset": Values.elements}
    CALLS[f"{_module}.bytes"] = Values.encode
for _module in ("numpy.core", "numpy._core"):
    CALLS[f"{_module}.multiarray._reconstruct"] = Values.array
    CALLS[f"{_module}.multiarray.scalar"] = Values.scalar
    CALLS[f"{_module}.numeric._frombuffer"] = Values.frombuffer
#: What it may name.
NAMES = {*CALLS, *STORAGES, *map(str, STORAGES.values())} - {STORAGE}
NAMES |= {"copyreg._reconstructor", "copy_reg._reconstructor", "builtins.object", "__builtin__.object"}
NAMES |= {"numpy.ndarray"}
