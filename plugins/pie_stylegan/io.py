"""Weight files of the generator and its inverter: safetensors whose header holds the architecture as JSON.

Nothing in such a file is executed. The header's key "pie" is
`{"format": "pie.stylegan2", "version": 1, "config": {...}, "notes": {...}}`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save
from torch import Tensor, nn

from pie_framework.errors import AssetError, PieError
from pie_framework.untrusted import PathLike, build, read_safetensors

from .formats.checkpoint import OWN, Checkpoint, stored_dtype
from .formats.reading import build_generator, read_generator
from .inverter import Inverter, InverterConfig
from .stylegan2 import StyleGAN2, StyleGAN2Config

GENERATOR_FORMAT = "pie.stylegan2"
INVERTER_FORMAT = "pie.stylegan2.inverter"
VERSION = 1

#: Other generators, for the hint.
OTHER_GENERATORS = {"pie.stylegan3": "Use generator=stylegan3."}


def save_generator(
    generator: StyleGAN2, path: PathLike, *, notes: Mapping[str, Any] | None = None, half: bool = True
) -> None:
    """Write the generator's weights and architecture; half stores floats as float16 (loaded as float32)."""
    _save(generator, GENERATOR_FORMAT, generator.config.as_dict(), path, notes, half)


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


def read_own_generator(path: PathLike) -> Checkpoint:
    """The generator of a file that `save_generator` wrote. Raises AssetError as `load_generator` does."""
    config, state, notes = _load(path, GENERATOR_FORMAT)
    configured: StyleGAN2Config = _configured(StyleGAN2Config, config, path)
    return Checkpoint(configured, state, OWN, stored_dtype(state), notes=notes)


def holds_own(path: PathLike) -> bool:
    """Whether a safetensors file says that it holds a generator of this package."""
    try:
        return bool(json.loads(read_safetensors(path).metadata["pie"])["format"] == GENERATOR_FORMAT)
    except (KeyError, TypeError, ValueError, RecursionError):
        return False


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
    configured: InverterConfig = _configured(InverterConfig, config, path)
    inverter = build(lambda: Inverter(configured), state, path)
    inverter.compute_dtype = compute_dtype
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
    state, metadata = read_safetensors(path)
    try:
        header = json.loads(metadata["pie"])
        found, version, config = header["format"], header["version"], dict(header["config"])
        notes = dict(header.get("notes", {}))
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise AssetError(
            f"'{path}' does not say which network it is for",
            "Its header needs the key 'pie' with a format and config.",
        ) from error
    if kind is not None and found != kind:
        hint = OTHER_GENERATORS.get(found) if kind == GENERATOR_FORMAT and isinstance(found, str) else None
        raise AssetError(f"'{path}' holds '{str(found)[:80]}', not '{kind}'", hint)
    if version != VERSION:
        raise AssetError(
            f"'{path}' has version {str(version)[:20]} of its format; this release reads version {VERSION}"
        )
    return config, state, notes


def _configured(kind: type[Any], config: Mapping[str, Any], path: PathLike) -> Any:
    try:
        return kind(**config)
    except (TypeError, ValueError, PieError) as error:
        raise AssetError(f"the architecture in '{path}' cannot be built: {error}") from error
