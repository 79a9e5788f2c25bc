"""What pickled NumPy arrays and scalars become. Only plain numbers, booleans and fixed-length texts; never objects."""

from __future__ import annotations

import math
import re
from typing import Any

import numpy as np

from .machine import Stub
from .records import Budget, Handler, Name, UntrustedFileError

_CODE = re.compile(r"[<>=|]?([biufcSU]\d{1,4}|\?)")
MAX_DIMENSIONS = 16

PLAIN = frozenset({"numpy.ndarray", "numpy.dtype"})


class DtypeStub(Stub):
    """A dtype whose byte order comes with its state."""

    def __init__(self, code: str) -> None:
        super().__init__()
        self.code = code

    def finish(self, state: Any) -> Any:
        if not isinstance(state, tuple) or len(state) < 5 or state[1] not in ("<", ">", "|", "=", None):
            raise UntrustedFileError("the description of an array's numbers is damaged")
        if any(part is not None for part in state[2:5]):
            raise UntrustedFileError("it has an array of structured values; only plain numbers are read")
        return make_dtype(f"{state[1] or '='}{self.code}")


def make_dtype(code: object) -> np.dtype[Any]:
    """The dtype of a code such as "<f4".

    Raises:
        UntrustedFileError: it is not a plain one; object arrays are refused here.
    """
    if isinstance(code, str) and code.lstrip("<>=|").startswith("O"):
        raise UntrustedFileError("it has an array of Python objects, which could be anything")
    if not isinstance(code, str) or not _CODE.fullmatch(code):
        raise UntrustedFileError(f"it has an array of the unknown kind {str(code)[:40]!r}")
    try:
        return np.dtype(code)
    except TypeError as error:
        raise UntrustedFileError(f"it has an array of the unknown kind {code!r}") from error


class ArrayStub(Stub):
    """An array whose shape and numbers come with its state."""

    def __init__(self, budget: Budget) -> None:
        super().__init__()
        self.budget = budget

    def finish(self, state: Any) -> Any:
        if not isinstance(state, tuple) or len(state) != 5:
            raise UntrustedFileError("the state of an array is damaged")
        _, shape, dtype, fortran, data = state
        return make_array(self.budget, shape, dtype, data, "F" if fortran else "C")


def make_array(budget: Budget, shape: Any, dtype: Any, data: Any, order: str) -> np.ndarray[Any, Any]:
    """A copy of the numbers in data; the shape must need exactly as many as there are."""
    if isinstance(dtype, DtypeStub):
        dtype = make_dtype(dtype.code)
    if isinstance(data, list):
        raise UntrustedFileError("it has an array of Python objects, which could be anything")
    if isinstance(data, str):
        data = data.encode("latin-1")
    if not isinstance(dtype, np.dtype) or not isinstance(data, bytes | memoryview):
        raise UntrustedFileError("the state of an array is damaged")
    if not isinstance(shape, tuple) or len(shape) > MAX_DIMENSIONS:
        raise UntrustedFileError("the shape of an array is damaged")
    if not all(type(n) is int and 0 <= n < 1 << 48 for n in shape):
        raise UntrustedFileError(f"it has an array of the impossible shape {shape}")
    needed = math.prod(shape) * dtype.itemsize
    if needed != len(data) or dtype.itemsize == 0:
        raise UntrustedFileError(
            f"it has an array that announces {needed} bytes and carries {len(data)} (shape {shape})"
        )
    budget.data(needed, "an array")
    flat = np.frombuffer(data, dtype=dtype).copy()
    array: np.ndarray[Any, Any] = flat.reshape(shape, order="F" if order == "F" else "C")
    return array


def handlers(budget: Budget) -> dict[str, Handler]:
    """Handlers of the calls in pickled arrays."""

    def dtype(args: tuple[Any, ...]) -> Any:
        code = args[0] if args else None
        make_dtype(f"={code}" if isinstance(code, str) else code)
        return DtypeStub(str(code))

    def reconstruct(args: tuple[Any, ...]) -> Any:
        if not args or not (isinstance(args[0], Name) and args[0].text == "numpy.ndarray"):
            raise UntrustedFileError("it rebuilds an array of an unknown class")
        budget.container()
        return ArrayStub(budget)

    def scalar(args: tuple[Any, ...]) -> Any:
        if len(args) != 2:
            raise UntrustedFileError("a number of it is damaged")
        return make_array(budget, (), args[0], args[1], "C").item()

    def frombuffer(args: tuple[Any, ...]) -> Any:
        if len(args) != 4:
            raise UntrustedFileError("the state of an array is damaged")
        return make_array(budget, args[2], args[1], args[0], str(args[3]))

    table: dict[str, Handler] = {"numpy.dtype": dtype}
    for core in ("numpy.core", "numpy._core"):
        table[f"{core}.multiarray._reconstruct"] = reconstruct
        table[f"{core}.multiarray.scalar"] = scalar
        table[f"{core}.numeric._frombuffer"] = frombuffer
    return table
