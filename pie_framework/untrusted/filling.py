"""Puts a state dict that was read from a foreign file into a network, if it fits."""

from __future__ import annotations

from collections.abc import Callable
from fnmatch import fnmatchcase
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from pie_framework.errors import ConfigError, did_you_mean

from .records import UntrustedFileError
from .source import PathLike

Network = TypeVar("Network", bound=nn.Module)


def build(make: Callable[[], Network], state: Any, source: PathLike, ignore: tuple[str, ...] = ()) -> Network:
    """See `pie_framework.untrusted.build`."""
    try:
        with torch.device("meta"):
            outline = make()
    except ConfigError:
        raise
    except (RuntimeError, ValueError, TypeError, OverflowError, MemoryError) as error:
        raise UntrustedFileError(f"the architecture in '{source}' cannot be built: {error}") from error
    check(outline, state, source, ignore)
    module = make()
    _load(module, state)
    return module


def fill(module: nn.Module, state: Any, source: PathLike, ignore: tuple[str, ...] = ()) -> None:
    """See `pie_framework.untrusted.fill`."""
    check(module, state, source, ignore)
    _load(module, state)


def _load(module: nn.Module, state: dict[str, Tensor]) -> None:
    module.load_state_dict({name: state[name].to(own.dtype) for name, own in module.state_dict().items()})


def check(module: nn.Module, state: Any, source: PathLike, ignore: tuple[str, ...] = ()) -> None:
    """Raise UntrustedFileError unless the state dict fits the network exactly."""
    if not isinstance(state, dict) or not all(isinstance(name, str) for name in state):
        raise UntrustedFileError(f"'{source}' has no state dict where one belongs")
    expected = module.state_dict()
    missing = sorted(expected.keys() - state.keys())
    unexpected = sorted(
        name for name in state.keys() - expected.keys() if not any(fnmatchcase(name, p) for p in ignore)
    )
    if missing:
        hint = did_you_mean(missing[0], unexpected) if unexpected else "Is it the file of another network?"
        raise UntrustedFileError(f"'{source}' lacks {len(missing)} tensors, first '{missing[0]}'", hint)
    if unexpected:
        raise UntrustedFileError(
            f"'{source}' has {len(unexpected)} tensors that the network does not, first '{unexpected[0][:120]}'",
            "Is it the file of another network?",
        )
    for name, own in expected.items():
        _check(name, own, state[name], source)


def _check(name: str, own: Tensor, other: Any, source: PathLike) -> None:
    if not isinstance(other, Tensor):
        raise UntrustedFileError(f"'{name}' in '{source}' is not a tensor")
    if own.shape != other.shape:
        raise UntrustedFileError(f"'{name}' in '{source}' is {tuple(other.shape)}, not {tuple(own.shape)}")
    if own.is_floating_point() != other.is_floating_point():
        raise UntrustedFileError(f"'{name}' in '{source}' holds {other.dtype}, not {own.dtype}")
    if own.is_floating_point() and not bool(torch.isfinite(other.to(own.dtype)).all()):
        raise UntrustedFileError(
            f"'{name}' in '{source}' holds values that are not finite (NaN or infinity)",
            "The training of this network broke, or the file is damaged.",
        )
