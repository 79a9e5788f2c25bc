"""Weight files: safetensors whose metadata says which network they are for. Nothing in them is executed."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors.torch import save
from torch import Tensor, nn

from pie_framework import untrusted
from pie_framework.errors import AssetError
from pie_training.blocks import channels_last

M = TypeVar("M", bound=nn.Module)


@dataclass(frozen=True)
class WeightFile:
    """What a weight file holds.

    Attributes:
        architecture: arguments that build the network.
        state: its tensors by name.
        notes: how the weights were made, as written by the recipe.
    """

    architecture: dict[str, Any]
    state: dict[str, Tensor]
    notes: dict[str, Any]


def write_weights(
    path: str | os.PathLike[str],
    kind: str,
    architecture: Mapping[str, Any],
    state: Mapping[str, Tensor],
    notes: Mapping[str, Any] | None = None,
    half: bool = True,
) -> None:
    """Write a weight file.

    Args:
        path: the file; it appears under its name only when complete. Folders are made.
        kind: name of the network it is for, such as "recognition".
        architecture: arguments that build the network, JSON values.
        state: tensors by name.
        notes: how the weights were made and how good they are, JSON values.
        half: store floating point tensors as float16.
    """
    tensors = {
        name: (tensor.half() if half and tensor.is_floating_point() else tensor).detach().cpu().contiguous()
        for name, tensor in state.items()
    }
    metadata = {
        "kind": kind,
        "architecture": json.dumps(dict(architecture)),
        "notes": json.dumps(dict(notes or {})),
    }
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(target.name + ".part")
    temporary.write_bytes(save(tensors, metadata))
    temporary.replace(target)


def read_weights(path: str | os.PathLike[str], kind: str) -> WeightFile:
    """Read a weight file; floating point tensors come back as float32.

    Raises:
        AssetError: if the file is missing, is not safetensors, or is for another kind of network.
    """
    if not Path(path).is_file():
        raise AssetError(f"there is no weight file {path}", "Check the path, or train the weights first.")
    state, metadata = untrusted.read_safetensors(path)
    found = metadata.get("kind")
    if found != kind:
        what = f"is for '{found}'" if found else "does not say which network it is for"
        raise AssetError(f"{path} {what}; '{kind}' weights are needed", "Choose another file.")
    try:
        architecture = dict(json.loads(metadata["architecture"]))
        notes = dict(json.loads(metadata.get("notes", "{}")))
    except (KeyError, ValueError, TypeError, RecursionError) as error:
        raise AssetError(f"the metadata of {path} cannot be read: {error}") from error
    full = {name: tensor.float() if tensor.is_floating_point() else tensor for name, tensor in state.items()}
    return WeightFile(architecture, full, notes)


def build_from(weights: WeightFile, path: str | os.PathLike[str], make: Callable[[], M]) -> M:
    """The network that `make` makes, filled; the file is not trusted, and gets no network larger than itself.

    Raises:
        AssetError: names, shapes or kinds of numbers do not fit. What `make` raises comes through.
    """
    return untrusted.build(make, weights.state, path)


def load_network(
    path: str | os.PathLike[str], kind: str, build: Callable[..., M], device: torch.device, dtype: torch.dtype
) -> M:
    """A frozen network from its weight file.

    Args:
        path: the file.
        kind: what it must be for.
        build: called with the file's architecture as keyword arguments.
        device: where to put it.
        dtype: of its parameters.

    Raises:
        AssetError: the file is missing, damaged, for another kind of network, or does not fit.
    """
    weights = read_weights(path, kind)
    network = build_from(weights, path, lambda: build(**weights.architecture))
    return channels_last(network).to(device=device, dtype=dtype).eval().requires_grad_(False)
