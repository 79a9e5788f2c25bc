"""What pickled tensors become: views of the file's own bytes, whose shape, strides and offset fit into them.

The layouts are those that `torch.save` writes (PyTorch's serialization notes): a storage is a run of numbers, a tensor
a strided view of one. `torch.load` is not called: its rules with `weights_only=True` are a part of those here.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from .machine import Machine
from .records import Allowed, Budget, Handler, Name, Part, UntrustedFileError
from .source import TORCH_MAGIC

PROTOCOL = 1001
MAX_DIMENSIONS = 16
STORAGE_DTYPES = {
    "torch.FloatStorage": torch.float32,
    "torch.DoubleStorage": torch.float64,
    "torch.HalfStorage": torch.float16,
    "torch.BFloat16Storage": torch.bfloat16,
    "torch.LongStorage": torch.int64,
    "torch.IntStorage": torch.int32,
    "torch.ShortStorage": torch.int16,
    "torch.CharStorage": torch.int8,
    "torch.ByteStorage": torch.uint8,
    "torch.BoolStorage": torch.bool,
    "torch.storage.UntypedStorage": torch.uint8,
}


class Storage(Part):
    """A run of numbers; `values` is None while only its place is being looked for."""

    def __init__(self, dtype: torch.dtype, numel: int, values: Tensor | None) -> None:
        self.dtype = dtype
        self.numel = numel
        self.values = values


def view_of(data: memoryview, dtype: torch.dtype) -> Tensor:
    """The bytes as a 1-d tensor, shared with the file where their address allows it."""
    if len(data) == 0:
        return torch.empty(0, dtype=dtype)
    raw = torch.frombuffer(data, dtype=torch.uint8)
    if dtype is torch.bool:
        return raw != 0
    size = torch.empty(0, dtype=dtype).element_size()
    return (raw.clone() if raw.data_ptr() % size else raw).view(dtype)


def item_size(dtype: torch.dtype) -> int:
    """Bytes of one number."""
    return torch.empty(0, dtype=dtype).element_size()


def make_tensor(budget: Budget, storage: Any, offset: Any, size: Any, stride: Any) -> Tensor | None:
    """A strided view of a storage that lies within it and has no more elements than it.

    Raises:
        UntrustedFileError: anything about it is not so.
    """
    if not isinstance(storage, Storage):
        raise UntrustedFileError("it rebuilds a tensor from something that is not a storage")
    if not isinstance(size, tuple) or not isinstance(stride, tuple) or len(size) != len(stride):
        raise UntrustedFileError("the shape of a tensor is damaged")
    if len(size) > MAX_DIMENSIONS or any(type(n) is not int for n in (offset, *size, *stride)):
        raise UntrustedFileError("the shape of a tensor is damaged")
    if min((offset, *size, *stride)) < 0:
        raise UntrustedFileError(f"it has a tensor of a negative shape, stride or offset ({size}, {stride})")
    count = math.prod(size)
    last = offset + sum((n - 1) * s for n, s in zip(size, stride, strict=True))
    if count and (count > storage.numel or last >= storage.numel):
        raise UntrustedFileError(
            f"it has a tensor of shape {_short(size)} over a storage of {storage.numel} numbers, which is too small"
        )
    if count == 0 and max(size) >= 1 << 48:
        raise UntrustedFileError(f"it has a tensor of the impossible shape {_short(size)}")
    if storage.values is None:
        return None
    budget.container()
    budget.data(count * item_size(storage.dtype), "a tensor")
    if count == 0:
        return torch.empty(size, dtype=storage.dtype)
    return storage.values.as_strided(size, stride, offset)


def _short(size: tuple[int, ...]) -> str:
    return str(size) if len(str(size)) < 80 else str(size)[:80] + "..."


def handlers(budget: Budget, *, nested: bool) -> dict[str, Handler]:
    """Handlers of the calls in pickled tensors; `nested` also takes storages that carry a whole file in their bytes."""

    def rebuild(args: tuple[Any, ...]) -> Any:
        if len(args) < 4:
            raise UntrustedFileError("a tensor of it is damaged")
        return make_tensor(budget, *args[:4])

    def rebuild_v3(args: tuple[Any, ...]) -> Any:
        if len(args) < 7 or not isinstance(args[0], Storage):
            raise UntrustedFileError("a tensor of it is damaged")
        dtype = args[6].text.removeprefix("torch.") if isinstance(args[6], Name) else ""
        kind = {str(d).removeprefix("torch."): d for d in STORAGE_DTYPES.values()}.get(dtype)
        if kind is None:
            raise UntrustedFileError(f"it has a tensor of the unknown kind '{dtype}'")
        numel = args[0].numel // item_size(kind)
        values = args[0].values
        if values is not None:
            if values.data_ptr() % item_size(kind):
                budget.data(values.numel(), "a storage")
                values = values.clone()
            values = values.view(torch.uint8) != 0 if kind is torch.bool else values.view(kind)
        return make_tensor(budget, Storage(kind, numel, values), *args[1:4])

    def parameter(args: tuple[Any, ...]) -> Any:
        if not args or not (args[0] is None or isinstance(args[0], Tensor)):
            raise UntrustedFileError("a parameter of it is not a tensor")
        return args[0]

    def size(args: tuple[Any, ...]) -> Any:
        if len(args) != 1 or not isinstance(args[0], tuple | list) or len(args[0]) > MAX_DIMENSIONS:
            raise UntrustedFileError("the shape of a tensor is damaged")
        return tuple(args[0])

    def device(args: tuple[Any, ...]) -> Any:
        if not 1 <= len(args) <= 2 or not all(isinstance(a, str | int) and len(str(a)) < 40 for a in args):
            raise UntrustedFileError("the name of a device is damaged")
        return ":".join(map(str, args))

    def nested_storage(args: tuple[Any, ...]) -> Any:
        if not nested or len(args) != 1 or not isinstance(args[0], bytes | memoryview):
            raise UntrustedFileError("it carries a file within a file where none belongs")
        data = memoryview(bytearray(args[0])) if isinstance(args[0], bytes) else args[0]
        found = read_legacy(data, budget, allow={})
        if not isinstance(found, Storage):
            raise UntrustedFileError("what it carries in a storage is not a run of numbers")
        return found

    return {
        "torch._utils._rebuild_tensor": rebuild,
        "torch._utils._rebuild_tensor_v2": rebuild,
        "torch._utils._rebuild_tensor_v3": rebuild_v3,
        "torch._utils._rebuild_parameter": parameter,
        "torch._utils._rebuild_parameter_with_state": parameter,
        "torch.Size": size,
        "torch.device": device,
        "torch.storage._load_from_bytes": nested_storage,
    }


Find = Callable[[str, torch.dtype, int], "Tensor | None"]


def persistent(find: Find) -> Callable[[Any], Storage]:
    """What the persistent ids of torch files stand for; `find(key, dtype, numel)` gives the numbers."""

    def load(key: Any) -> Storage:
        if not isinstance(key, tuple) or len(key) < 5 or key[0] != "storage" or not isinstance(key[1], Name):
            raise UntrustedFileError("it refers to something that is not a storage")
        dtype = STORAGE_DTYPES.get(key[1].text)
        if dtype is None:
            raise UntrustedFileError(f"it has a storage of the unknown kind '{key[1].text}'")
        if not isinstance(key[2], str) or type(key[4]) is not int or not 0 <= key[4] < 1 << 48:
            raise UntrustedFileError(f"it has a storage of the impossible length {str(key[4])[:40]}")
        if len(key) > 5 and key[5] is not None:
            raise UntrustedFileError(
                "it has a storage that is a part of another, as PyTorch before 0.4 wrote it"
            )
        return Storage(dtype, key[4], find(key[2], dtype, key[4]))

    return load


def read_legacy(data: memoryview, budget: Budget, allow: Allowed) -> Any:
    """The object in a file that `torch.save` wrote before 1.6, or in the bytes of a pickled storage."""
    from .reading import tables

    if bytes(data[: len(TORCH_MAGIC)]) != TORCH_MAGIC:
        raise UntrustedFileError("what it carries in a storage was not written by torch.save")
    table, plain = tables(budget, nested=False)

    def run(at: int, find: Find | None) -> tuple[Any, int]:
        machine = Machine(data, budget, table, plain, allow, persistent(find) if find else None, at)
        return machine.run(), machine.at

    version, at = run(len(TORCH_MAGIC), None)
    system, at = run(at, None)
    if version != PROTOCOL or not isinstance(system, dict) or system.get("little_endian") is not True:
        raise UntrustedFileError(
            "its torch header is damaged, or it comes from a machine of another byte order"
        )
    declared: dict[str, tuple[torch.dtype, int]] = {}

    def note(key: str, dtype: torch.dtype, numel: int) -> None:
        if declared.setdefault(key, (dtype, numel)) != (dtype, numel):
            raise UntrustedFileError("it describes one storage in two ways")

    start = at
    _, at = run(start, note)
    keys, at = run(at, None)
    if (
        not isinstance(keys, list)
        or len(set(map(str, keys))) != len(keys)
        or set(map(str, keys)) != set(declared)
    ):
        raise UntrustedFileError("its list of storages does not fit its contents")
    found: dict[str, Tensor] = {}
    for key in map(str, keys):
        dtype, numel = declared[key]
        if len(data) - at < 8 or int.from_bytes(data[at : at + 8], "little") != numel:
            raise UntrustedFileError("it is cut off, or a storage in it has another length than announced")
        size = numel * item_size(dtype)
        if size > len(data) - at - 8:
            raise UntrustedFileError(
                f"it is cut off or lies: a storage of {size} bytes was announced, {len(data) - at - 8} are left"
            )
        budget.data(size, "a storage")
        found[key] = view_of(data[at + 8 : at + 8 + size], dtype)
        at += 8 + size
    return run(start, lambda key, dtype, numel: found[key])[0]
