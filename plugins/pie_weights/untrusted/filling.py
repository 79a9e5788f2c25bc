"""Puts a state dict that was read from a foreign file into a network, if it fits."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, TypeVar

from pie_framework.errors import ConfigError, did_you_mean

from .records import UntrustedFileError
from .source import PathLike

if TYPE_CHECKING:
    from torch import Tensor, nn

    Network = TypeVar("Network", bound=nn.Module)


def build(
    make: Callable[[], Network], state: Any, source: PathLike, *, ignore: tuple[str, ...] = ()
) -> Network:
    """A network whose sizes come from an untrusted file, filled with its tensors.

    The network is first made without memory (on PyTorch's meta device) and compared with the tensors, so that a file
    cannot ask for a network that is larger than itself. Nor can a number in it (such as a depth) drive a loop for long:
    no more modules, parameters and buffers are made than belong to so many tensors.

    Args:
        make: makes the network; called twice.
        state, source, ignore: as of `fill`.

    Raises:
        UntrustedFileError: as of `fill`, or the network has many more parts than the file has tensors.
    """
    import torch

    try:
        with torch.device("meta"), _few_parts(len(state), source):
            outline = make()
    except ConfigError:
        raise
    except (RuntimeError, ValueError, TypeError, OverflowError, MemoryError) as error:
        raise UntrustedFileError(f"the architecture in '{source}' cannot be built: {error}") from error
    _check(outline, state, source, ignore)
    module = make()
    _load(module, state)
    return module


@contextmanager
def _few_parts(tensors: int, source: PathLike) -> Iterator[None]:
    """Fail when the networks that this thread makes have more parts than networks of so many tensors have."""
    from torch.nn.modules import module

    left, thread = 256 + 16 * tensors, threading.get_ident()

    def count(*part: object) -> None:
        nonlocal left
        left -= threading.get_ident() == thread
        if left < 0:
            raise UntrustedFileError(
                f"the architecture in '{source}' asks for many more parts than the file's {tensors} tensors are for"
            )

    hooks = [
        module.register_module_module_registration_hook(count),
        module.register_module_parameter_registration_hook(count),
        module.register_module_buffer_registration_hook(count),
    ]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def fill(module: nn.Module, state: Any, source: PathLike, *, ignore: tuple[str, ...] = ()) -> None:
    """Load a state dict into a network after checking that it fits exactly.

    Args:
        module: the network; its parameters and buffers are overwritten, in their own dtype.
        state: name -> tensor, as read from the file.
        source: the file, for messages.
        ignore: names in the file that the network does not need, as `fnmatch` patterns.

    Raises:
        UntrustedFileError: names are missing or unknown, or a tensor has another shape, no floating-point numbers where
            the network has them, or values that are not finite.
    """
    _check(module, state, source, ignore)
    _load(module, state)


def _load(module: nn.Module, state: dict[str, Tensor]) -> None:
    module.load_state_dict({name: state[name].to(own.dtype) for name, own in module.state_dict().items()})


def _check(module: nn.Module, state: Any, source: PathLike, ignore: tuple[str, ...]) -> None:
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
        _check_tensor(name, own, state[name], source)


def _check_tensor(name: str, own: Tensor, other: Any, source: PathLike) -> None:
    import torch

    if not isinstance(other, torch.Tensor):
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
