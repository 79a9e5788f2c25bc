"""Weight files of our own networks: safetensors whose header says which network they are for. Nothing of them is run.

The header's key "pie" is `{"format": KIND, "version": 1, "config": {...}, "notes": {...}}`. Files of earlier releases
have the keys "kind", "architecture" and "notes" instead; they are read as well.
"""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from pie_framework.api.layout import Block, Layout
from pie_framework.errors import AssetError
from pie_framework.files.io import save_tensors
from pie_weights.untrusted import build, read_safetensors

M = TypeVar("M", bound=nn.Module)
StrPath = str | os.PathLike[str]
VERSION = 1


@dataclass(frozen=True)
class WeightFile:
    """What a weight file holds.

    Attributes:
        path: the file.
        architecture: arguments that build the network.
        state: its tensors by name, in the type in which they are stored.
        notes: how the weights were made, as written by the recipe.
    """

    path: StrPath
    architecture: dict[str, Any]
    state: dict[str, Tensor]
    notes: dict[str, Any]

    def build(self, make: Callable[[], M]) -> M:
        """The network that `make` makes, filled; the file is not trusted, and gets no network larger than itself.

        Raises:
            AssetError: names, shapes or kinds of numbers do not fit. What `make` raises comes through.
        """
        return build(make, self.state, self.path)


def write_weights(
    path: StrPath,
    kind: str,
    architecture: Mapping[str, Any],
    state: Mapping[str, Tensor],
    notes: Mapping[str, Any] | None = None,
    half: bool = True,
    exact: Sequence[str] = (),
) -> None:
    """Write a weight file.

    Args:
        path: the file; it appears under its name only when complete. Folders are made.
        kind: name of the network it is for, such as "recognition".
        architecture: arguments that build the network, JSON values.
        state: tensors by name.
        notes: how the weights were made and how good they are, JSON values.
        half: store floating point tensors as float16, but for those whose names end with one of `exact`.

    Raises:
        AssetError: a value is not finite or, with `half`, too large for float16.
    """
    header = {"format": kind, "version": VERSION, "config": dict(architecture), "notes": dict(notes or {})}
    tensors = {}
    for name, tensor in state.items():
        smaller = half and tensor.is_floating_point() and not name.endswith(tuple(exact))
        tensors[name] = tensor.detach().half() if smaller else tensor.detach()
        if not torch.isfinite(tensors[name]).all():
            raise AssetError(
                f"'{name}' holds values that float16 cannot store or that are not finite", "Use half=false."
            )
    save_tensors(path, tensors, {"pie": json.dumps(header)})


def read_weights(path: StrPath, kind: str | None, hints: Mapping[str, str] | None = None) -> WeightFile:
    """Read a weight file.

    Args:
        path: the file.
        kind: what it must be for; None for anything.
        hints: by kind, what to do with a file that is for that instead.

    Raises:
        AssetError: the file is missing, damaged, of a newer version, or for another kind of network.
    """
    if not Path(path).is_file():
        raise AssetError(f"there is no weight file '{path}'", "Check the path, or train the weights first.")
    state, metadata = read_safetensors(path)
    try:
        found, version, architecture, notes = _header(metadata)
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise AssetError(
            f"'{path}' does not say which network it is for",
            "It is not a network of this kind that 'pie convert' or 'pie train' wrote: its header has no key 'pie' "
            "with a format and config.",
        ) from error
    if kind is not None and found != kind:
        hint = (hints or {}).get(found, "Choose another file.")
        raise AssetError(f"'{path}' holds '{found[:80]}', not '{kind}'", hint)
    if version != VERSION:
        raise AssetError(
            f"'{path}' has version {str(version)[:20]} of its format; this release reads version {VERSION}"
        )
    return WeightFile(path, architecture, state, notes)


def holds(path: StrPath, kind: str) -> bool:
    """Whether a safetensors file says that it holds a network of this kind."""
    try:
        return _header(read_safetensors(path).metadata)[0] == kind
    except (KeyError, TypeError, ValueError, RecursionError):
        return False


def _header(metadata: Mapping[str, str]) -> tuple[str, object, dict[str, Any], dict[str, Any]]:
    """Kind, version, architecture and notes; KeyError, TypeError or ValueError where there are none."""
    if "pie" in metadata:
        header = json.loads(metadata["pie"])
        kind, version, config = header["format"], header["version"], header["config"]
        notes = header.get("notes", {})
    else:
        kind, version = metadata["kind"], VERSION
        config, notes = json.loads(metadata["architecture"]), json.loads(metadata.get("notes", "{}"))
    return str(kind), version, dict(config), dict(notes)


def load_network(
    path: StrPath, kind: str, make: Callable[..., M], device: torch.device, dtype: torch.dtype
) -> M:
    """A frozen network from its weight file, in the memory layout in which convolutions are quickest on CPU.

    Args:
        path: the file.
        kind: what it must be for.
        make: called with the file's architecture as keyword arguments.
        device: where to put it.
        dtype: of its parameters.

    Raises:
        AssetError: the file is missing, damaged, for another kind of network, or does not fit.
    """
    weights = read_weights(path, kind)
    network = weights.build(lambda: make(**weights.architecture))
    placed: M = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return placed.to(device=device, dtype=dtype).eval().requires_grad_(False)


def layout_as_values(layout: Layout) -> list[dict[str, Any]]:
    """The blocks as JSON values, for the header of a weight file."""
    return [dataclasses.asdict(block) for block in layout.blocks]


def layout_from_values(values: Sequence[Mapping[str, Any]]) -> Layout:
    """The inverse of `layout_as_values`; KeyError or TypeError when the values are something else."""
    return Layout(tuple(Block(**{**block, "names": tuple(block["names"])}) for block in values))
