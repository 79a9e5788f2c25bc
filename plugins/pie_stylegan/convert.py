"""Foreign StyleGAN2 checkpoints for `pie convert`."""

from __future__ import annotations

from pathlib import Path

from pie_framework.api.converting import Conversion
from pie_weights.files import holds
from pie_weights.untrusted import read_any

from .formats import rosinality, stylegan2_nvidia
from .formats.checkpoint import OWN
from .formats.nvidia import read_network
from .formats.own import GENERATOR_FORMAT, read_own_generator
from .formats.reading import build_generator
from .io import save_generator
from .stylegan2 import StyleGAN2


def convert(path: Path, kind: str) -> Conversion | None:
    """A StyleGAN2 generator in a foreign file, or in safetensors of this package; None for other files.

    Raises:
        AssetError: the file asks for more than data, or its tensors do not fit together.
    """
    if kind == "pickle":
        network = read_network(path)
        if network.generation == 3:
            return None
        checkpoint = stylegan2_nvidia.convert(network, path)
    elif kind in ("torch-zip", "torch-legacy"):
        if rosinality.find(read_any(path, allow=rosinality.ALLOWED)) is None:
            return None
        checkpoint = rosinality.read(path)
    elif kind == "safetensors" and holds(path, GENERATOR_FORMAT):
        checkpoint = read_own_generator(path)
    else:
        return None
    generator = build_generator(checkpoint, path)
    notes = {**checkpoint.notes, "source": checkpoint.format}

    def write(target: Path, half: bool) -> None:
        save_generator(
            generator, target, notes=checkpoint.notes if checkpoint.format == OWN else notes, half=half
        )

    config = checkpoint.config
    facts = {
        "resolution": f"{config.resolution} px, channels {', '.join(map(str, config.channels))}",
        "latents": f"{config.num_layers} layers of {config.latent_dim}, z of {config.prior_dim}, "
        f"{config.mapping_layers} mapping layers",
    }
    if config.conv_clamp is not None:
        facts["clamp"] = f"{config.conv_clamp:g}"
    if checkpoint.notes.get("fp16_resolutions"):
        sizes = ", ".join(map(str, checkpoint.notes["fp16_resolutions"]))
        facts["float16"] = f"was trained in float16 at {sizes} px; computed in the run's dtype here"
    if config.classes:
        facts["classes"] = f"{config.classes}: set generator.class_index"
    if checkpoint.estimate_mean:
        facts["mean"] = "not in the file; estimated from 10,000 draws"
    return Conversion(
        checkpoint.format,
        f"StyleGAN2 ({config.architecture})",
        _numbers(generator),
        checkpoint.dtype,
        write,
        "generator=stylegan2 generator.weights=",
        facts,
    )


def _numbers(generator: StyleGAN2) -> int:
    return sum(tensor.numel() for tensor in generator.state_dict().values())
