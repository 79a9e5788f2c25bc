"""StyleGAN3 generators of NVIDIA's pickles: the architecture from the stated arguments, the names translated."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from pie_framework.errors import ConfigError
from pie_stylegan.stylegan3 import StyleGAN3, StyleGAN3Config
from pie_weights.untrusted import PathLike, UntrustedFileError

from .checkpoint import NVIDIA, stored_dtype
from .nvidia import NvidiaNetwork

#: Arguments of the synthesis network: their name in the file and here.
ARGUMENTS = {
    "img_resolution": "resolution",
    "w_dim": "latent_dim",
    "channel_base": "channel_base",
    "channel_max": "channel_max",
    "num_layers": "filtered_layers",
    "num_critical": "critical_layers",
    "first_cutoff": "first_cutoff",
    "first_stopband": "first_stopband",
    "last_stopband_rel": "last_stopband_rel",
    "margin_size": "margin",
    "output_scale": "output_scale",
    "conv_kernel": "conv_kernel",
    "filter_size": "filter_size",
    "lrelu_upsampling": "oversampling",
    "use_radial_filters": "radial_filters",
    "conv_clamp": "conv_clamp",
}
#: Arguments that matter in training, or for the precision, only.
IGNORED = ("img_channels", "num_fp16_res", "magnitude_ema_beta")
INTEGERS = frozenset(
    {"resolution", "latent_dim", "filtered_layers", "critical_layers", "margin", "conv_kernel", "filter_size"}
    | {"oversampling", "channel_base", "channel_max"}
)


@dataclass
class StyleGAN3Checkpoint:
    """A StyleGAN3 generator as read from a file.

    Attributes:
        config: the architecture.
        state: tensors by the names of `StyleGAN3.state_dict()`; some may be views of the mapped file.
        format: which program's file it is.
        dtype: of the numbers in the file.
        notes: anything else worth telling, in plain values.
    """

    config: StyleGAN3Config
    state: dict[str, Tensor]
    format: str
    dtype: str
    notes: dict[str, Any]


def convert(network: NvidiaNetwork, path: PathLike) -> StyleGAN3Checkpoint:
    """The generator of a pickle.

    Raises:
        UntrustedFileError: the network is not a StyleGAN3 generator, or has parts that are not known here.
    """
    if network.generation == 2:
        raise UntrustedFileError(
            f"'{path}' holds a StyleGAN2 generator, not a StyleGAN3", "Use generator=stylegan2."
        )
    if network.generation != 3:
        raise UntrustedFileError(
            f"'{path}' holds a network '{network.class_name[:60]}' that is not a StyleGAN3 generator",
            "generator=stylegan3 reads the generators T and R of the stylegan3 repository.",
        )
    try:
        config = _config(network)
        return StyleGAN3Checkpoint(
            config,
            _translate(network, config),
            NVIDIA,
            stored_dtype(network.state),
            {"network": network.key or "(bare)", "class": network.class_name[:60]},
        )
    except UntrustedFileError as error:
        raise UntrustedFileError(f"'{path}' was not loaded: {error.message}", error.hint) from error
    except ConfigError as error:
        raise UntrustedFileError(f"the architecture in '{path}' cannot be built: {error.message}") from error


def _config(network: NvidiaNetwork) -> StyleGAN3Config:
    state = network.state
    synthesis = network.attributes.get("synthesis", {})
    arguments = synthesis.get("init_kwargs")
    if synthesis.get("init_args") or not isinstance(arguments, dict) or "img_resolution" not in arguments:
        raise UntrustedFileError("it does not say with which arguments its synthesis network was made")
    values: dict[str, Any] = {}
    for name, value in arguments.items():
        if name in ARGUMENTS:
            values[ARGUMENTS[name]] = _number(name, value)
        elif name not in IGNORED:
            raise UntrustedFileError(
                f"its synthesis network has the argument '{str(name)[:40]}', which is not known here"
            )
    colours = arguments.get("img_channels", 3)
    if colours != 3:
        raise UntrustedFileError(f"its images have {str(colours)[:20]} channels, not 3 (red, green, blue)")
    depth = sum(f"mapping.fc{k}.weight" in state for k in range(1000))
    first = state.get("mapping.fc0.weight")
    embed = state.get("mapping.embed.weight")
    if first is None or first.ndim != 2 or (embed is not None and embed.ndim != 2):
        raise UntrustedFileError("its mapping network is damaged")
    gain = network.attributes.get("mapping.fc0", {}).get("bias_gain", 0.01)
    return StyleGAN3Config(
        **values,
        prior_dim=first.shape[1] - (0 if embed is None else embed.shape[0]),
        mapping_layers=depth,
        mapping_lr_multiplier=float(_number("lr_multiplier", gain)),
        classes=0 if embed is None else embed.shape[1],
    )


def _number(name: str, value: Any) -> Any:
    """A value of the file, if it is of the right kind."""
    own = ARGUMENTS.get(name, "")
    if own == "radial_filters":
        right = isinstance(value, bool)
    elif own in INTEGERS:
        right = isinstance(value, int | float) and not isinstance(value, bool) and value == int(value)
        value = int(value) if right else value
    else:
        right = isinstance(value, int | float) and not isinstance(value, bool)
        right = right or (own == "conv_clamp" and value is None)
    if not right:
        raise UntrustedFileError(f"its argument '{name}' is {str(value)[:40]}")
    return value


def _translate(network: NvidiaNetwork, config: StyleGAN3Config) -> dict[str, Tensor]:
    """The state dict by our names; what is not known keeps its name, for the message."""
    layers = {f"synthesis.{name}.": f"layers.{i}." for i, name in enumerate(config.layer_names())}
    own: dict[str, Tensor] = {}
    for name, tensor in network.state.items():
        if name.startswith("mapping.fc"):
            name = "mapping.layers." + name.removeprefix("mapping.fc")
        elif name.startswith("synthesis.input."):
            name = name.removeprefix("synthesis.")
        else:
            for theirs, ours in layers.items():
                if name.startswith(theirs):
                    name = ours + name.removeprefix(theirs)
                    break
        own[name] = tensor
    # Filters follow from the architecture; those of the file count, where it has them.
    with torch.device("meta"):
        outline = StyleGAN3(config)
    for name, tensor in outline.named_buffers():
        if name.endswith("_filter"):
            own.setdefault(name, tensor)
    own.setdefault("input.transform", torch.eye(3))
    return own
