"""State dicts of public checkpoints: read without running anything, unwrapped, and compared with a network."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import TypeVar

import torch
from torch import Tensor, nn

from pie_framework.api import BuildContext
from pie_framework.errors import AssetError
from pie_training.blocks import channels_last
from pie_weights.untrusted import PathLike, fill, read_any, read_safetensors, sniff

M = TypeVar("M", bound=nn.Module)

#: Keys under which training scripts keep the weights beside other things.
WRAPPERS = ("state_dict", "state_dict_backbone", "model_state_dict", "model", "backbone", "net", "network")
#: What data-parallel training and wrapping classes put before every name.
PREFIX = re.compile(r"^(?:module|_orig_mod)\.")


def read_state(path: PathLike) -> dict[str, Tensor]:
    """The tensors of a safetensors or torch file by name, whatever the file is called.

    Wrappers such as {"state_dict": ...} are opened and the prefix `module.` is taken off.

    Raises:
        AssetError: the file is missing, damaged, of another kind, or holds something else than tensors by name.
    """
    kind = sniff(path)
    if kind == "safetensors":
        content: object = read_safetensors(path)[0]
    elif kind in ("torch-zip", "torch-legacy"):
        content = read_any(path)
    else:
        raise AssetError(
            f"'{path}' is neither a torch file nor safetensors (its content looks like: {kind})",
            "Give the checkpoint as it was published, or converted with 'pie convert'.",
        )
    return state_of(content, path)


def state_of(content: object, path: PathLike) -> dict[str, Tensor]:
    """The named tensors inside what a file held."""
    for _ in range(3):
        if not isinstance(content, Mapping) or _is_state(content):
            break
        inner = next((content[key] for key in WRAPPERS if isinstance(content.get(key), Mapping)), None)
        if inner is None:
            break
        content = inner
    if not isinstance(content, Mapping) or not _is_state(content):
        raise AssetError(f"'{path}' holds no network's weights by name", "Give a state dict.")
    return {
        PREFIX.sub("", PREFIX.sub("", str(key))): value
        for key, value in content.items()
        if isinstance(value, Tensor)
    }


def _is_state(content: Mapping[object, object]) -> bool:
    return any(
        isinstance(key, str) and "." in key and isinstance(value, Tensor) for key, value in content.items()
    )


def renamed(state: Mapping[str, Tensor], rename: Callable[[str], str | None]) -> dict[str, Tensor]:
    """The tensors under the network's own names; None leaves one out."""
    names = {name: rename(name) for name in state}
    return {new: state[name] for name, new in names.items() if new is not None}


def load(build: Callable[[], M], state: Mapping[str, Tensor], path: PathLike, what: str) -> M:
    """A network with the tensors of a file.

    Args:
        build: makes the network; it is called without drawing first weights.
        state: tensors by the network's own names; counters of batch normalisation may be absent.
        path: for messages.
        what: the network in words, such as "VGG-16".

    Raises:
        AssetError: names are missing or too many, or a shape or type differs, or a value is not finite.
    """
    with torch.device("meta"):
        network = build()
    network = network.to_empty(device="cpu")
    names = network.state_dict()
    if not state.keys() & names.keys():
        raise AssetError(f"'{path}' holds no {what} in a layout that is known", "Choose another file.")
    counters = {
        name: torch.zeros((), dtype=torch.int64) for name in names if name.endswith("num_batches_tracked")
    }
    fill(network, {**counters, **state}, path)
    return network


def ready(network: M, context: BuildContext) -> M:
    """The network as a run uses it: in its place and dtype, frozen."""
    placed = channels_last(network).to(device=context.device, dtype=context.dtype)
    return placed.eval().requires_grad_(False)
