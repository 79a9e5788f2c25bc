"""Weight files of StyleGAN3: this package's safetensors, and NVIDIA's pickles as they are."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from pie_framework.api.converting import Conversion
from pie_weights.files import holds, read_weights, write_weights
from pie_weights.untrusted import PathLike, UntrustedFileError, build, read_any, sniff

from .formats.checkpoint import OWN, stored_dtype
from .formats.nvidia import read_network
from .formats.own import GENERATORS, configured_as
from .formats.stylegan3_nvidia import StyleGAN3Checkpoint
from .formats.stylegan3_nvidia import convert as convert_network
from .stylegan3 import StyleGAN3, StyleGAN3Config

FORMAT = "pie.stylegan3"
#: Numbers that float16 would spoil: the filters, and the frequencies and phases of the input.
EXACT = ("_filter", "freqs", "phases", "transform", "magnitude_ema")


def save_stylegan3(
    generator: StyleGAN3, path: PathLike, *, notes: Mapping[str, Any] | None = None, half: bool = True
) -> None:
    """Write the generator's weights and architecture.

    Args:
        half: store weights as float16 (loaded as float32); filters and frequencies stay float32.
    """
    write_weights(path, FORMAT, generator.config.as_dict(), generator.state_dict(), notes, half, EXACT)


def load_stylegan3(
    path: PathLike, *, device: torch.device | str = "cpu", compute_dtype: torch.dtype | None = None
) -> StyleGAN3:
    """Read a generator: a file that `save_stylegan3` wrote, or a NVIDIA pickle, by its content and not by its name.

    Weights come back as float32, not frozen.

    Raises:
        AssetError: the file is missing, damaged, or holds no StyleGAN3 generator. Nothing of it is run.
    """
    generator = _build(_read(path), path)
    generator.compute_dtype = compute_dtype
    return generator.to(device)


def convert(path: Path, kind: str) -> Conversion | None:
    """A StyleGAN3 generator in a NVIDIA pickle or in safetensors of this package; None for other files.

    Raises:
        AssetError: the file asks for more than data, or its tensors do not fit together.
    """
    if kind == "pickle":
        network = read_network(path)
        if network.generation != 3:
            return None
        checkpoint = convert_network(network, path)
    elif kind == "safetensors" and holds(path, FORMAT):
        checkpoint = _read(path)
    else:
        return None
    generator = _build(checkpoint, path)
    config = generator.config
    notes = (
        checkpoint.notes if checkpoint.format == OWN else {**checkpoint.notes, "source": checkpoint.format}
    )

    def store(target: Path, half: bool) -> None:
        save_stylegan3(generator, target, notes=notes, half=half)

    facts = {
        "resolution": f"{config.resolution} px, layers {', '.join(config.layer_names())}",
        "latents": f"{config.num_layers} layers of {config.latent_dim}, z of {config.prior_dim}, "
        f"{config.mapping_layers} mapping layers",
    }
    if config.classes:
        facts["classes"] = f"{config.classes}: set generator.class_index"
    return Conversion(
        checkpoint.format,
        f"StyleGAN3 ({'R' if config.radial_filters else 'T'})",
        sum(tensor.numel() for tensor in generator.state_dict().values()),
        checkpoint.dtype,
        store,
        "generator=stylegan3 generator.weights=",
        facts,
    )


def _read(path: PathLike) -> StyleGAN3Checkpoint:
    kind = sniff(path)
    if kind == "safetensors":
        weights = read_weights(path, FORMAT, GENERATORS)
        configured: StyleGAN3Config = configured_as(StyleGAN3Config, weights.architecture, path)
        return StyleGAN3Checkpoint(configured, weights.state, OWN, stored_dtype(weights.state), weights.notes)
    if kind == "pickle":
        return convert_network(read_network(path), path)
    if kind == "unknown":
        read_any(path)
    raise UntrustedFileError(
        f"'{path}' is a {kind} file, which holds no StyleGAN3 generator",
        "A NVIDIA pickle or a safetensors file of this package is read here; generator=stylegan2 reads others.",
    )


def _build(checkpoint: StyleGAN3Checkpoint, path: PathLike) -> StyleGAN3:
    return build(lambda: StyleGAN3(checkpoint.config), checkpoint.state, path)
