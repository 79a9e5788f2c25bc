"""Names that every file may mention, and what calling them gives. Imports no torch."""

from __future__ import annotations

from typing import Any

from .machine import check_key
from .records import Handler, UntrustedFileError


def _ordered_dict(args: tuple[Any, ...]) -> Any:
    if not args:
        return {}
    if len(args) != 1 or not isinstance(args[0], list | tuple):
        raise UntrustedFileError("a dictionary of it is damaged")
    pairs = [pair for pair in args[0] if isinstance(pair, list | tuple) and len(pair) == 2]
    if len(pairs) != len(args[0]):
        raise UntrustedFileError("a dictionary of it is damaged")
    return {check_key(key): value for key, value in pairs}


def _set(args: tuple[Any, ...]) -> Any:
    if not args:
        return set()
    if len(args) != 1 or not isinstance(args[0], list | tuple):
        raise UntrustedFileError("a set of it is damaged")
    return {check_key(value) for value in args[0]}


def _bytes(args: tuple[Any, ...]) -> Any:
    if args:
        raise UntrustedFileError("a byte string of it is damaged")
    return b""


def _encode(args: tuple[Any, ...]) -> Any:
    if not args or not isinstance(args[0], str) or args[1:] not in ((), ("latin1",), ("latin-1",)):
        raise UntrustedFileError("a byte string of it is damaged")
    return args[0].encode("latin-1")


BASE: dict[str, Handler] = {
    "collections.OrderedDict": _ordered_dict,
    "builtins.set": _set,
    "__builtin__.set": _set,
    "builtins.frozenset": _set,
    "__builtin__.frozenset": _set,
    "builtins.bytes": _bytes,
    "__builtin__.bytes": _bytes,
    "_codecs.encode": _encode,
}
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
