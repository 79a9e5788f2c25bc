"""Reads pickles and torch files into plain data. PyTorch is imported when the first file is read."""

from __future__ import annotations

from typing import Any

from pie_framework.errors import AssetError

from .archive import members
from .machine import Machine
from .names import BASE_PLAIN, TORCH_PLAIN
from .names import handlers as base_handlers
from .records import Allowed, Budget, Handler, Limits, UntrustedFileError, check_tree
from .source import PathLike, explain, open_bytes, sniff_bytes

REMEDY = "Fetch it again from its source, and compare its checksum."


def read_pickle(path: PathLike, *, allow: Allowed | None = None, limits: Limits | None = None) -> Any:
    """A pickle as plain data: None, numbers, texts, bytes, lists, tuples, dictionaries, sets, tensors, arrays.

    Tensors (with the storages that NVIDIA's pickles carry) and NumPy arrays of numbers come as such, OrderedDict as
    dict, NumPy scalars as Python numbers, texts of Python 2 as Latin-1, byte strings from 4 KiB on as memoryview.

    Args:
        path: the file.
        allow: further names, as "module.name": a function of the arguments, or None for an inert `Record`.
        limits: how much it may ask for.

    Raises:
        AssetError: there is no such file.
        UntrustedFileError: it names or calls anything else, lies about sizes, or is damaged; one line says which.
    """
    limits = limits or Limits()
    data = open_bytes(path)
    return _guarded(path, lambda: _read_pickle(data, allow or {}, limits))


def read_torch(path: PathLike, *, allow: Allowed | None = None, limits: Limits | None = None) -> Any:
    """A file of torch.save, of today (zip) or of before 1.6, as plain data.

    At least as strict as `torch.load(weights_only=True)`. Tensors are views of the mapped file wherever its bytes are
    aligned; clone what must outlive changes of the file. Arguments and errors as of `read_pickle`.
    """
    limits = limits or Limits()
    data = open_bytes(path)
    return _guarded(path, lambda: _read_torch(data, allow or {}, limits))


def read_any(path: PathLike, *, allow: Allowed | None = None, limits: Limits | None = None) -> Any:
    """`read_pickle` or `read_torch`, whichever the content asks for."""
    kind = sniff_bytes(open_bytes(path))
    reader = read_torch if kind in ("torch-zip", "torch-legacy") else read_pickle
    return reader(path, allow=allow, limits=limits)


def tables(budget: Budget, *, nested: bool) -> tuple[dict[str, Handler], frozenset[str]]:
    """Handlers and plain names that every file may use."""
    from . import arrays, tensors

    table = {**base_handlers(budget), **arrays.handlers(budget), **tensors.handlers(budget, nested=nested)}
    return table, BASE_PLAIN | TORCH_PLAIN | arrays.PLAIN


def _guarded(path: PathLike, read: Any) -> Any:
    """The value of read(), with one error whatever goes wrong, that names the file."""
    try:
        return read()
    except AssetError as error:
        raise UntrustedFileError(f"'{path}' was not loaded: {error.message}", error.hint or REMEDY) from error
    except (RecursionError, MemoryError) as error:
        raise UntrustedFileError(f"'{path}' was not loaded: it asks for too much memory", REMEDY) from error
    except (
        ValueError,
        TypeError,
        KeyError,
        IndexError,
        RuntimeError,
        OverflowError,
        AttributeError,
    ) as error:
        raise UntrustedFileError(f"'{path}' was not loaded: it is damaged ({error})", REMEDY) from error


def _read_pickle(data: memoryview, allow: Allowed, limits: Limits) -> Any:
    kind = sniff_bytes(data)
    if kind != "pickle":
        raise UntrustedFileError(_other(data, kind, "a pickle"))
    budget = Budget(limits, len(data))
    table, plain = tables(budget, nested=True)
    result = Machine(data, budget, table, plain, allow).run()
    check_tree(result, limits)
    return result


def _read_torch(data: memoryview, allow: Allowed, limits: Limits) -> Any:
    from .tensors import item_size, persistent, read_legacy, view_of

    kind = sniff_bytes(data)
    budget = Budget(limits, len(data))
    if kind == "torch-legacy":
        result = read_legacy(data, budget, allow)
    elif kind == "torch-zip":
        files = members(data, limits)
        roots = [name.removesuffix("data.pkl") for name in files if name.endswith("/data.pkl")]
        if len(roots) != 1 or roots[0].count("/") != 1:
            raise UntrustedFileError("it has no single data.pkl, so torch.save did not write it")
        root = roots[0]
        if any(name.startswith(f"{root}code/") for name in files):
            raise UntrustedFileError(
                "it is a TorchScript archive, which is a program",
                "Use the file with the weights (a state dict).",
            )
        if f"{root}byteorder" in files and bytes(files[f"{root}byteorder"]) != b"little":
            raise UntrustedFileError("it comes from a machine of another byte order")
        loaded: dict[tuple[str, Any], Any] = {}

        def find(key: str, dtype: Any, numel: int) -> Any:
            part = files.get(f"{root}data/{key}")
            if part is None or len(part) < numel * item_size(dtype):
                raise UntrustedFileError(
                    f"the storage '{key[:40]}' of {numel} numbers is missing or shorter than announced"
                )
            if (key, dtype) not in loaded:
                budget.data(len(part), "a storage")
                loaded[key, dtype] = view_of(part, dtype)
            return loaded[key, dtype]

        table, plain = tables(budget, nested=False)
        result = Machine(files[f"{root}data.pkl"], budget, table, plain, allow, persistent(find)).run()
    else:
        raise UntrustedFileError(_other(data, kind, "a file of torch.save"))
    check_tree(result, limits)
    return result


def _other(data: memoryview, kind: str, wanted: str) -> str:
    if kind == "unknown":
        return f"it {explain(data)}"
    names = {"torch-zip": "a torch file", "torch-legacy": "a torch file", "zip": "a zip archive"}
    return f"it is {names.get(kind, f'a {kind} file')}, not {wanted}"
