"""What a component may not touch: kept before it is used, compared afterwards."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

#: How deep objects inside objects are looked at.
DEPTH = 6
#: A seed that nobody uses.
UNLIKELY = 1_870_236_451


@contextmanager
def untouched_globals() -> Iterator[None]:
    """Raise AssertionError when a global random generator or a global setting of torch is changed inside."""
    with globals_kept():
        torch.manual_seed(UNLIKELY)  # so that seeding them with a usual seed shows
        np.random.seed(UNLIKELY)
        random.seed(UNLIKELY)
        before = _globals()
        yield
        after = _globals()
    changed = [name for name, value in before.items() if value != after[name]]
    assert not changed, f"changed: {', '.join(changed)}"


@contextmanager
def globals_kept() -> Iterator[None]:
    """Set back what is changed inside, so that one fault is reported once."""
    states = torch.random.get_rng_state(), np.random.get_state(), random.getstate()
    dtype, gradients, threads = (
        torch.get_default_dtype(),
        torch.is_grad_enabled(),
        torch.get_num_threads(),
    )
    try:
        yield
    finally:
        torch.random.set_rng_state(states[0])
        np.random.set_state(states[1])
        random.setstate(states[2])
        torch.set_default_dtype(dtype)
        torch.set_grad_enabled(gradients)
        torch.set_num_threads(threads)


def _globals() -> dict[str, Any]:
    name, keys, *rest = np.random.get_state(legacy=True)
    return {
        "the global random generator of torch": torch.random.get_rng_state().numpy().tobytes(),
        "the global random generator of numpy": (name, np.asarray(keys).tobytes(), *rest),
        "the global random generator of python": random.getstate(),
        "torch's default dtype": torch.get_default_dtype(),
        "torch's gradient mode": torch.is_grad_enabled(),
        "torch's number of threads": torch.get_num_threads(),
        "torch's deterministic mode": torch.are_deterministic_algorithms_enabled(),
    }


class Snapshot:
    """Copies of every tensor and array that some objects hold, to be compared later.

    Args:
        objects: what is looked at, by the name that a message gives it: tensors, modules, dataclasses, other objects,
            and mappings and sequences of them.
    """

    def __init__(self, **objects: Any) -> None:
        self._objects = objects
        self._before = {path: _kept(value) for path, value in _tensors(objects)}

    def check(self) -> None:
        """Raise AssertionError that names what is no longer as it was."""
        now = dict(_tensors(self._objects))
        for path, before in self._before.items():
            assert path in now, f"{path} was taken away or replaced"
            after = _kept(now[path])
            assert _same(before[0], after[0]), f"{path} was changed"
            assert before[1] == after[1], f"whether {path} asks for a gradient was changed"


def _kept(value: Any) -> tuple[Any, bool]:
    if isinstance(value, Tensor):
        return value.detach().clone(), value.requires_grad and value.is_leaf
    return (value.copy() if isinstance(value, np.ndarray) else value), False


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, Tensor) and isinstance(other, Tensor):
        return one.dtype == other.dtype and one.shape == other.shape and torch.equal(_bits(one), _bits(other))
    if isinstance(one, np.ndarray) and isinstance(other, np.ndarray):
        return one.dtype == other.dtype and np.array_equal(one, other, equal_nan=one.dtype.kind == "f")
    return bool(one == other)


def _bits(value: Tensor) -> Tensor:
    return torch.nan_to_num(value) if value.is_floating_point() else value


def _tensors(objects: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Every tensor, array and mode of a module in the objects, with the way to it."""
    seen: set[int] = set()
    for name, value in objects.items():
        yield from _inside(name, value, seen, DEPTH)


def _inside(path: str, value: Any, seen: set[int], depth: int) -> Iterator[tuple[str, Any]]:
    if isinstance(value, (Tensor, np.ndarray)):
        yield path, value
        return
    if depth == 0 or id(value) in seen or isinstance(value, (str, bytes, type)):
        return
    seen.add(id(value))
    if isinstance(value, nn.Module):
        yield f"the training mode of {path}", value.training
        parts: Mapping[Any, Any] = {
            **value._parameters,
            **value._buffers,
            **value._modules,
            **{key: kept for key, kept in vars(value).items() if not key.startswith("_")},
        }
    elif isinstance(value, Mapping):
        parts = value
    elif isinstance(value, Sequence):
        parts = dict(enumerate(value))
    elif hasattr(value, "__dict__") and not callable(value):
        parts = vars(value)
    else:
        return
    for key, part in list(parts.items()):
        yield from _inside(f"{path}.{key}", part, seen, depth - 1)
