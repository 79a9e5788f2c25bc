"""Any file that holds a StyleGAN2 generator, by its content and never by its name."""

from __future__ import annotations

from pie_stylegan.stylegan2 import StyleGAN2
from pie_weights.untrusted import PathLike, UntrustedFileError, build, read_any, sniff

from . import rosinality, stylegan2_nvidia
from .checkpoint import Checkpoint
from .nvidia import read_network
from .own import read_own_generator

KNOWN = "A NVIDIA pickle, a rosinality checkpoint or a safetensors file of this package is read here."


def read_generator(path: PathLike) -> Checkpoint:
    """The StyleGAN2 generator in a file of any known kind.

    Raises:
        AssetError: there is no such file, or it holds none. Nothing of the file is run.
    """
    kind = sniff(path)
    if kind == "safetensors":
        return read_own_generator(path)
    if kind == "pickle":
        return stylegan2_nvidia.convert(read_network(path), path)
    if kind in ("torch-zip", "torch-legacy"):
        return rosinality.read(path)
    if kind == "unknown":
        read_any(path)
    raise UntrustedFileError(f"'{path}' is a {kind} file, which holds no StyleGAN2 generator", KNOWN)


def build_generator(checkpoint: Checkpoint, path: PathLike) -> StyleGAN2:
    """The network on the processor, in float32, not frozen.

    Raises:
        AssetError: the tensors do not fit the architecture.
    """
    generator = build(lambda: StyleGAN2(checkpoint.config), checkpoint.state, path)
    if checkpoint.estimate_mean:
        generator.mapping.w_avg.copy_(generator.mapping.estimate_mean())
    return generator
