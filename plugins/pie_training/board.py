"""TensorBoard events of a training; the package is imported only when they are asked for."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from pie_framework.errors import ConfigError


class Board:
    """Writes curves and pictures as events into a folder.

    Raises:
        ConfigError: TensorBoard is not installed.
    """

    def __init__(self, folder: Path) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise ConfigError(
                f"tensorboard=true needs TensorBoard ({error})", "pip install 'pie-framework[tensorboard]'"
            ) from error
        self._writer: Any = SummaryWriter(str(folder))

    def scalars(self, step: int, row: Mapping[str, float]) -> None:
        """A row of the curve."""
        for name, value in row.items():
            if name != "step" and math.isfinite(value):
                self._writer.add_scalar(name, value, step)
        self._writer.flush()

    def picture(self, step: int, name: str, picture: Tensor) -> None:
        """A picture (3, H, W) in [-1, 1]."""
        self._writer.add_image(name, (picture.detach().float().cpu().clamp(-1, 1) + 1) / 2, step)

    def close(self) -> None:
        self._writer.close()
