"""StyleGAN2 generators of rosinality/stylegan2-pytorch: state dicts of its names.

A training checkpoint holds `g_ema` beside optimiser states; converted ones hold `g_ema` and `latent_avg`, the mean of
w. Its convolutions scale the stored weight by 1 / sqrt(fan in) before the modulation; here the scaled weight is stored.
"""

from __future__ import annotations

import math
import re
from typing import Any

import torch
from torch import Tensor

from pie_stylegan.layers import RESAMPLE_TAPS
from pie_stylegan.stylegan2 import MAX_DEPTH, MAX_RESOLUTION, StyleGAN2Config
from pie_weights.untrusted import Allowed, PathLike, UntrustedFileError, read_any

from .checkpoint import ROSINALITY, Checkpoint, stored_dtype

MARK = "input.input"
KEYS = ("g_ema", "g", "state_dict")
#: Training checkpoints carry their command line.
ALLOWED: Allowed = {"argparse.Namespace": None}


def read(path: PathLike) -> Checkpoint:
    """The generator of a checkpoint.

    Raises:
        UntrustedFileError: the file holds no such generator, or its tensors do not fit together.
    """
    content = read_any(path, allow=ALLOWED)
    found = find(content)
    if found is None:
        raise UntrustedFileError(
            f"'{path}' is a torch file without a StyleGAN2 generator of rosinality's names",
            "It should hold 'g_ema', or be the state dict itself. Is it another network's file?",
        )
    key, state = found
    try:
        return _convert(state, key, content.get("latent_avg"))
    except UntrustedFileError as error:
        raise UntrustedFileError(f"'{path}' was not loaded: {error.message}", error.hint) from error


def find(content: Any) -> tuple[str, dict[str, Any]] | None:
    """Where in the file's content the generator's state dict is, and it; "" for the content itself."""
    if not isinstance(content, dict):
        return None
    for key, candidate in ((k, content if k == "" else content.get(k)) for k in (*KEYS, "")):
        if isinstance(candidate, dict):
            state = {str(k).removeprefix("module."): v for k, v in candidate.items()}
            if MARK in state:
                return key, state
    return None


def _convert(raw: dict[str, Any], key: str, latent_avg: Any) -> Checkpoint:
    state: dict[str, Tensor] = {}
    for name, value in raw.items():
        if not isinstance(value, Tensor) or not value.is_floating_point():
            raise UntrustedFileError(f"'{name[:80]}' in it is not a tensor of floating-point numbers")
        state[name] = value
    names = set(state) - {MARK}
    rest = {"conv1": 0, **{f"convs.{k}": k + 1 for k in range(_count(names, r"convs\.(\d{1,4})\."))}}
    colours = ["to_rgb1", *(f"to_rgbs.{k}" for k in range(_count(names, r"to_rgbs\.(\d{1,4})\.")))]
    resolution = 4 << (len(colours) - 1)
    if len(rest) != 2 * len(colours) - 1 or not 8 <= resolution <= MAX_RESOLUTION:
        raise UntrustedFileError(f"it has {len(rest)} convolutions and {len(colours)} layers of colours")
    depth = _count(names, r"style\.(\d{1,4})\.", first=1)
    if not 1 <= depth <= MAX_DEPTH:
        raise UntrustedFileError("the layers of its mapping network are not numbered 1, 2, 3, ...")
    first = _shape(state, "style.1.weight", 2)
    latent_dim = _shape(state, "conv1.conv.modulation.weight", 2)[1]
    convs = list(rest)
    channels = tuple(_shape(state, f"{convs[2 * k]}.conv.weight", 5)[1] for k in range(len(colours)))
    own: dict[str, Tensor] = {}
    for k in range(depth):
        for part in ("weight", "bias"):
            own[f"mapping.layers.{k}.{part}"] = _take(state, f"style.{k + 1}.{part}")
    own["blocks.0.const"] = _squeeze(state, MARK)
    for name, number in rest.items():
        here = "blocks.0.conv1" if number == 0 else f"blocks.{(number + 1) // 2}.conv{(number + 1) % 2}"
        size = 4 << ((number + 1) // 2)
        _layer(state, own, name, here)
        weight = own[f"{here}.weight"]
        own[f"{here}.weight"] = weight.float() / math.sqrt(max(1, math.prod(weight.shape[1:])))
        own[f"{here}.bias"] = _take(state, f"{name}.activate.bias")
        own[f"{here}.noise_strength"] = _take(state, f"{name}.noise.weight").reshape(())
        noise = state.pop(f"noises.noise_{number}", None)
        own[f"{here}.noise_const"] = (
            torch.zeros(size, size) if noise is None else _flat(noise, 2, f"noise_{number}")
        )
    for k, name in enumerate(colours):
        _layer(state, own, name, f"blocks.{k}.torgb")
        own[f"blocks.{k}.torgb.bias"] = _take(state, f"{name}.bias").flatten()
    taps = _taps(state)
    if state:
        raise UntrustedFileError(
            f"it has {len(state)} tensors that the network does not, first '{min(state)[:120]}'"
        )
    if latent_avg is not None and not (isinstance(latent_avg, Tensor) and latent_avg.numel() == latent_dim):
        raise UntrustedFileError(f"its mean latent does not have {latent_dim} numbers")
    own["mapping.w_avg"] = torch.zeros(latent_dim) if latent_avg is None else latent_avg.flatten()
    config = StyleGAN2Config(
        resolution=resolution,
        latent_dim=latent_dim,
        prior_dim=first[1],
        channels=channels,
        mapping_layers=depth,
        resample_taps=taps,
        mapping_hidden=first[0] if depth > 1 and first[0] != latent_dim else None,
    )
    notes = {"network": key or "(bare)"}
    return Checkpoint(config, own, ROSINALITY, stored_dtype(own), latent_avg is None, notes)


def _layer(state: dict[str, Tensor], own: dict[str, Tensor], name: str, here: str) -> None:
    own[f"{here}.affine.weight"] = _take(state, f"{name}.conv.modulation.weight")
    own[f"{here}.affine.bias"] = _take(state, f"{name}.conv.modulation.bias")
    own[f"{here}.weight"] = _squeeze(state, f"{name}.conv.weight")


def _taps(state: dict[str, Tensor]) -> tuple[float, ...]:
    """Takes the blur kernels, which must be one separable filter with gain 4, and gives its taps."""
    kernels = [state.pop(n) for n in sorted(state) if re.search(r"\.(blur|upsample)\.kernel$", n)]
    if not kernels:
        return RESAMPLE_TAPS
    first = kernels[0].float()
    if first.ndim != 2 or first.shape[0] != first.shape[1] or not 2 <= len(first) <= 32:
        raise UntrustedFileError("its blur kernels are not square ones of 2 to 32 taps")
    same = all(k.shape == first.shape and bool(torch.allclose(k.float(), first)) for k in kernels)
    row = first.sum(dim=0) / 2.0
    if not same or not bool(torch.allclose(row[:, None] * row[None, :], first, atol=1e-5)):
        raise UntrustedFileError("its blur kernels differ or are not separable with gain 4")
    taps = tuple(row.tolist())
    near = len(taps) == 4 and max(abs(4 * a - b) for a, b in zip(taps, RESAMPLE_TAPS, strict=True)) < 1e-4
    return RESAMPLE_TAPS if near else tuple(t / 2.0 for t in taps)


def _count(names: set[str], pattern: str, first: int = 0) -> int:
    found = {int(m[1]) for name in names if (m := re.match(pattern, name))}
    if found and sorted(found) != list(range(first, first + len(found))):
        raise UntrustedFileError("its layers are not numbered without gaps")
    return len(found)


def _take(state: dict[str, Tensor], name: str) -> Tensor:
    if name not in state:
        raise UntrustedFileError(f"it lacks the tensor '{name}'")
    return state.pop(name)


def _squeeze(state: dict[str, Tensor], name: str) -> Tensor:
    tensor = _take(state, name)
    if tensor.ndim < 4 or tensor.shape[0] != 1:
        raise UntrustedFileError(f"the tensor '{name}' has the impossible shape {tuple(tensor.shape)}")
    return tensor[0]


def _flat(tensor: Tensor, dimensions: int, name: str) -> Tensor:
    if tensor.ndim < dimensions or math.prod(tensor.shape[:-dimensions]) != 1:
        raise UntrustedFileError(f"the tensor '{name}' has the impossible shape {tuple(tensor.shape)}")
    return tensor.reshape(tensor.shape[-dimensions:])


def _shape(state: dict[str, Tensor], name: str, dimensions: int) -> tuple[int, ...]:
    if name not in state:
        raise UntrustedFileError(f"it lacks the tensor '{name}'")
    shape = tuple(state[name].shape)
    if len(shape) != dimensions or min(shape) < 1:
        raise UntrustedFileError(f"the tensor '{name}' has the impossible shape {shape}")
    return shape
