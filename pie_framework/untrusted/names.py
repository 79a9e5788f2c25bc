"""Names that every file may mention, and what calling them gives. Imports no torch."""

from __future__ import annotations

from typing import Any

from .machine import check_key
from .records import Budget, Handler, UntrustedFileError

#: Bytes that an entry of a container takes, about.
ENTRY = 100


def handlers(budget: Budget) -> dict[str, Handler]:
    """Handlers of the calls that every file may make. What they copy counts, as one value can be copied many times."""

    def ordered_dict(args: tuple[Any, ...]) -> Any:
        budget.container()
        if not args:
            return {}
        if len(args) != 1 or not isinstance(args[0], list | tuple):
            raise UntrustedFileError("a dictionary of it is damaged")
        budget.data(ENTRY * len(args[0]), "a dictionary")
        if not all(isinstance(pair, list | tuple) and len(pair) == 2 for pair in args[0]):
            raise UntrustedFileError("a dictionary of it is damaged")
        return {check_key(key): value for key, value in args[0]}

    def make_set(args: tuple[Any, ...]) -> Any:
        budget.container()
        if not args:
            return set()
        if len(args) != 1 or not isinstance(args[0], list | tuple):
            raise UntrustedFileError("a set of it is damaged")
        budget.data(ENTRY * len(args[0]), "a set")
        return {check_key(value) for value in args[0]}

    def no_bytes(args: tuple[Any, ...]) -> Any:
        if args:
            raise UntrustedFileError("a byte string of it is damaged")
        return b""

    def encode(args: tuple[Any, ...]) -> Any:
        if not args or not isinstance(args[0], str) or args[1:] not in ((), ("latin1",), ("latin-1",)):
            raise UntrustedFileError("a byte string of it is damaged")
        budget.data(len(args[0]), "a byte string")
        return args[0].encode("latin-1")

    table: dict[str, Handler] = {"collections.OrderedDict": ordered_dict, "_codecs.encode": encode}
    for module in ("builtins", "__builtin__"):
        table |= {f"{module}.set": make_set, f"{module}.frozenset": make_set, f"{module}.bytes": no_bytes}
    return table


BASE_PLAIN = frozenset(
    {"builtins.object", "__builtin__.object", "copyreg._reconstructor", "copy_reg._reconstructor"}
)
TORCH_PLAIN = frozenset(
    {
        f"torch.{kind}Storage"
        for kind in ("Float", "Double", "Half", "BFloat16", "Long", "Int", "Short", "Char")
    }
    | {"torch.ByteStorage", "torch.BoolStorage", "torch.storage.UntypedStorage", "torch.contiguous_format"}
    | {f"torch.{kind}" for kind in ("float32", "float64", "float16", "bfloat16", "int64", "int32", "int16")}
    | {"torch.int8", "torch.uint8", "torch.bool", "torch.strided", "torch.nn.parameter.Parameter"}
)
