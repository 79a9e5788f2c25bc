"""Generators in weight files of our own, see `pie_weights.files`."""

from __future__ import annotations

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
    config = weights.stated(StyleGAN2Config)
    return Checkpoint(config, weights.state, OWN, stored_dtype(weights.state), notes=weights.notes)
