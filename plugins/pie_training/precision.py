"""Mixed precision: networks compute in a smaller type, weights and losses stay in theirs."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch

KINDS = {"bfloat16": torch.bfloat16, "float16": torch.float16}


def autocast(precision: str, device: torch.device) -> AbstractContextManager[Any]:
    """What networks run in: "float32" changes nothing, "bfloat16" and "float16" are `torch.autocast`."""
    if precision not in KINDS:
        return nullcontext()
    return torch.autocast(device.type, KINDS[precision])
