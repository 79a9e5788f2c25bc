"""StyleGAN2 generators of NVIDIA's pickles: the architecture from the tensors' shapes, the names translated."""

from __future__ import annotations

import re
from typing import Any

import torch
from torch import Tensor

from pie_stylegan.layers import RESAMPLE_TAPS
from pie_stylegan.stylegan2 import MAX_DEPTH, MAX_RESOLUTION, StyleGAN2Config
from pie_weights.untrusted import PathLike, UntrustedFileError

from .checkpoint import NVIDIA, Checkpoint, stored_dtype
from .nvidia import NvidiaNetwork

#: Layers of a block: their name in the file and here.
LAYERS = ("conv0", "conv1", "torgb")


def convert(network: NvidiaNetwork, path: PathLike) -> Checkpoint:
    """The generator of a pickle.

    Raises:
        UntrustedFileError: the network is not a StyleGAN2 generator, or has parts that are not known here.
    """
    if network.generation == 3:
        raise UntrustedFileError(
            f"'{path}' holds a StyleGAN3 generator, not a StyleGAN2", "Use generator=stylegan3."
        )
    if network.generation != 2:
        raise UntrustedFileError(
            f"'{path}' holds a network '{network.class_name[:60]}' that is not a StyleGAN2 generator",
            "generator=stylegan2 reads the generators of stylegan2-ada-pytorch and stylegan3.",
        )
    try:
        return _convert(network)
    except UntrustedFileError as error:
        raise UntrustedFileError(f"'{path}' was not loaded: {error.message}", error.hint) from error


def _convert(network: NvidiaNetwork) -> Checkpoint:
    state, attributes = network.state, network.attributes
    sizes = _resolutions(state)
    depth = _depth(state)
    architecture = _architecture(state, sizes)
    channels = tuple(_shape(state, f"synthesis.b{r}.conv1.weight", 4)[0] for r in sizes)
    first = _shape(state, "mapping.fc0.weight", 2)
    latent_dim = _shape(state, "synthesis.b4.conv1.affine.weight", 2)[1]
    embed = _shape(state, "mapping.embed.weight", 2) if "mapping.embed.weight" in state else (0, 0)
    if first[1] <= embed[0]:
        raise UntrustedFileError("its mapping network takes a class and no z, which is not supported")
    colours = _shape(state, f"synthesis.b{sizes[-1]}.torgb.weight", 4)[0]
    if colours != 3:
        raise UntrustedFileError(f"its images have {colours} channels, not 3 (red, green, blue)")
    config = StyleGAN2Config(
        resolution=sizes[-1],
        latent_dim=latent_dim,
        prior_dim=first[1] - embed[0],
        channels=channels,
        mapping_layers=depth,
        mapping_lr_multiplier=_lr_multiplier(attributes),
        conv_clamp=_clamp(attributes, sizes),
        architecture=architecture,
        resample_taps=_taps(state),
        mapping_hidden=first[0] if depth > 1 and first[0] != latent_dim else None,
        classes=embed[1],
        embed_dim=embed[0] if embed[1] and embed[0] != latent_dim else None,
    )
    _check_activations(attributes)
    own = _translate(state, sizes, depth, bool(embed[1]), architecture)
    estimate = "mapping.w_avg" not in state
    own["mapping.w_avg"] = torch.zeros(latent_dim) if estimate else state["mapping.w_avg"]
    half = [r for r in sizes if attributes.get(f"synthesis.b{r}", {}).get("use_fp16")]
    notes = {"network": network.key or "(bare)", "class": network.class_name[:60], "fp16_resolutions": half}
    return Checkpoint(config, own, NVIDIA, stored_dtype(state), estimate, notes)


def _resolutions(state: dict[str, Tensor]) -> list[int]:
    found = {int(m[1]) for name in state if (m := re.match(r"synthesis\.b(\d{1,5})\.", name))}
    top = max(found, default=0)
    expected = [4 << k for k in range(11) if 4 << k <= top]
    if sorted(found) != expected or top > MAX_RESOLUTION or top < 8:
        raise UntrustedFileError(f"its blocks are {sorted(found)[:12]}, not 4, 8, 16, ...")
    return expected


def _depth(state: dict[str, Tensor]) -> int:
    found = {int(m[1]) for name in state if (m := re.match(r"mapping\.fc(\d{1,5})\.", name))}
    if not found or sorted(found) != list(range(len(found))) or len(found) > MAX_DEPTH:
        raise UntrustedFileError("the layers of its mapping network are not numbered 0, 1, 2, ...")
    return len(found)


def _architecture(state: dict[str, Tensor], sizes: list[int]) -> str:
    colours = [f"synthesis.b{r}.torgb.weight" in state for r in sizes]
    around = [f"synthesis.b{r}.skip.weight" in state for r in sizes]
    if all(colours) and not any(around):
        return "skip"
    if colours[-1] and not any(colours[:-1]):
        if all(around[1:]):
            return "resnet"
        if not any(around):
            return "orig"
    raise UntrustedFileError("its blocks are neither of the skip, nor the resnet, nor the orig architecture")


def _clamp(attributes: dict[str, dict[str, Any]], sizes: list[int]) -> float | None:
    paths = [f"synthesis.b{r}.{layer}" for r in sizes for layer in LAYERS]
    found = {attributes[p].get("conv_clamp") for p in paths if p in attributes}
    if len(found) > 1 or not all(v is None or isinstance(v, int | float) for v in found):
        raise UntrustedFileError("its layers clamp at different values, which is not supported")
    value = found.pop() if found else None
    return None if value is None else float(value)


def _lr_multiplier(attributes: dict[str, dict[str, Any]]) -> float:
    gain = attributes.get("mapping.fc0", {}).get("bias_gain", 0.01)
    if isinstance(gain, bool) or not isinstance(gain, int | float) or not 0 < gain <= 1e3:
        raise UntrustedFileError("the learning rate multiplier of its mapping network is damaged")
    return float(gain)


def _taps(state: dict[str, Tensor]) -> tuple[float, ...]:
    """The taps of the filter that all upsampling layers share; of sum 8 as [1, 3, 3, 1] has where it is that."""
    used = [
        t
        for name, t in state.items()
        if re.fullmatch(r"synthesis\.b\d+(\.conv0|\.skip)?\.resample_filter", name) and "b4." not in name
    ]
    if not used:
        return RESAMPLE_TAPS
    first = used[0].float()
    if first.ndim not in (1, 2) or not 2 <= len(first) <= 32 or any(f.shape != used[0].shape for f in used):
        raise UntrustedFileError("its resampling filters are of several kinds or too long")
    row = first if first.ndim == 1 else first.sum(dim=0)
    square = row[:, None] * row[None, :]
    same = all(bool(torch.allclose(f.float(), first)) for f in used)
    if not same or (first.ndim == 2 and not bool(torch.allclose(square, first, atol=1e-6))):
        raise UntrustedFileError("its resampling filters differ or are not separable")
    taps = tuple(row.tolist())
    standard = tuple(t / sum(RESAMPLE_TAPS) for t in RESAMPLE_TAPS)
    near = len(taps) == 4 and max(abs(a - b) for a, b in zip(taps, standard, strict=True)) < 1e-6
    return RESAMPLE_TAPS if near else taps


def _check_activations(attributes: dict[str, dict[str, Any]]) -> None:
    for path, values in attributes.items():
        if re.fullmatch(r"mapping\.fc\d+|synthesis\.b\d+\.conv[01]", path):
            kind = values.get("activation", "lrelu")
            if kind != "lrelu":
                raise UntrustedFileError(
                    f"'{path}' has the activation '{str(kind)[:40]}', which is not supported"
                )


def _translate(
    state: dict[str, Tensor], sizes: list[int], depth: int, conditional: bool, architecture: str
) -> dict[str, Tensor]:
    own: dict[str, Tensor] = {}
    used: set[str] = set()

    def copy(here: str, there: str, *names: str) -> None:
        for name in names:
            own[f"{here}.{name}"] = _get(state, f"{there}.{name}")
            used.add(f"{there}.{name}")

    for k in range(depth):
        copy(f"mapping.layers.{k}", f"mapping.fc{k}", "weight", "bias")
    if conditional:
        copy("mapping.embed", "mapping.embed", "weight", "bias")
    for index, r in enumerate(sizes):
        here, there = f"blocks.{index}", f"synthesis.b{r}"
        if index == 0:
            copy(here, there, "const")
        for layer in ("conv0", "conv1")[index == 0 :]:
            copy(f"{here}.{layer}", f"{there}.{layer}", "affine.weight", "affine.bias", "weight", "bias")
            used.update((f"{there}.{layer}.noise_const", f"{there}.{layer}.noise_strength"))
            own[f"{here}.{layer}.noise_const"] = state.get(f"{there}.{layer}.noise_const", torch.zeros(r, r))
            own[f"{here}.{layer}.noise_strength"] = state.get(
                f"{there}.{layer}.noise_strength", torch.zeros(())
            )
        if architecture == "skip" or index == len(sizes) - 1:
            copy(f"{here}.torgb", f"{there}.torgb", "affine.weight", "affine.bias", "weight", "bias")
        if architecture == "resnet" and index > 0:
            copy(f"{here}.skip", f"{there}.skip", "weight")
    others = sorted(
        n for n in state.keys() - used if not n.endswith("resample_filter") and n != "mapping.w_avg"
    )
    if others:
        raise UntrustedFileError(
            f"it has {len(others)} tensors that a StyleGAN2 generator does not, first '{others[0][:120]}'",
            "Is it another kind of network?",
        )
    return own


def _get(state: dict[str, Tensor], name: str) -> Tensor:
    if name not in state:
        raise UntrustedFileError(f"it lacks the tensor '{name}'")
    return state[name]


def _shape(state: dict[str, Tensor], name: str, dimensions: int) -> tuple[int, ...]:
    shape = tuple(_get(state, name).shape)
    if len(shape) != dimensions or min(shape) < 1:
        raise UntrustedFileError(f"the tensor '{name}' has the impossible shape {shape}")
    return shape
