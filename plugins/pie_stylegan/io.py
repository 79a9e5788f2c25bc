"""Weight files of the generator and its inverter: safetensors whose header holds the architecture as JSON.

Nothing in such a file is executed. The header's key "pie" is
`{"format": "pie.stylegan2", "version": 1, "config": {...}, "notes": {...}}`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
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

#: Formats of generators, with the hint for those who chose another.
GENERATORS = {GENERATOR_FORMAT: "Use generator=stylegan2.", "pie.stylegan3": "Use generator=stylegan3."}


def save_generator(
    generator: StyleGAN2, path: PathLike, *, notes: Mapping[str, Any] | None = None, half: bool = True
) -> None:
    """Write the generator's weights and architecture; half stores floats as float16 (loaded as float32)."""
    write(generator, GENERATOR_FORMAT, generator.config.as_dict(), path, notes, half)


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
    config, state, notes = load(path, GENERATOR_FORMAT)
    configured: StyleGAN2Config = configured_as(StyleGAN2Config, config, path)
    return Checkpoint(configured, state, OWN, stored_dtype(state), notes=notes)


def holds_own(path: PathLike, kind: str = GENERATOR_FORMAT) -> bool:
    """Whether a safetensors file says that it holds a generator of this package, of the given format."""
    try:
        return bool(json.loads(read_safetensors(path).metadata["pie"])["format"] == kind)
    except (KeyError, TypeError, ValueError, RecursionError):
        return False


def save_inverter(
    inverter: Inverter, path: PathLike, *, notes: Mapping[str, Any] | None = None, half: bool = True
) -> None:
    """Write the inverter's weights and architecture; half stores floats as float16 (loaded as float32)."""
    write(inverter, INVERTER_FORMAT, inverter.config.as_dict(), path, notes, half)


def load_inverter(
    path: PathLike, *, device: torch.device | str = "cpu", compute_dtype: torch.dtype | None = None
) -> Inverter:
    """Read a file that `save_inverter` wrote. Raises AssetError as `load_generator` does."""
    config, state, _ = load(path, INVERTER_FORMAT)
    configured: InverterConfig = configured_as(InverterConfig, config, path)
    inverter = build(lambda: Inverter(configured), state, path)
    inverter.compute_dtype = compute_dtype
    return inverter.to(device)


def read_notes(path: PathLike) -> dict[str, Any]:
    """What the recipe that made the weights wrote about them."""
    return load(path, None)[2]


def write(
    module: nn.Module,
    kind: str,
    config: Mapping[str, Any],
    path: PathLike,
    notes: Mapping[str, Any] | None,
    half: bool,
    exact: Sequence[str] = (),
) -> None:
    """Write a network and its architecture, completely or not at all.

    Args:
        kind: the format's name, for the header.
        config: the architecture, as JSON can hold it.
        half: store floats as float16, but for the tensors whose names end with one of `exact`.

    Raises:
        AssetError: a value is not finite or, with `half`, too large for float16.
    """
    header = {"format": kind, "version": VERSION, "config": dict(config), "notes": dict(notes or {})}
    tensors = {
        name: _stored(tensor.detach(), half and not name.endswith(tuple(exact)))
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


def _stored(tensor: Tensor, half: bool) -> Tensor:
    return (tensor.half() if half and tensor.is_floating_point() else tensor).cpu().contiguous()


def load(path: PathLike, kind: str | None) -> tuple[dict[str, Any], dict[str, Tensor], dict[str, Any]]:
    """Architecture, tensors and notes of a file that `write` wrote.

    Args:
        kind: the format it should have, or None for any.

    Raises:
        AssetError: the file is missing or damaged, or has another format or version.
    """
    state, metadata = read_safetensors(path)
    try:
        header = json.loads(metadata["pie"])
        found, version, config = header["format"], header["version"], dict(header["config"])
        notes = dict(header.get("notes", {}))
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise AssetError(
            f"'{path}' does not say which network it is for",
            "It is not a network of this kind that 'pie convert' or 'pie train' wrote: its header has no key 'pie' "
            "with a format and config.",
        ) from error
    if kind is not None and found != kind:
        hint = GENERATORS.get(found) if kind in GENERATORS and isinstance(found, str) else None
        raise AssetError(f"'{path}' holds '{str(found)[:80]}', not '{kind}'", hint)
    if version != VERSION:
        raise AssetError(
            f"'{path}' has version {str(version)[:20]} of its format; this release reads version {VERSION}"
        )
    return config, state, notes


def configured_as(kind: type[Any], config: Mapping[str, Any], path: PathLike) -> Any:
    """The architecture that a file's header states. AssetError where there is no such."""
    try:
        return kind(**config)
    except (TypeError, ValueError, OverflowError, PieError) as error:
        raise AssetError(f"the architecture in '{path}' cannot be built: {error}") from error
