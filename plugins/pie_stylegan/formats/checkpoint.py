"""What every reader of generator files gives: architecture, state dict of this package's names, description."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from pie_stylegan.stylegan2 import StyleGAN2Config

NVIDIA = "NVIDIA pickle"
ROSINALITY = "rosinality state dict"
OWN = "pie safetensors"


@dataclass
class Checkpoint:
    """A StyleGAN2 generator as read from a file.

    Attributes:
        config: the architecture.
        state: tensors by the names of `StyleGAN2.state_dict()`; some may be views of the mapped file.
        format: which program's file it is.
        dtype: of the numbers in the file.
        estimate_mean: the file has no mean latent, which then is estimated.
        notes: anything else worth telling, in plain values.
    """

    config: StyleGAN2Config
    state: dict[str, Tensor]
    format: str
    dtype: str
    estimate_mean: bool = False
    notes: dict[str, Any] = field(default_factory=dict)


def stored_dtype(state: dict[str, Tensor]) -> str:
    """The kind of the numbers in a file, such as "float32"."""
    kinds = {str(t.dtype).removeprefix("torch.") for t in state.values() if t.is_floating_point()}
    return "/".join(sorted(kinds)) or "none"
