"""What every training recipe needs: a budget, a curve, a state to resume from, and weight files that explain themselves.

A weight file is safetensors whose metadata holds its kind, its architecture and, where θ is involved, the layout
of θ, all as JSON; so a file of another kind is refused by name instead of failing somewhere inside a network.
"""

from __future__ import annotations

import csv
import json
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pie_framework.api.layout import Block, Layout
from pie_framework.errors import AssetError, ConfigError, RunError

if TYPE_CHECKING:
    import torch
    from torch import Tensor

StrPath = str | os.PathLike[str]


@dataclass
class Budget:
    """How long a recipe may go on: a number of steps, a number of seconds, or whichever comes first.

    Attributes:
        steps: steps of the whole training; 0 for no limit.
        seconds: seconds of the whole training, over all its resumed parts; 0 for no limit.
        step: steps taken.
        elapsed: seconds spent in earlier parts.
    """

    steps: int = 0
    seconds: float = 0.0
    step: int = 0
    elapsed: float = 0.0
    _since: float = field(default_factory=time.monotonic, repr=False)

    def __post_init__(self) -> None:
        if self.steps < 0 or self.seconds < 0 or not (self.steps or self.seconds):
            raise ConfigError("a training needs a limit: steps or seconds must be positive", "Set one or both.")

    def spent(self) -> float:
        """Seconds spent, earlier parts included."""
        return self.elapsed + time.monotonic() - self._since

    def fraction(self) -> float:
        """Share of the budget that is used up, 0 to 1; learning rates follow it."""
        by_steps = self.step / self.steps if self.steps else 0.0
        by_time = self.spent() / self.seconds if self.seconds else 0.0
        return min(1.0, max(by_steps, by_time))

    def over(self) -> bool:
        return self.fraction() >= 1.0


class Curve:
    """A CSV file that grows by one row per report; rows of steps that are repeated after a resume are dropped."""

    def __init__(self, path: StrPath, keep_until: int = 0) -> None:
        self.path = Path(path)
        rows = [row for row in self.rows() if int(row["step"]) <= keep_until]
        self._write(rows)

    def rows(self) -> list[dict[str, str]]:
        if not self.path.exists():
            return []
        with self.path.open(newline="") as file:
            return list(csv.DictReader(file))

    def add(self, step: int, values: Mapping[str, float]) -> None:
        row = {"step": str(step), **{name: f"{value:.6g}" for name, value in values.items()}}
        self._write([*self.rows(), row])

    def _write(self, rows: Sequence[Mapping[str, str]]) -> None:
        names = list(dict.fromkeys(name for row in rows for name in row)) or ["step"]
        part = self.path.with_name(self.path.name + ".part")
        with part.open("w", newline="") as file:
            writer = csv.DictWriter(file, names)
            writer.writeheader()
            writer.writerows(rows)
        os.replace(part, self.path)


def save_state(path: StrPath, state: Mapping[str, Any]) -> None:
    """Write a training state (tensors, numbers, text, and lists and dicts of them), all or nothing."""
    import torch

    part = Path(path).with_name(Path(path).name + ".part")
    torch.save(dict(state), part)
    os.replace(part, path)


def load_state(path: StrPath) -> dict[str, Any]:
    """Read what `save_state` wrote; RunError when it cannot be read. Runs no code from the file."""
    import torch

    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, ValueError, EOFError, KeyError) as error:
        raise RunError(f"{path} cannot be read as a training state: {error}", "Delete it to start again.") from error
    if not isinstance(state, dict):
        raise RunError(f"{path} is not a training state", "Delete it to start again.")
    return state


def layout_as_json(layout: Layout) -> str:
    return json.dumps([asdict(block) for block in layout.blocks])


def layout_from_json(text: str) -> Layout:
    """The inverse of `layout_as_json`; ValueError, KeyError or TypeError when the text is something else."""
    blocks = (Block(**{**values, "names": tuple(values["names"])}) for values in json.loads(text))
    return Layout(tuple(blocks))


def save_weights(
    path: StrPath,
    kind: str,
    tensors: Mapping[str, Tensor],
    metadata: Mapping[str, str],
    dtype: torch.dtype | None = None,
) -> None:
    """Write a weight file of a kind, all or nothing.

    Args:
        path: where to; its folder must exist.
        kind: what the file is, such as "mofa-encoder".
        tensors: by name.
        metadata: text by name, such as {"architecture": JSON}.
        dtype: that floating-point tensors are stored in; as they are when None.
    """
    from safetensors.torch import save_file

    stored = {
        name: (value.to(dtype) if dtype is not None and value.is_floating_point() else value).detach().cpu().contiguous()
        for name, value in tensors.items()
    }
    part = Path(path).with_name(Path(path).name + ".part")
    save_file(stored, str(part), metadata={"pie_kind": kind, **metadata})
    os.replace(part, path)


def load_weights(path: StrPath, kind: str) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Read a weight file: (tensors in float32 where they were stored as halves, metadata).

    Raises:
        AssetError: the file is missing, damaged, or of another kind.
    """
    import torch
    from safetensors import SafetensorError, safe_open

    if not Path(path).is_file():
        raise AssetError(f"no weight file at {path}", "Check the path, or train the weights first.")
    try:
        with safe_open(str(path), framework="pt") as file:
            metadata = dict(file.metadata() or {})
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no mapping)
    except (SafetensorError, OSError) as error:
        raise AssetError(f"{path} is not a readable safetensors file: {error}") from error
    found = metadata.get("pie_kind")
    if found != kind:
        raise AssetError(f"{path} holds {found or 'weights of an unknown kind'}, not {kind}", "Choose another file.")
    halves = (torch.float16, torch.bfloat16)
    return {name: value.float() if value.dtype in halves else value for name, value in tensors.items()}, metadata
