"""Reads foreign files as data: pickles, torch files, safetensors. Nothing of a file is ever imported or run.

Checkpoints come from the network and a pickle can ask for any function of Python. The readers here rebuild tensors,
numbers, texts and containers, compare every announced size with the bytes there are, and refuse everything else with
one `UntrustedFileError`. PyTorch is imported when the first file is read.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from .reading import read_any, read_pickle, read_torch
from .records import Allowed, Handler, Limits, Name, Record, UntrustedFileError
from .source import PathLike, open_bytes, sniff

if TYPE_CHECKING:
    from torch import nn

    from .filling import Network
    from .header import SafeTensors


def read_safetensors(path: PathLike, *, limits: Limits | None = None) -> SafeTensors:
    """Tensors and metadata of a safetensors file: `(tensors, metadata)`.

    Raises:
        AssetError: there is no such file.
        UntrustedFileError: its header does not fit its bytes.
    """
    from .header import parse
    from .reading import _guarded

    data = open_bytes(path)
    found: SafeTensors = _guarded(path, lambda: parse(data, limits or Limits()))
    return found


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
    from .filling import fill as fill_now

    fill_now(module, state, source, ignore)


def build(
    make: Callable[[], Network], state: Any, source: PathLike, *, ignore: tuple[str, ...] = ()
) -> Network:
    """A network whose sizes come from an untrusted file, filled with its tensors.

    The network is first made without memory (on PyTorch's meta device) and compared with the tensors, so that a file
    cannot ask for a network that is larger than itself.

    Args:
        make: makes the network; called twice.
        state, source, ignore: as of `fill`.

    Raises:
        UntrustedFileError: as of `fill`.
    """
    from .filling import build as build_now

    return build_now(make, state, source, ignore)


__all__ = [
    "Allowed",
    "Handler",
    "Limits",
    "Name",
    "PathLike",
    "Record",
    "UntrustedFileError",
    "build",
    "fill",
    "open_bytes",
    "read_any",
    "read_pickle",
    "read_safetensors",
    "read_torch",
    "sniff",
]
