"""Weight files of the generator and its inverter: safetensors whose header holds the architecture as JSON.

Nothing in such a file is executed. The header's key "pie" is
`{"format": "pie.stylegan2", "version": 1, "config": {...}, "notes": {...}}`.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from pie_framework.errors import AssetError, PieError, did_you_mean

from .inverter import Inverter, InverterConfig
from .stylegan2 import StyleGAN2, StyleGAN2Config

GENERATOR_FORMAT = "pie.stylegan2"
INVERTER_FORMAT = "pie.stylegan2.inverter"
VERSION = 1

PathLike = str | os.PathLike[str]


def save_generator(
    generator: StyleGAN2, path: PathLike, *, notes: Mapping[str, Any] | None = None, half: bool = True
) -> None:
    """Write the generator's weights and architecture; half stores floats as float16 (loaded as float32)."""
    _save(generator, GENERATOR_FORMAT, generator.config.as_dict(), path, notes, half)


def load_generator(
    path: PathLike, *, device: torch.device | str = "cpu", compute_dtype: torch.dtype | None = None
) -> StyleGAN2:
    """Read a file that `save_generator` wrote; weights come back as float32, not frozen.

    Raises:
        AssetError: the file is missing, damaged, of another format or version, or its tensors do not fit.
    """
    config, state, _ = _load(path, GENERATOR_FORMAT)
    generator = StyleGAN2(_configured(StyleGAN2Config, config, path), compute_dtype=compute_dtype)
    _fill(generator, state, path)
    return generator.to(device)


def save_inverter(
    inverter: Inverter, path: PathLike, *, notes: Mapping[str, Any] | None = None, half: bool = True
) -> None:
    """Write the inverter's weights and architecture; half stores floats as float16 (loaded as float32)."""
    _save(inverter, INVERTER_FORMAT, inverter.config.as_dict(), path, notes, half)


def load_inverter(
    path: PathLike, *, device: torch.device | str = "cpu", compute_dtype: torch.dtype | None = None
) -> Inverter:
    """Read a file that `save_inverter` wrote. Raises AssetError as `load_generator` does."""
    config, state, _ = _load(path, INVERTER_FORMAT)
    inverter = Inverter(_configured(InverterConfig, config, path), compute_dtype=compute_dtype)
    _fill(inverter, state, path)
    return inverter.to(device)


def read_notes(path: PathLike) -> dict[str, Any]:
    """What the recipe that made the weights wrote about them."""
    return _load(path, None)[2]


def _save(
    module: nn.Module,
    kind: str,
    config: Mapping[str, Any],
    path: PathLike,
    notes: Mapping[str, Any] | None,
    half: bool,
) -> None:
    header = {"format": kind, "version": VERSION, "config": dict(config), "notes": dict(notes or {})}
    tensors = {
        name: (tensor.detach().half() if half and tensor.is_floating_point() else tensor.detach())
        .cpu()
        .contiguous()
        for name, tensor in module.state_dict().items()
    }
    for name, tensor in tensors.items():
        if not torch.isfinite(tensor).all():
            raise AssetError(
                f"'{name}' holds values that float16 cannot store or that are not finite", "Use half=False."
            )
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(target.name + ".part")
    temporary.write_bytes(save(tensors, {"pie": json.dumps(header)}))
    temporary.replace(target)


def _load(path: PathLike, kind: str | None) -> tuple[dict[str, Any], dict[str, Tensor], dict[str, Any]]:
    if not Path(path).is_file():
        raise AssetError(f"there is no weight file '{path}'", "Give the path of a .safetensors file.")
    try:
        with safe_open(str(path), framework="pt") as stream:
            metadata = stream.metadata() or {}
            state = {name: stream.get_tensor(name) for name in stream.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise AssetError(f"'{path}' is not a safetensors file ({error})") from error
    try:
        header = json.loads(metadata["pie"])
        found, version, config = header["format"], header["version"], dict(header["config"])
    except (KeyError, TypeError, ValueError) as error:
        raise AssetError(
            f"'{path}' does not say which network it is for",
            "Its header needs the key 'pie' with a format and config.",
        ) from error
    if kind is not None and found != kind:
        raise AssetError(f"'{path}' holds '{found}', not '{kind}'")
    if version != VERSION:
        raise AssetError(
            f"'{path}' has version {version} of its format; this release reads version {VERSION}"
        )
    floats = {name: t.float() if t.is_floating_point() else t for name, t in state.items()}
    return config, floats, dict(header.get("notes", {}))


def _configured(kind: type[Any], config: Mapping[str, Any], path: PathLike) -> Any:
    try:
        return kind(**config)
    except (TypeError, ValueError, PieError) as error:
        raise AssetError(f"the architecture in '{path}' cannot be built: {error}") from error


def _fill(module: nn.Module, state: Mapping[str, Tensor], path: PathLike) -> None:
    expected = module.state_dict()
    missing = sorted(expected.keys() - state.keys())
    unexpected = sorted(state.keys() - expected.keys())
    if missing:
        raise AssetError(
            f"'{path}' lacks {len(missing)} tensors, first '{missing[0]}'",
            did_you_mean(missing[0], unexpected),
        )
    if unexpected:
        raise AssetError(
            f"'{path}' has {len(unexpected)} tensors that the network does not, first '{unexpected[0]}'"
        )
    for name, tensor in expected.items():
        if tensor.shape != state[name].shape:
            raise AssetError(f"'{name}' in '{path}' is {tuple(state[name].shape)}, not {tuple(tensor.shape)}")
    module.load_state_dict(state)
