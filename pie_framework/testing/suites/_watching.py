"""What a component may not touch: kept before it is used, compared afterwards."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

#: How deep objects inside objects are looked at; the modules of a network are looked at however deep they lie.
DEPTH = 6
#: A seed that nobody uses.
UNLIKELY = 1_870_236_451


@contextmanager
def untouched_globals() -> Iterator[None]:
    """Raise AssertionError when a global random generator or a global setting of torch is changed inside."""
    with globals_kept():
        torch.default_generator.manual_seed(UNLIKELY)  # so that seeding them with a usual seed shows
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
    cuda = _cuda_states()
    dtype, gradients, threads = (
        torch.get_default_dtype(),
        torch.is_grad_enabled(),
        torch.get_num_threads(),
    )
    deterministic = torch.are_deterministic_algorithms_enabled()
    warns_only = torch.is_deterministic_algorithms_warn_only_enabled()
    try:
        yield
    finally:
        torch.random.set_rng_state(states[0])
        np.random.set_state(states[1])
        random.setstate(states[2])
        if cuda:
            torch.cuda.set_rng_state_all(cuda)
        torch.set_default_dtype(dtype)
        torch.set_grad_enabled(gradients)
        torch.set_num_threads(threads)
        torch.use_deterministic_algorithms(deterministic, warn_only=warns_only)


def _cuda_states() -> list[Tensor]:
    """The states of the random generators of all GPUs; none before CUDA is used."""
    return torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else []  # type: ignore[no-untyped-call]


def _globals() -> dict[str, Any]:
    name, keys, *rest = np.random.get_state(legacy=True)
    return {
        "the global random generator of torch": torch.random.get_rng_state().numpy().tobytes(),
        **{
            f"the random generator of GPU {number}": state.numpy().tobytes()
            for number, state in enumerate(_cuda_states())
        },
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
        if one.dtype != other.dtype or one.shape != other.shape:
            return False
        return torch.equal(one, other) or bool(((one == other) | ((one != one) & (other != other))).all())
    if isinstance(one, np.ndarray) and isinstance(other, np.ndarray):
        return one.dtype == other.dtype and np.array_equal(one, other, equal_nan=one.dtype.kind == "f")
    return bool(one == other)


def _tensors(objects: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Every tensor, array and mode of a module in the objects, with the way to it."""
    seen: set[int] = set()
    for name, value in objects.items():
        for path, found in inside(name, value, seen):
            if isinstance(found, nn.Module):
                yield f"the training mode of {path}", found.training
            else:
                yield path, found


def inside(
    path: str, value: Any, seen: set[int] | None = None, depth: int = DEPTH
) -> Iterator[tuple[str, Any]]:
    """Every tensor, array and module of a network that an object is or holds, each with the way to it, `path` first."""
    seen = set() if seen is None else seen
    if isinstance(value, (Tensor, np.ndarray)):
        yield path, value
    elif isinstance(value, nn.Module):
        for name, module in value.named_modules():
            if id(module) not in seen:
                seen.add(id(module))
                yield from _own(".".join(part for part in (path, name) if part), module, seen, depth)
    elif depth > 0 and id(value) not in seen and (parts := _parts(value)):
        seen.add(id(value))
        for key, part in list(parts.items()):
            yield from inside(f"{path}.{key}".lstrip("."), part, seen, depth - 1)


def _own(path: str, module: nn.Module, seen: set[int], depth: int) -> Iterator[tuple[str, Any]]:
    """A module, and what it holds beside other modules."""
    yield path, module
    kept = {**module._parameters, **module._buffers}
    others = {key: part for key, part in vars(module).items() if depth > 0 and not key.startswith("_")}
    for key, part in {**kept, **others}.items():
        yield from inside(f"{path}.{key}".lstrip("."), part, seen, depth - 1)


def _parts(value: Any) -> Mapping[Any, Any]:
    """What an object is made of that is no tensor and no module of a network."""
    if isinstance(value, (str, bytes, type, ModuleType)):
        return {}
    if isinstance(value, Mapping):
        return value
    if isinstance(value, Sequence):
        return dict(enumerate(value))
    return vars(value) if hasattr(value, "__dict__") else {}
