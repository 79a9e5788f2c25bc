"""Weight files of the generator and its inverter, see `pie_weights.files`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from pie_weights.files import read_weights, write_weights
from pie_weights.untrusted import PathLike

from .formats.own import GENERATOR_FORMAT, configured_as
from .formats.reading import build_generator, read_generator
from .inverter import Inverter, InverterConfig
from .stylegan2 import StyleGAN2

INVERTER_FORMAT = "pie.stylegan2.inverter"


def save_generator(
    generator: StyleGAN2, path: PathLike, *, notes: Mapping[str, Any] | None = None, half: bool = True
) -> None:
    """Write the generator's weights and architecture; half stores floats as float16 (loaded as float32)."""
    write_weights(path, GENERATOR_FORMAT, generator.config.as_dict(), generator.state_dict(), notes, half)


def load_generator(
    path: PathLike, *, device: torch.device | str = "cpu", compute_dtype: torch.dtype | None = None
) -> StyleGAN2:
    """Read a generator: a file that `save_generator` wrote, a NVIDIA pickle or a rosinality checkpoint.

    Which it is shows its content, not its name. Weights come back as float32, not frozen.

    Raises:
        AssetError: the file is missing, damaged, of another format or version, or its tensors do not fit.
    """
    generator = build_generator(read_generator(path), path)
    generator.compute_dtype = compute_dtype
    return generator.to(device)


def save_inverter(
    inverter: Inverter, path: PathLike, *, notes: Mapping[str, Any] | None = None, half: bool = True
) -> None:
    """Write the inverter's weights and architecture; half stores floats as float16 (loaded as float32)."""
    write_weights(path, INVERTER_FORMAT, inverter.config.as_dict(), inverter.state_dict(), notes, half)


def load_inverter(
    path: PathLike, *, device: torch.device | str = "cpu", compute_dtype: torch.dtype | None = None
) -> Inverter:
    """Read a file that `save_inverter` wrote. Raises AssetError as `load_generator` does."""
    weights = read_weights(path, INVERTER_FORMAT)
    configured: InverterConfig = configured_as(InverterConfig, weights.architecture, path)
    inverter = weights.build(lambda: Inverter(configured))
    inverter.compute_dtype = compute_dtype
    return inverter.to(device)
