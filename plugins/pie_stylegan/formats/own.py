"""Generators in weight files of our own, see `pie_weights.files`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pie_framework.errors import AssetError, PieError
from pie_stylegan.stylegan2 import StyleGAN2Config
from pie_weights.files import read_weights
from pie_weights.untrusted import PathLike

from .checkpoint import OWN, Checkpoint, stored_dtype

GENERATOR_FORMAT = "pie.stylegan2"
#: Formats of generators, with the hint for those who chose another.
GENERATORS = {GENERATOR_FORMAT: "Use generator=stylegan2.", "pie.stylegan3": "Use generator=stylegan3."}


def read_own_generator(path: PathLike) -> Checkpoint:
    """The StyleGAN2 generator of such a file.

    Raises:
        AssetError: the file is missing, damaged, of another format or version, or states no such architecture.
    """
    weights = read_weights(path, GENERATOR_FORMAT, GENERATORS)
    configured: StyleGAN2Config = configured_as(StyleGAN2Config, weights.architecture, path)
    return Checkpoint(configured, weights.state, OWN, stored_dtype(weights.state), notes=weights.notes)


def configured_as(kind: type[Any], config: Mapping[str, Any], path: PathLike) -> Any:
    """The architecture that a file's header states. AssetError where there is no such."""
    try:
        return kind(**config)
    except (TypeError, ValueError, OverflowError, PieError) as error:
        raise AssetError(f"the architecture in '{path}' cannot be built: {error}") from error
